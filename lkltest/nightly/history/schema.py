# SPDX-License-Identifier: GPL-2.0-only
"""The history's file: one SQLite database, its schema and what can be wrong with it.

Write-ahead logging lets readers and a writer work at once, and what was committed survives
kill -9 (sqlite.org/wal.html); it needs a local file system.
"""

from __future__ import annotations

import contextlib
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lkltest.errors import LkltestError

APPLICATION_ID = 0x4C4B4C54  # "LKLT"; sqlite.org/pragma.html#pragma_application_id
LOCK_SECONDS = 30.0

MIGRATIONS: tuple[str, ...] = (
    """
    CREATE TABLE nights (
        id INTEGER PRIMARY KEY, night TEXT NOT NULL UNIQUE, started REAL NOT NULL,
        finished REAL, name TEXT NOT NULL, harness TEXT NOT NULL);
    CREATE INDEX nights_by_time ON nights (started);
    CREATE TABLE cells (
        id INTEGER PRIMARY KEY, cell TEXT NOT NULL UNIQUE, build TEXT NOT NULL,
        host TEXT NOT NULL, suite TEXT NOT NULL, variant TEXT NOT NULL);
    CREATE TABLE runs (
        id INTEGER PRIMARY KEY, night INTEGER NOT NULL REFERENCES nights ON DELETE CASCADE,
        cell INTEGER NOT NULL REFERENCES cells, repeat INTEGER NOT NULL, outcome TEXT NOT NULL,
        seconds REAL, started REAL, kernel TEXT NOT NULL, revision TEXT NOT NULL,
        compiler TEXT NOT NULL, machine TEXT NOT NULL, arch TEXT NOT NULL, reason TEXT NOT NULL,
        UNIQUE (night, cell, repeat));
    CREATE INDEX runs_by_cell ON runs (cell, night);
    CREATE TABLE points (
        id INTEGER PRIMARY KEY, cell INTEGER NOT NULL REFERENCES cells, name TEXT NOT NULL,
        UNIQUE (cell, name));
    CREATE TABLE results (
        point INTEGER NOT NULL REFERENCES points,
        run INTEGER NOT NULL REFERENCES runs ON DELETE CASCADE,
        outcome TEXT NOT NULL, seconds REAL, reason TEXT,
        PRIMARY KEY (point, run)) WITHOUT ROWID;
    CREATE INDEX results_by_run ON results (run);
    """,
    # The flakiest points are looked for among those that ever failed, which are few.
    "CREATE INDEX results_failed ON results (point) WHERE outcome = 'failed';",
    # Nights from before `moment` were forgotten. The views stay, whatever becomes of the tables:
    # docs/nightly.md promises it.
    """
    CREATE TABLE forgotten (moment REAL NOT NULL);
    CREATE VIEW nights_v1 AS
        SELECT night, started, finished, name, harness AS lkltest FROM nights;
    CREATE VIEW runs_v1 AS
        SELECT nights.night, cells.cell, cells.build, cells.host, cells.suite, cells.variant,
            runs.repeat, runs.outcome, runs.seconds, runs.started, runs.reason, runs.kernel,
            runs.revision, runs.compiler, runs.machine, runs.arch
        FROM runs JOIN nights ON nights.id = runs.night JOIN cells ON cells.id = runs.cell;
    CREATE VIEW results_v1 AS
        SELECT nights.night, cells.cell, points.name AS point, runs.repeat, results.outcome,
            results.seconds, results.reason
        FROM results JOIN runs ON runs.id = results.run JOIN nights ON nights.id = runs.night
            JOIN points ON points.id = results.point JOIN cells ON cells.id = points.cell;
    """,
)
"""One script for each version of the schema; the file's version is how many were run."""


class HistoryError(LkltestError):
    """A history that cannot be used; the message is one line: which file, what is wrong."""


