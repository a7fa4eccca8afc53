# SPDX-License-Identifier: GPL-2.0-only
"""A census around a whole session of tests: what they leave behind fails it.

Only processes bear a mark that says whose they are. Whatever else is new may be somebody else's at
work on the same machine: it is named, and judged by who reads it.
"""

from __future__ import annotations

import os

import pytest

from tests.census import MARKER, Census, new_marker

_SECONDS = 5.0
_PYTHONS_OWN = ("multiprocessing.resource_tracker", "multiprocessing.forkserver")
"""Helpers of this very process that end when it does."""


class LeakPolice:
    """Counts before the first test and after the last one."""

    def __init__(self) -> None:
        self.marker = new_marker()
        self.census: Census | None = None
        self.left: list[str] = []

    def pytest_sessionstart(self) -> None:
        """The marker goes to whatever tests start; those with a census of their own replace it."""
        os.environ[MARKER] = self.marker
        self.census = Census.take(self.marker)

    @pytest.hookimpl(trylast=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        """Fail the session for processes that are left."""
        if self.census is None:
            return
        found = self.census.left(_SECONDS)
        self.left = [name for name in found if not any(part in name for part in _PYTHONS_OWN)]
        leaked = any(name.startswith("process") for name in self.left)
        if leaked and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        """Name what is new."""
        for name in self.left:
            ours = "left behind" if name.startswith("process") else "new, perhaps somebody else's"
            terminalreporter.write_line(f"{ours}: {name}")
