# SPDX-License-Identifier: GPL-2.0-only
"""The history's file: what goes in comes out, also with others at it, and after kill -9."""

import contextlib
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lkltest.nightly.history import browse
from lkltest.nightly.history import schema as history_file
from lkltest.nightly.history.browse import Slow
from lkltest.nightly.history.schema import MIGRATIONS, connect
from lkltest.nightly.history.store import History, HistoryError, RunRow
from lkltest.nightly.model.age import age

DAY = 86_400.0

# Writes nights for ever, or `count` of them, and says so for each.
WRITER = """
import sys
from pathlib import Path
from lkltest.nightly.history.store import History, RunRow
file, name, count = Path(sys.argv[1]), sys.argv[2], int(sys.argv[3])
history = History(file)
for number in range(count):
    night = f"{name}-{number:05}"
    history.begin_night(night, float(number), name, "0")
    results = [(f"p{i}", "passed", 0.1, "") for i in range(200)]
    history.add(night, [RunRow("boot@native#b", "b", "native", "boot", "", 0, "passed", 1.0, 1.0,
                               machine="m", arch="a", results=results)])
    history.finish_night(night, number + 0.5)
    print(night, flush=True)
"""


Results = list[tuple[str, str, float, str]]


def run_row(outcome: str = "passed", results: Results | None = None) -> RunRow:
    rows = results if results is not None else [("readdir", outcome, 0.5, "why")]
    return RunRow(
        *("disk[ext4]@native#b", "b", "native", "disk", "ext4", 0, outcome, 1.5, 1.0),
        *("6.12.0", "1234567", "gcc 12", "lab", "x86_64", "", rows),
    )


def fill(history: History, nights: int = 3) -> None:
    for number in range(nights):
        history.begin_night(f"n{number}", number * DAY, "nightly", "0.1")
        history.add(f"n{number}", [run_row("failed" if number == 1 else "passed")])
        history.finish_night(f"n{number}", number * DAY + 1)


def start_writer(file: Path, name: str, count: int) -> subprocess.Popen[str]:
    words = [sys.executable, "-c", WRITER, str(file), name, str(count)]
    return subprocess.Popen(words, stdout=subprocess.PIPE, text=True)


class TestMemory:
    def test_outcomes(self, tmp_path: Path) -> None:
        with History(tmp_path / "h.sqlite") as history:
            fill(history)
            last = browse.outcomes(history, "disk[ext4]@native#b/readdir", 2)
            assert [one.night for one in last] == ["n2", "n1"]
            assert [one.outcome for one in last] == ["passed", "failed"]
            assert last[1].reason == "why" and last[1].seconds == 0.5
            assert (last[1].kernel, last[1].revision) == ("6.12.0", "1234567")
            assert last[1].machine == "lab"
            cells = browse.outcomes(history, "disk[ext4]@native#b", 10)
            assert [one.seconds for one in cells] == [1.5] * 3

    def test_patterns_take_brackets_as_they_stand(self, tmp_path: Path) -> None:
        with History(None) as history:
            fill(history)
            point = "disk[ext4]@native#b/readdir"
            for pattern in (point, "disk[*]@native/read*", "*/readdir", "disk[ext4]@*#b/*"):
                assert browse.ids(history, pattern) == [point], pattern
            assert browse.ids(history, "disk*") == ["disk[ext4]@native#b"]
            assert browse.ids(history, "disk[e]*/*") == []

    def test_flaky_slow_added_and_vanished(self) -> None:
        with History(None) as history:
            fill(history)
            history.begin_night("n3", 3 * DAY, "nightly", "0.1")
            history.add("n3", [run_row("passed", [("other", "passed", 7.0, "")])])
            assert [f.id for f in browse.flakiest(history, 5)] == ["disk[ext4]@native#b/readdir"]
            assert browse.slowest(history, "n3", 5) == [Slow("disk[ext4]@native#b/other", 7.0)]
            assert browse.only_in(history, "n3", "n2") == ["disk[ext4]@native#b/other"]
            assert browse.only_in(history, "n2", "n3") == ["disk[ext4]@native#b/readdir"]
            assert [row.finished for row in browse.last_nights(history, 2)] == [False, True]

    def test_a_cell_told_twice_is_kept_once(self) -> None:
        with History(None) as history:
            fill(history)
            history.add("n2", [run_row("failed")])
            last = browse.outcomes(history, "disk[ext4]@native#b/readdir", 9)
            assert [one.outcome for one in last] == ["failed", "failed", "passed"]

    def test_prune_forgets_nights_and_what_only_they_had(self, tmp_path: Path) -> None:
        with History(tmp_path / "h.sqlite") as history:
            fill(history)
            history.begin_night("n3", 3 * DAY, "nightly", "0.1")
            history.add("n3", [run_row("passed", [("other", "passed", 7.0, "")])])
            assert history.prune(2.5 * DAY) == 3
            assert history.rows("SELECT name FROM points") == [("other",)]
            assert history.rows("SELECT count(*) FROM results") == [(1,)]
            assert history.prune(9 * DAY) == 1
            assert history.rows("SELECT count(*) FROM cells") == [(0,)]

    def test_ages(self) -> None:
        assert age("90d") == 90 * DAY
        assert age("2w") == 14 * DAY
        for text in ("", "d", "9", "-1d", "1h", "99999999d"):
            with pytest.raises(ValueError, match="no age"):
                age(text)

    def test_prune_gives_the_space_back(self, tmp_path: Path) -> None:
        file = tmp_path / "h.sqlite"
        with History(file) as history:
            for number in range(20):
                history.begin_night(f"n{number}", number * DAY, "nightly", "0.1")
                results = [(f"p{n}", "passed", 0.1, "") for n in range(1000)]
                history.add(f"n{number}", [run_row("passed", results)])
            history.prune(0)
            before = file.stat().st_size
            history.prune(19 * DAY)
            assert file.stat().st_size < before / 2


