# SPDX-License-Identifier: GPL-2.0-only
"""The controller's knowledge of a suite whose worker has died with its tree of results."""

from __future__ import annotations

import contextlib
from collections.abc import Generator
from typing import Any

import pytest

from lkltest.plugin.output_files import NotWritten, write_files
from lkltest.plugin.progress import REPORTER
from lkltest.plugin.usage_error import exit_with_usage_error
from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind, SuiteResult

_OUTCOMES = {"passed": Outcome.PASSED, "failed": Outcome.FAILED, "skipped": Outcome.SKIPPED}


class LostWorkers:
    """A plugin that keeps the test points of suites that run, as they are shown, until their tree
    arrives, and reports the suite of a worker that died.
    """

    def __init__(self, config: pytest.Config) -> None:
        self._config = config
        self._points: dict[str, list[PointResult]] = {}

    @pytest.hookimpl(wrapper=True)
    def pytest_sessionstart(self) -> Generator[None]:
        """Start the workers; one line when one dies before it has begun."""
        from execnet import DumpError  # there only with pytest-xdist

        try:
            return (yield)
        except DumpError:
            reason = "pytest-xdist takes no directory and no option that is not UTF-8: leave out -j"
            exit_with_usage_error(self._config, reason)
        except (OSError, EOFError) as error:
            exit_with_usage_error(self._config, f"a worker of pytest-xdist did not start: {error}")

    def pytest_runtest_logreport(self, report: Any) -> None:
        """Take a subtest, which is a point, or a tear-down, which is the end."""
        if report.when == "teardown":
            self._points.pop(report.nodeid, None)
        name = getattr(getattr(report, "context", None), "msg", None)
        if name is None:
            return
        outcome = _OUTCOMES.get(report.outcome, Outcome.FAILED)
        if hasattr(report, "wasxfail"):
            outcome = Outcome.TODO
        log = report.longreprtext if report.outcome == "failed" else ""
        self._points.setdefault(report.nodeid, []).append(PointResult(name, outcome, log=log))

    @pytest.hookimpl(optionalhook=True)
    def pytest_handlecrashitem(self, crashitem: str) -> None:
        """Report the suite that ran when its worker died."""
        result = self._result(crashitem)
        if result is not None:
            reporter: Any = self._config.pluginmanager.get_plugin(REPORTER)
            reporter.add(result)
            with contextlib.suppress(NotWritten):  # the run has failed as it is
                write_files(result, self._config.option)

    def _result(self, nodeid: str) -> SuiteResult | None:
        """The tree of a suite; None for a test that is no suite."""
        function, _, rest = nodeid.rpartition("::")[2].partition("[")
        words = rest.removesuffix("]")
        hosts = self._config.option.lkl_host
        host = next((h for h in hosts if words == h or words.startswith(f"{h}-")), None)
        if host is None:
            return None
        reason = "the worker that ran it died (of a signal, or for want of memory)"
        return SuiteResult(
            suite=function.removeprefix("test_"),
            variant=words[len(host) + 1 :],
            host=host,
            points=tuple(self._points.pop(nodeid, ())),
            problems=(Problem(ProblemKind.SUITE_ERROR, reason),),
            properties={"host": host},
        )
