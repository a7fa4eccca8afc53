# SPDX-License-Identifier: GPL-2.0-only
"""The display of suites: a line each, a summary, how to reproduce a failure."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pytest

from lkltest.deadline import DEFAULT_TIMEOUT
from lkltest.host.build import named_build
from lkltest.plain import from_plain
from lkltest.report import terminal
from lkltest.text import printable
from lkltest.verdict.results import Outcome, SuiteResult

RESULT_ATTRIBUTE = "lkltest_result"
"""The attribute of a report that carries a suite's tree from a worker to the controller.

Not one of its `user_properties`, which other reports (JUnit's, allure's) show as they are.
"""

REPORTER = "lkltest-reporter"
"""Name under which the reporter is registered with pytest."""


class SuiteReporter:
    """Gathers the suites' trees in the process that has the terminal; adds them to its summary."""

    def __init__(self, config: pytest.Config) -> None:
        self.results: list[SuiteResult] = []
        self._config = config
        self._started = time.monotonic()
        self._is_worker = hasattr(config, "workerinput")

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        if report.when != "teardown":
            return
        data = getattr(report, RESULT_ATTRIBUTE, None)
        if data is not None:
            self.add(from_plain(SuiteResult, data))

    def pytest_terminal_summary(self, terminalreporter: Any) -> None:
        if not self.results:
            return
        terminalreporter.section("suites")
        for result in self.results:
            terminalreporter.write_line(terminal.suite_line(result, terminalreporter.hasmarkup))
            for line in terminal.tried_again_lines(result):
                terminalreporter.write_line(line)
        for result in self.results:
            if result.outcome is Outcome.FAILED:
                terminalreporter.write_line(f"reproduce: {self._reproduce(result)}")
        terminalreporter.write_line(self._summary())

    def add(self, result: SuiteResult) -> None:
        """Take the tree of a suite that has ended."""
        self.results.append(result)

    def _summary(self) -> str:
        seconds = time.monotonic() - self._started
        return terminal.summary_line(self.results, seconds, self._config.option.lkl_junit_dir)

    def _reproduce(self, result: SuiteResult) -> str:
        option = self._config.option
        words = _given(option, result.host)
        build = named_build(option.lkl_build)
        return printable(terminal.reproduce_line(result, build, words, _command(os.environ)))


def _command(environment: Mapping[str, str]) -> list[str]:
    """The start of a command line for the shell that it is pasted into, with LKL's variables.

    `make` runs the one of the checkout's .venv, which is in no PATH.
    """
    ours = Path(sys.prefix) / "bin" / "lkltest"
    found = shutil.which("lkltest")
    if (found and Path(found).resolve() == ours.resolve()) or not ours.is_file():
        command = "lkltest"
    else:
        here = Path.cwd()
        command = str(ours.relative_to(here) if ours.is_relative_to(here) else ours)
    settings = [
        f"{name}={value}"
        for name, value in sorted(environment.items())
        if name.startswith("LKL_") and name != "LKL_BUILD"  # that is --build
    ]
    return ["env", *settings, command] if settings else [command]


def _given(option: Any, host: str) -> list[str]:
    """Further options of the run that can make a difference: its limit and its host's."""
    words = []
    if option.lkl_timeout != DEFAULT_TIMEOUT:
        words += ["--timeout", f"{option.lkl_timeout:g}"]
    words += ["--wrapper", option.lkl_wrapper] if option.lkl_wrapper else []
    words += ["--valgrind"] if option.lkl_valgrind else []
    for name, value in vars(option).items():
        if name.startswith(f"lkl_{host.partition(':')[0]}_") and value not in (None, False):
            word = f"--{name.replace('_', '-')}"
            values = value if isinstance(value, list) else [value]
            words += [word if item is True else f"{word}={item}" for item in values]
    return words


class LineReporter(SuiteReporter):
    """A stand-in for pytest's terminal in `lkltest run`: a line as each suite ends, and why."""

    _unwritten: str | None = None
    """The reason why the lines could not be written, if so."""

    def add(self, result: SuiteResult) -> None:
        super().add(result)
        self._print(terminal.suite_line(result, terminal.wants_colour(sys.stdout)))
        for line in terminal.tried_again_lines(result):
            self._print(line)
        if result.outcome is Outcome.FAILED:
            for line in terminal.failure_lines(result):
                self._print(f"    {line}")
            self._print(f"    reproduce: {self._reproduce(result)}")

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        """A suite that cannot even be imported."""
        if report.failed:
            self._print(printable(f"{report.nodeid}: cannot be collected"))
            self._print(printable(report.longreprtext))

    def pytest_keyboard_interrupt(self, excinfo: pytest.ExceptionInfo[BaseException]) -> None:
        """Tell why somebody ended pytest; Ctrl-C is known to who pressed it."""
        if isinstance(excinfo.value, pytest.exit.Exception):
            self._print(printable(str(excinfo.value)))

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.results:
            self._print(self._summary())
        elif session.exitstatus == pytest.ExitCode.NO_TESTS_COLLECTED and not self._is_worker:
            terminal.echo_error("no suite was run")
        if self._unwritten:
            terminal.echo_error(f"standard output: {self._unwritten}")
            session.exitstatus = session.exitstatus or pytest.ExitCode.TESTS_FAILED

    def _print(self, line: str) -> None:
        """Print it where that is possible; the run and its JUnit files go on in any case."""
        try:
            print(line, flush=True)
        except BrokenPipeError:  # whoever read it (head, a pager) has gone
            terminal.mute_stdout()
        except OSError as error:
            self._unwritten = error.strerror
            terminal.mute_stdout()