def connect(
    file: Path | None,
    *,
    must_exist: bool = False,
    lock_seconds: float = LOCK_SECONDS,
    migrations: Sequence[str] = MIGRATIONS,
) -> sqlite3.Connection:
    """Open the history in `file`, in memory for None; make or migrate it if need be.

    Raises HistoryError.
    """
    with translate_errors(file):
        if file is not None:
            if must_exist and not file.is_file():
                raise HistoryError(f"history {file}: no such file")
            file.parent.mkdir(parents=True, exist_ok=True)
        connection = sqlite3.connect(
            ":memory:" if file is None else file, timeout=lock_seconds, isolation_level=None
        )
        try:
            _check(connection, file, len(migrations))
            _until_free(lambda: _prepare(connection, migrations), lock_seconds)
        except BaseException:
            connection.close()
            raise
        return connection


@contextlib.contextmanager
def translate_errors(file: Path | None) -> Iterator[None]:
    """Turn what SQLite and the system raise into HistoryError."""
    try:
        yield
    except sqlite3.Error as error:
        raise HistoryError(f"history {file or 'in memory'}: {_words(error)}") from None
    except OSError as error:
        raise HistoryError(f"history {file}: {error.strerror}") from None


@contextlib.contextmanager
def transaction(connection: sqlite3.Connection) -> Iterator[None]:
    """A transaction: all of it or nothing; waits for other writers. Raises sqlite3.Error."""
    connection.execute("BEGIN IMMEDIATE")
    try:
        yield
        connection.execute("COMMIT")
    except BaseException:
        if connection.in_transaction:  # a full disk may have rolled back already
            connection.execute("ROLLBACK")
        raise


def _check(connection: sqlite3.Connection, file: Path | None, known: int) -> None:
    """Nothing is written into a file that is not ours."""
    connection.execute("BEGIN")  # else another process may make the history between two looks
    try:
        version = _pragma(connection, "user_version")
        application = _pragma(connection, "application_id")
        tables = connection.execute("SELECT count(*) FROM sqlite_schema").fetchone()[0]
    finally:
        if connection.in_transaction:
            connection.execute("ROLLBACK")
    if application != APPLICATION_ID and (application or version or tables):
        raise HistoryError(f"history {file}: is an SQLite file of another program")
    if version > known:
        raise HistoryError(
            f"history {file}: has version {version}, this lkltest knows {known}: use a newer one"
        )


def _prepare(connection: sqlite3.Connection, migrations: Sequence[str]) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    if _pragma(connection, "user_version") == 0 and not connection.in_transaction:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = NORMAL")
    if _pragma(connection, "user_version") == len(migrations):
        return
    with transaction(connection):
        # Another process may have done it meanwhile.
        for number in range(_pragma(connection, "user_version"), len(migrations)):
            for statement in filter(str.strip, migrations[number].split(";")):
                connection.execute(statement)
            connection.execute(f"PRAGMA user_version = {number + 1}")
        connection.execute(f"PRAGMA application_id = {APPLICATION_ID}")


def _until_free(action: Callable[[], None], seconds: float) -> None:
    """Changing to WAL does not wait for others by itself."""
    deadline = time.monotonic() + seconds
    while True:
        try:
            action()
            return
        except sqlite3.OperationalError as error:
            if _primary(error) != sqlite3.SQLITE_BUSY or time.monotonic() > deadline:
                raise
            time.sleep(0.05)


def _pragma(connection: sqlite3.Connection, name: str) -> int:
    return int(connection.execute(f"PRAGMA {name}").fetchone()[0])


def _primary(error: sqlite3.Error) -> int:
    """The primary code of an error whose code may be an extended one."""
    return getattr(error, "sqlite_errorcode", 0) & 0xFF


def _words(error: sqlite3.Error) -> str:
    words = {
        sqlite3.SQLITE_BUSY: "is locked by another process",
        sqlite3.SQLITE_LOCKED: "is locked by another process",
        sqlite3.SQLITE_READONLY: "cannot be written: it is read-only",
        sqlite3.SQLITE_CORRUPT: "is damaged or truncated",
        sqlite3.SQLITE_NOTADB: "is not an SQLite file",
        sqlite3.SQLITE_FULL: "the disk is full",
        sqlite3.SQLITE_CANTOPEN: "cannot be opened",
    }
    if getattr(error, "sqlite_errorcode", 0) == sqlite3.SQLITE_IOERR_SHMSIZE:
        return words[sqlite3.SQLITE_FULL]  # the write-ahead log's index cannot grow
    return words.get(_primary(error), str(error))
