# SPDX-License-Identifier: GPL-2.0-only
"""Cells as processes, the lock, a night's folder, the progress display."""

import fcntl
import io
import json
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

import pytest

from lkltest.nightly.config.commit import of_directory
from lkltest.nightly.history.queries import commit_of_release
from lkltest.nightly.model.cell import Cell, CellOutcome, CellRecord
from lkltest.nightly.model.ids import parse_id
from lkltest.nightly.run.lock import Overlap, locked
from lkltest.nightly.run.progress import Display, State, state_line
from lkltest.nightly.run.runner import Quiet, run_cell, run_cells
from lkltest.nightly.run.store import NightFolder, NoNight, new_night, nights, unfinished
from lkltest.plain import from_plain, to_plain
from lkltest.sandbox.scope import NAMESPACE, probe
from lkltest.text import duration
from lkltest.verdict.results import ProblemKind
from tests.fake_build import fake_build
from tests.nightly.compare.synthetic import record


def boot(directory: Path, mode: str, **more: object) -> Cell:
    build = fake_build(directory / mode, boot=mode)
    return replace(Cell(mode, "native", "boot", path=str(build)), **more)  # type: ignore[arg-type]


class TestRunner:
    def test_a_record_says_where_and_travels_as_json(self, tmp_path: Path) -> None:
        one = run_cell(boot(tmp_path, "pass", repeat=2), "lab-3")
        assert one.outcome is CellOutcome.PASSED and one.machine == "lab-3" and one.arch
        assert len(one.results) == 2
        assert from_plain(CellRecord, json.loads(json.dumps(to_plain(one)))) == one

    def test_the_environment_of_other_runs_is_not_taken_over(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("PYTEST_ADDOPTS", "--nonsense")
        monkeypatch.setenv("LKL_BUILD", "/nonexistent")
        monkeypatch.chdir(tmp_path)
        (tmp_path / "pytest.py").write_text("raise RuntimeError('not this one')")
        assert run_cell(boot(tmp_path, "pass")).outcome is CellOutcome.PASSED

    def test_an_error_says_what_the_process_said(self, tmp_path: Path) -> None:
        one = run_cell(replace(boot(tmp_path, "pass"), path="/nonexistent"))
        assert one.outcome is CellOutcome.ERROR
        assert "/nonexistent: no such directory" in one.error and "\n" not in one.error
        assert "/nonexistent" in one.log

    def test_a_crash_in_a_cell_leaves_its_stacks(self, tmp_path: Path) -> None:
        """A cell is in a scope of its own, and so is the program in it: gdb has to find it."""
        if shutil.which("gdb") is None or probe().kind != NAMESPACE:
            pytest.skip("no gdb or no namespaces here")
        (result,) = run_cell(boot(tmp_path, "segfault")).results
        (problem,) = (one for one in result.problems if one.kind is ProblemKind.SIGNAL)
        assert "main" in problem.detail, problem

    def test_they_run_side_by_side_and_in_order(self, tmp_path: Path) -> None:
        class Seen(Quiet):
            now = most = 0

            def started(self, cell: Cell) -> None:
                self.now += 1
                self.most = max(self.most, self.now)

            def finished(self, record: CellRecord) -> None:
                self.now -= 1
                super().finished(record)

        seen = Seen()
        cells = [boot(tmp_path, "pass") for _ in range(4)]
        run_cells(cells, 2, seen)
        assert len(seen.records) == 4 and seen.most == 2

    def test_what_the_listener_raises_ends_all(self, tmp_path: Path) -> None:
        class Full(Quiet):
            def finished(self, record: CellRecord) -> None:
                raise OSError(28, "No space left on device")

        with pytest.raises(OSError, match="No space left"):
            run_cells([boot(tmp_path, "pass"), boot(tmp_path, "hang")], 2, Full())


HOLDER = """
import sys, time
from pathlib import Path
from lkltest.nightly.run.lock import locked
with locked(Path(sys.argv[1])):
    print("held", flush=True)
    time.sleep(100)
"""


@pytest.fixture
def holder(tmp_path: Path) -> Iterator[subprocess.Popen[str]]:
    words = [sys.executable, "-c", HOLDER, str(tmp_path)]
    with subprocess.Popen(words, stdout=subprocess.PIPE, text=True) as process:
        assert process.stdout is not None and process.stdout.readline() == "held\n"
        yield process
        process.kill()


class TestLock:
    def test_it_says_who_holds_it(self, tmp_path: Path, holder: subprocess.Popen[str]) -> None:
        with pytest.raises(Overlap, match=f"the night of process {holder.pid} on .* since "):
            locked(tmp_path).__enter__()

    def test_a_killed_holders_is_taken_over_and_told_once(
        self, tmp_path: Path, holder: subprocess.Popen[str]
    ) -> None:
        holder.send_signal(signal.SIGKILL)
        holder.wait()
        with locked(tmp_path) as stale:
            assert f"process {holder.pid} " in stale and "was killed" in stale
        with locked(tmp_path) as stale:
            assert stale == ""

    def test_one_that_ended_with_an_error_was_not_killed(self, tmp_path: Path) -> None:
        with pytest.raises(NoNight), locked(tmp_path):
            unfinished(tmp_path)
        with locked(tmp_path) as stale:
            assert stale == ""

    def test_another_pid_of_that_number_does_not_matter(self, tmp_path: Path) -> None:
        (tmp_path / "lock").write_text(json.dumps({"pid": os.getpid(), "node": "x", "since": 1}))
        with locked(tmp_path) as stale:
            assert f"process {os.getpid()} on x" in stale

    @pytest.mark.parametrize("text", ["{", "[]", "7", '"x"', "{}", ""])
    def test_whatever_the_file_holds(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "lock").write_text(text)
        with locked(tmp_path), (tmp_path / "lock").open() as file, pytest.raises(BlockingIOError):
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)


