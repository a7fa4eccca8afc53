# SPDX-License-Identifier: GPL-2.0-only
"""What pytest's terminal shows of the suites: a line each, a summary, how to reproduce."""

from __future__ import annotations

import sys
import time
from typing import Any

import pytest

from lkltest.build import named_build
from lkltest.report import terminal
from lkltest.results import Outcome, SuiteResult

RESULT_PROPERTY = "lkltest"
"""Name of the user property that carries a suite's tree from a worker to the controller."""


class SuiteReporter:
    """Gathers the trees in the process that has the terminal, and prints them.

    With --lkl-lines (as `lkltest run` gives) it replaces pytest's dots: a line as each suite ends.
    """

    def __init__(self, config: pytest.Config) -> None:
        self.results: list[SuiteResult] = []
        self._config = config
        self._lines = bool(config.option.lkl_lines)
        self._started = time.monotonic()

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionstart(self) -> None:
        if self._lines:
            # xdist's own reporter, which tells of its workers; None without xdist.
            self._config.pluginmanager.unregister(name="terminaldistreporter")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown":
            return
        for name, value in report.user_properties:
            if name == RESULT_PROPERTY and isinstance(value, dict):
                self._add(SuiteResult.from_dict(value))

    @pytest.hookimpl(tryfirst=True)
    def pytest_report_teststatus(self, report: pytest.TestReport) -> tuple[str, str, str] | None:
        """Nothing but the suites' lines is shown in --lkl-lines."""
        if not self._lines or self._config.get_verbosity() > 0:
            return None
        return ("", "", "")

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.results:
            return
        if not self._lines:
            terminalreporter.section("suites")
            for result in self.results:
                terminalreporter.write_line(terminal.suite_line(result, terminalreporter.hasmarkup))
            for result in self._failed():
                terminalreporter.write_line(f"reproduce: {self._reproduce(result)}")
        terminalreporter.write_line(
            terminal.summary_line(
                self.results,
                time.monotonic() - self._started,
                self._config.option.lkl_junit_dir,
            )
        )

    def _add(self, result: SuiteResult) -> None:
        self.results.append(result)
        if not self._lines:
            return
        out = sys.stdout
        print(terminal.suite_line(result, terminal.wants_colour(out)), file=out, flush=True)
        if result.outcome is Outcome.FAILED:
            for line in terminal.failure_lines(result):
                print(f"    {line}", file=out)
            print(f"    reproduce: {self._reproduce(result)}", file=out, flush=True)

    def _failed(self) -> list[SuiteResult]:
        return [result for result in self.results if result.outcome is Outcome.FAILED]

    def _reproduce(self, result: SuiteResult) -> str:
        return terminal.reproduce_line(result, named_build(self._config.option.lkl_build))