class TestVersions:
    def test_an_old_file_is_migrated_and_keeps_what_it_holds(self, tmp_path: Path) -> None:
        file = tmp_path / "h.sqlite"
        connect(file, migrations=MIGRATIONS[:1]).close()
        with sqlite3.connect(file) as old:
            old.execute("INSERT INTO nights VALUES (1, 'n', 1.0, 2.0, 'x', 'y')")
        old.close()
        with History(file) as history:
            assert history.rows("SELECT night FROM nights") == [("n",)]
            assert history.rows("PRAGMA user_version") == [(len(MIGRATIONS),)]
            assert browse.flakiest(history, 1) == []

    def test_a_migration_that_fails_changes_nothing(self, tmp_path: Path) -> None:
        file = tmp_path / "h.sqlite"
        connect(file).close()
        bad = (*MIGRATIONS, "CREATE TABLE extra (a); CREATE TABLE nights (b);")
        with pytest.raises(HistoryError, match="nights already exists"):
            connect(file, migrations=bad)
        with History(file) as history:
            assert history.rows("SELECT count(*) FROM sqlite_schema WHERE name = 'extra'") == [(0,)]

    def test_a_newer_file_is_left_alone(self, tmp_path: Path) -> None:
        file = tmp_path / "h.sqlite"
        connect(file, migrations=(*MIGRATIONS, "CREATE TABLE future (a)")).close()
        with pytest.raises(HistoryError, match=r"has version 4, this lkltest knows 3: use a newer"):
            History(file)


def not_sqlite(file: Path) -> None:
    file.write_text("[builds]\n" * 1000)