class TestFolder:
    def test_records_come_back(self, tmp_path: Path) -> None:
        folder = new_night(tmp_path, "n", "0.1", 1.0)
        one = record((), Cell("b", "native", "disk", "ext4/weird #@"))
        folder.write(one)
        assert list(folder.records()) == [one]
        assert folder.finished([one.cell]) == {one.cell.id: one}
        assert folder.finished([replace(one.cell, commit="abc")]) != {}, "HEAD may move on"
        assert folder.finished([replace(one.cell, timeout=1.0)]) == {}

    def test_a_damaged_record_is_a_cell_that_has_not_ended(self, tmp_path: Path) -> None:
        folder = new_night(tmp_path, "n", "0.1", 1.0)
        path = folder.write(record(()))
        for text in ("", "{", "[]", "{}", '{"cell": 1, "results": 2}', "\xff"):
            path.write_text(text, encoding="latin-1")
            assert list(folder.records()) == []

    def test_two_nights_in_one_second(self, tmp_path: Path) -> None:
        first, second = (new_night(tmp_path, "n", "0.1", 1.0) for _ in range(2))
        assert first.path != second.path
        assert nights(tmp_path) == [first, second]
        second.finish(2.0)
        assert unfinished(tmp_path, first.id) == first
        with pytest.raises(NoNight, match="is complete"):
            unfinished(tmp_path)

    def test_a_long_name(self, tmp_path: Path) -> None:
        folder = new_night(tmp_path, "n", "0.1", 1.0)
        cells = [Cell("b", "native", "s", "x" * 500 + end) for end in "ab"]
        for cell in cells:
            folder.write(record((), cell))
        assert folder.finished(cells).keys() == {cell.id for cell in cells}

    def test_folders_that_are_no_nights(self, tmp_path: Path) -> None:
        (tmp_path / "nights" / "x").mkdir(parents=True)
        (tmp_path / "nights" / "x" / "night.json").write_text("{}")
        assert nights(tmp_path) == []
        with pytest.raises(NoNight, match="no night to resume"):
            unfinished(tmp_path)
        with pytest.raises(OSError, match="No such file"):
            NightFolder(tmp_path / "y").head()


