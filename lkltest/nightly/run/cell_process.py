# SPDX-License-Identifier: GPL-2.0-only
"""One repeat of a cell: a pytest process in a scope of its own, which dies with the runner."""

from __future__ import annotations

import contextlib
import json
import os
import signal
import sys
from pathlib import Path

from lkltest.deadline import Deadline
from lkltest.nightly.model.cell import Cell
from lkltest.report.coverage import FOLDERS
from lkltest.report.tree import read
from lkltest.sandbox.scope import NAMESPACE, Child, Scope, ScopeError, probe
from lkltest.text import printable
from lkltest.verdict.results import SuiteResult

_LOG_BYTES = 64 * 1024
_COVERAGE = "coverage"


class NoResult(Exception):
    """A process that brought no result; the message is one line, `log` the end of what it said."""

    def __init__(self, message: str, log: str = "") -> None:
        super().__init__(message)
        self.log = log


class CellProcess:
    """Starts when it is made; `result` when `fileno` is readable; `close` in any case.

    Its output goes to memory and its result through the scope's folder: nothing of it is left
    behind however the night ends.
    """

    def __init__(self, cell: Cell) -> None:
        """Raises NoResult when it cannot be started."""
        self.deadline = Deadline(cell.limit)
        self._cell = cell
        self._stack = contextlib.ExitStack()
        try:
            # With a /proc of its own, where the process finds those that it starts: gdb needs it.
            proc = probe().kind == NAMESPACE
            self._scope = self._stack.enter_context(Scope(mounts=proc))
            self._log = os.memfd_create("log", os.MFD_CLOEXEC)
            self._stack.callback(os.close, self._log)
            self._child = self._spawn()
        except (OSError, ScopeError) as error:
            self._stack.close()
            raise NoResult(f"cannot be started: {error}") from None
        except BaseException:
            self._stack.close()
            raise

    def fileno(self) -> int:
        """Readable when the process has ended."""
        return self._child.fileno()

    def result(self) -> SuiteResult:
        """The tree that the process left. Raises NoResult, also when its time was over."""
        if self.deadline.expired and self._child.poll() is None:
            raise NoResult(f"killed after {self._cell.limit:g} s", self._said())
        try:
            status = self._child.wait()
            files = sorted(self._folder.glob("*.json"))
            if len(files) == 1:
                return read(files[0])
        except (OSError, ScopeError, ValueError) as error:
            raise NoResult(str(error), self._said()) from None
        said = self._said()
        lines = [line.strip() for line in said.splitlines() if line.strip()]
        last = f": {printable(lines[-1])[:300]}" if lines else ""
        raise NoResult(f"{_ending(status or 0)} without a result{last}", said)

    def coverage(self) -> dict[str, tuple[int, ...]]:
        """The lines of each folder, and how many of them were run; empty where it is not known."""
        try:
            suites = json.loads((self._scope.folder / _COVERAGE / FOLDERS).read_text("utf-8"))
        except (OSError, ValueError):
            return {}
        return {name: tuple(it) for folders in suites.values() for name, it in folders.items()}

    def close(self) -> None:
        """End it, whatever state it is in."""
        self._stack.close()

    @property
    def _folder(self) -> Path:
        return self._scope.folder / "results"

    def _spawn(self) -> Child:
        cell = self._cell
        # Not what lies in the current directory (-P); nor options meant for other runs of pytest.
        command = [sys.executable, "-P", "-m", "lkltest", *cell.run_words()]
        command += [f"--timeout={cell.timeout:g}", f"--json-dir={self._folder}"]
        command += [f"--coverage={self._scope.folder / _COVERAGE}"] if cell.coverage else []
        kept = {
            name: value
            for name, value in os.environ.items()
            if name != "LKL_BUILD" and not name.startswith("PYTEST_")
        }
        # What it leaves in its temporary directory, killed or not, goes with the scope's folder.
        temporary = {"TMPDIR": os.fspath(self._scope.folder)}
        environment = {**kept, **temporary, "NO_COLOR": "1", **cell.environment}
        return self._scope.spawn(command, env=environment, stdout=self._log, stderr=self._log)

    def _said(self) -> str:
        size = os.fstat(self._log).st_size
        data = os.pread(self._log, _LOG_BYTES, max(0, size - _LOG_BYTES))
        return data.decode(errors="backslashreplace")


def _ending(status: int) -> str:
    if os.WIFSIGNALED(status):
        number = os.WTERMSIG(status)
        with contextlib.suppress(ValueError):
            return f"killed by {signal.Signals(number).name}"
        return f"killed by signal {number}"
    return f"ended with status {os.waitstatus_to_exitcode(status)}"
