# SPDX-License-Identifier: GPL-2.0-only
"""The memory of earlier nights: every test point of every cell, in one SQLite file."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Self

from lkltest.nightly.history.schema import (
    LOCK_SECONDS,
    HistoryError,
    connect,
    transaction,
    translate_errors,
)

__all__ = ["History", "HistoryError", "RunRow", "translate_errors"]

ResultRow = tuple[str, str, float | None, str]
"""Name of the point, outcome, seconds, reason."""


@dataclass(frozen=True, slots=True)
class RunRow:
    """One repeat of one cell, as it is kept; moments and times in seconds.

    `outcome` is passed, failed, skipped or error; `reason` says why for the last two.
    """

    cell: str
    build: str
    host: str
    suite: str
    variant: str
    repeat: int
    outcome: str
    seconds: float
    started: float
    kernel: str = ""
    revision: str = ""
    compiler: str = ""
    machine: str = ""
    arch: str = ""
    reason: str = ""
    results: Sequence[ResultRow] = ()


class History:
    """An open history; a context manager. Every method may raise HistoryError."""

    def __init__(
        self,
        file: Path | None,
        *,
        must_exist: bool = False,
        lock_seconds: float = LOCK_SECONDS,
    ) -> None:
        """Open `file`; None keeps everything in memory."""
        self.file = file
        self.connection = connect(file, must_exist=must_exist, lock_seconds=lock_seconds)

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Close the file; safe when repeated."""
        with translate_errors(self.file):
            self.connection.close()

    def rows(self, query: str, parameters: Iterable[Any] = ()) -> list[tuple[Any, ...]]:
        """Run a query."""
        with translate_errors(self.file):
            return self.connection.execute(query, tuple(parameters)).fetchall()

    def begin_night(self, night: str, started: float, name: str, harness: str) -> None:
        """Make a night known; nothing happens when it is."""
        self._write(
            lambda c: c.execute(
                "INSERT OR IGNORE INTO nights (night, started, name, harness) VALUES (?, ?, ?, ?)",
                (night, started, name, harness),
            )
        )

    def finish_night(self, night: str, finished: float) -> None:
        """Mark a night as complete: only such a one is compared with."""
        self._write(
            lambda c: c.execute("UPDATE nights SET finished = ? WHERE night = ?", (finished, night))
        )

    def add(self, night: str, runs: Sequence[RunRow]) -> None:
        """Keep the repeats of a cell, all or none; they replace what was kept of them."""

        def write(connection: sqlite3.Connection) -> None:
            for run in runs:
                _add_run(connection, night, run)

        self._write(write)

    def prune(self, older_than: float) -> int:
        """Forget nights that began before a moment; returns how many."""

        def write(connection: sqlite3.Connection) -> int:
            _delete_results(connection, older_than)
            gone = connection.execute("DELETE FROM nights WHERE started < ?", (older_than,))
            connection.execute("INSERT INTO forgotten VALUES (?)", (older_than,))
            connection.execute(
                "DELETE FROM points WHERE NOT EXISTS"
                " (SELECT 1 FROM results WHERE results.point = points.id)"
            )
            connection.execute(
                "DELETE FROM cells WHERE id NOT IN (SELECT cell FROM runs)"
                " AND id NOT IN (SELECT cell FROM points)"
            )
            return gone.rowcount

        count = self._write(write)
        with translate_errors(self.file):
            # It frees a page a step, and only a script is stepped to its end.
            self.connection.executescript("PRAGMA incremental_vacuum")
            self.connection.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall()
        return int(count)

    def forgotten(self) -> float:
        """The moment before which all nights were forgotten; they are not taken in again."""
        ((moment,),) = self.rows("SELECT max(moment) FROM forgotten")
        return float(moment or 0)

    def _write(self, action: Callable[[sqlite3.Connection], Any]) -> Any:
        with translate_errors(self.file), transaction(self.connection):
            return action(self.connection)


def _delete_results(connection: sqlite3.Connection, older_than: float) -> None:
    """Delete the results of nights that began before a moment.

    A large part goes at once, without the indices, which are made anew: one by one takes four times
    as long.
    """
    old = "SELECT runs.id FROM runs JOIN nights ON nights.id = runs.night WHERE nights.started < ?"
    few = f"SELECT (SELECT count(*) FROM ({old})) * 8 < (SELECT count(*) FROM runs)"  # noqa: S608
    if connection.execute(few, (older_than,)).fetchone()[0]:
        return  # they go with their nights
    indices = connection.execute(
        "SELECT name, sql FROM sqlite_schema"
        " WHERE type = 'index' AND tbl_name = 'results' AND sql IS NOT NULL"
    ).fetchall()
    for name, _ in indices:
        connection.execute(f"DROP INDEX {name}")
    connection.execute(f"DELETE FROM results WHERE run IN ({old})", (older_than,))  # noqa: S608
    for _, statement in indices:
        connection.execute(statement)


def _add_run(connection: sqlite3.Connection, night: str, run: RunRow) -> None:
    cell = _id_of(
        connection,
        "SELECT id FROM cells WHERE cell = ?",
        (run.cell,),
        "INSERT INTO cells (cell, build, host, suite, variant) VALUES (?, ?, ?, ?, ?)",
        (run.cell, run.build, run.host, run.suite, run.variant),
    )
    (night_id,) = connection.execute("SELECT id FROM nights WHERE night = ?", (night,)).fetchone()
    connection.execute(
        "DELETE FROM runs WHERE night = ? AND cell = ? AND repeat = ?", (night_id, cell, run.repeat)
    )
    kept = (run.outcome, run.seconds, run.started, run.kernel, run.revision, run.compiler)
    made = connection.execute(
        "INSERT INTO runs (night, cell, repeat, outcome, seconds, started, kernel, revision,"
        " compiler, machine, arch, reason) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (night_id, cell, run.repeat, *kept, run.machine, run.arch, run.reason),
    )
    connection.executemany(
        "INSERT OR IGNORE INTO points (cell, name) VALUES (?, ?)",
        [(cell, name) for name, *_ in run.results],
    )
    connection.executemany(
        "INSERT INTO results (point, run, outcome, seconds, reason)"
        " SELECT id, ?, ?, ?, ? FROM points WHERE cell = ? AND name = ?",
        [
            (made.lastrowid, outcome, seconds, reason or None, cell, name)
            for name, outcome, seconds, reason in run.results
        ],
    )


def _id_of(
    connection: sqlite3.Connection,
    select: str,
    key: tuple[Any, ...],
    insert: str,
    values: tuple[Any, ...],
) -> int:
    found = connection.execute(select, key).fetchone()
    if found is None:
        found = (connection.execute(insert, values).lastrowid,)
    return int(found[0])