def truncated(file: Path) -> None:
    with History(file) as history:
        fill(history, 30)
    os.truncate(file, file.stat().st_size // 2)


def of_another_program(file: Path) -> None:
    with sqlite3.connect(file) as other:
        other.execute("CREATE TABLE bookmarks (url)")
    other.close()


def a_directory(file: Path) -> None:
    file.mkdir()


@pytest.mark.parametrize(
    ("spoil", "words"),
    [
        (not_sqlite, "is not an SQLite file"),
        (truncated, "is damaged or truncated"),
        (of_another_program, "is an SQLite file of another program"),
        (a_directory, "cannot be opened"),
    ],
)
def test_a_bad_file(tmp_path: Path, spoil: Callable[[Path], None], words: str) -> None:
    file = tmp_path / "h.sqlite"
    spoil(file)
    before = file.read_bytes() if file.is_file() else b""
    with pytest.raises(HistoryError) as caught:
        History(file)
    assert str(caught.value) == f"history {file}: {words}"
    assert (file.read_bytes() if file.is_file() else b"") == before, "nothing is written to it"


def test_a_locked_file(tmp_path: Path) -> None:
    file = tmp_path / "h.sqlite"
    with History(file, lock_seconds=0.05) as history:
        other = sqlite3.connect(file, isolation_level=None)
        other.execute("BEGIN IMMEDIATE")
        with pytest.raises(HistoryError, match="is locked by another process"):
            fill(history)
        other.close()
        fill(history)


# A history on disks of a few pages more each time, filled until something is said of it.
FILLER = """
import subprocess, sys
from pathlib import Path
from lkltest.nightly.history.store import History, HistoryError
folder = sys.argv[1]
for pages in range(1, 30):
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={pages * 4}k", "none", folder], check=True)
    try:
        with History(Path(folder, "h.sqlite")) as history:
            for number in range(1000):
                history.begin_night("night" * 50 + str(number), 1.0, "x", "y")
    except HistoryError as error:
        print(error)
    subprocess.run(["umount", folder], check=True)
"""


def test_a_full_disk_is_called_so(tmp_path: Path) -> None:
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root may mount")
    command = ["unshare", "-m", sys.executable, "-c", FILLER, str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True, check=True, timeout=100)
    assert done.stdout.splitlines() == [f"history {tmp_path}/h.sqlite: the disk is full"] * 29


def test_a_missing_file_is_not_made_by_a_question(tmp_path: Path) -> None:
    with pytest.raises(HistoryError, match="no such file"):
        History(tmp_path / "h.sqlite", must_exist=True)
    assert not list(tmp_path.iterdir())


class TestOthers:
    def test_a_history_that_another_process_makes_meanwhile_is_ours(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        file, read, others = tmp_path / "h.sqlite", history_file._pragma, iter([True])

        def pragma(connection: sqlite3.Connection, name: str) -> int:
            value = read(connection, name)
            if name == "application_id" and next(others, False):
                with contextlib.suppress(HistoryError):
                    connect(file, lock_seconds=0.1).close()
            return value

        monkeypatch.setattr(history_file, "_pragma", pragma)
        connect(file).close()

    def test_parallel_writers_lose_nothing(self, tmp_path: Path) -> None:
        file = tmp_path / "h.sqlite"
        writers = [start_writer(file, f"w{number}", 15) for number in range(4)]
        for writer in writers:
            writer.communicate()
            assert writer.returncode == 0
        with History(file) as history:
            assert history.rows("SELECT count(*) FROM results") == [(4 * 15 * 200,)]
            assert history.rows("SELECT count(*) FROM nights WHERE finished > 0") == [(60,)]
            assert history.rows("SELECT count(*) FROM points") == [(200,)]

    def test_what_was_committed_survives_kill_9(self, tmp_path: Path) -> None:
        file = tmp_path / "h.sqlite"
        said: list[str] = []
        for attempt in range(5):
            with start_writer(file, f"w{attempt}", 100_000) as writer:
                assert writer.stdout is not None
                said += [writer.stdout.readline().strip() for _ in range(3 + attempt)]
                writer.send_signal(signal.SIGKILL)
        with History(file) as history:
            assert history.rows("PRAGMA integrity_check") == [("ok",)]
            finished = {n for (n,) in history.rows("SELECT night FROM nights WHERE finished > 0")}
            assert set(said) <= finished
            halves = "SELECT count(*) FROM results GROUP BY run HAVING count(*) != 200"
            assert history.rows(halves) == []


def test_a_read_only_file(tmp_path: Path) -> None:
    """As root, permissions do not count: the file system has to be read-only."""
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root may mount")
    file = tmp_path / "disk" / "h.sqlite"
    with History(file) as history:
        fill(history)
    mounts = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1"'
    program = (
        "import sys; from pathlib import Path; from lkltest.nightly.history.store import *\n"
        "try:\n h = History(Path(sys.argv[1])); h.begin_night('x', 1.0, 'n', 'h')\n"
        "except HistoryError as e: print(e)"
    )
    words = ["unshare", "-m", "sh", "-c", f'{mounts} && shift && exec "$@"', "sh"]
    words += [str(file.parent), sys.executable, "-c", program, str(file)]
    done = subprocess.run(words, capture_output=True, text=True, check=False)
    assert done.stdout.startswith(f"history {file}: "), done.stderr
    assert "read-only" in done.stdout or "cannot be opened" in done.stdout


def test_the_schema_is_what_its_number_says() -> None:
    """A change of a released migration breaks the files that it made: add another one."""
    assert history_file.APPLICATION_ID == 0x4C4B4C54
    with History(None) as history:
        tables = {n for (n,) in history.rows("SELECT name FROM sqlite_schema WHERE type = 'table'")}
    assert tables == {"nights", "cells", "runs", "points", "results", "forgotten"}