class TestProgress:
    CELLS = tuple(Cell("b", "native", "s", str(number)) for number in range(4))

    def state(self, jobs: int = 1) -> State:
        return State(self.CELLS, jobs, {cell.id: 60.0 for cell in self.CELLS})

    def test_time_left(self) -> None:
        state = self.state()
        assert state.seconds_left(0.0) == 240
        state.running[self.CELLS[0].id] = 0.0
        assert state.seconds_left(20.0) == 220
        assert state.seconds_left(500.0) == 180, "what takes longer is over any moment"
        assert self.state(2).seconds_left(0.0) == 120
        assert self.state(100).seconds_left(0.0) == 60, "more jobs than cells do not help"

    def test_a_new_cell_takes_what_the_others_took(self) -> None:
        state = State(self.CELLS, 1, {})
        state.done[self.CELLS[0].id] = record((), self.CELLS[0], seconds=5.0)
        assert state.seconds_left(0.0) == 15

    def test_the_line_that_moves(self) -> None:
        state = self.state(2)
        state.running = {cell.id: 0.0 for cell in self.CELLS[:3]}
        state.done[self.CELLS[3].id] = record((), self.CELLS[3], error="gone")
        line = state_line(state, 0.0)
        assert line.startswith("1 of 4 cells, 1 failed; running s[0]@native#b, s[1]@native#b and 1")
        assert line.endswith("about 1 min 30 s left")

    @pytest.mark.parametrize("columns", [40, 80])
    def test_it_fits_the_terminal(self, columns: int, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("COLUMNS", str(columns))
        stream = io.StringIO()
        monkeypatch.setattr(stream, "isatty", lambda: True)
        state = self.state(4)
        state.running = {f"net[loopback]@native#{number}": 0.0 for number in range(4)}
        Display(state, stream).tick()
        assert len(stream.getvalue().removeprefix("\r\x1b[K")) == columns - 1

    def test_no_terminal_no_moving_line(self) -> None:
        stream = io.StringIO()
        display = Display(self.state(), stream)
        display.tick()
        display.end()
        assert stream.getvalue() == ""

    def test_durations(self) -> None:
        shown = [duration(seconds) for seconds in (4.4, 40, 120, 200, 7500)]
        assert shown == ["4.4 s", "40 s", "2 min", "3 min 20 s", "2 h 5 min"]


class TestNames:
    def test_ids(self) -> None:
        for cell in (Cell("b-1", "native", "disk", "ext4"), Cell("b", "x", "boot")):
            name = parse_id(cell.id)
            assert name is not None
            assert (name.build, name.host) == (cell.build, cell.host)
            assert (name.suite, name.variant) == (cell.suite, cell.variant)
        assert parse_id("boot@native#b/point") is None

    def test_commits(self, tmp_path: Path) -> None:
        assert commit_of_release("6.12.0-rc1-00012-g1234567") == "1234567"
        assert commit_of_release("6.12.0-rc1-g1234567abc-dirty") == "1234567abc"
        assert commit_of_release("6.1.0-generic") == ""
        assert of_directory(tmp_path) == ""
        for name in ("Kbuild", "MAINTAINERS"):
            (tmp_path / name).touch()
        assert of_directory(tmp_path) == "", "a tree that git does not know"
        git = ["git", "-C", str(tmp_path), "-c", "user.name=x", "-c", "user.email=x@example.org"]
        subprocess.run([*git, "init", "-q"], check=True)
        subprocess.run([*git, "commit", "-q", "--allow-empty", "-m", "x"], check=True)
        (tmp_path / "tools" / "lkl").mkdir(parents=True)
        assert len(of_directory(tmp_path / "tools" / "lkl")) == 40
