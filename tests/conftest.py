# SPDX-License-Identifier: GPL-2.0-only
"""A leak fails the run, and in CI (CI=true) a skip that .ci/allowed-skips.txt does not list."""

import importlib.util
import os
import signal
from pathlib import Path
from types import ModuleType
from typing import Any

import pytest

from tests.census import MARKER, Census, new_marker
from tests.leaks import LeakPolice

CHECKER = Path(__file__).parents[1] / ".ci" / "check_skips.py"


def load_checker() -> ModuleType:
    """The script that does the same for the suites' JUnit files."""
    spec = importlib.util.spec_from_file_location("check_skips", CHECKER)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def runs_own_tests(config: pytest.Config) -> bool:
    """Whether this run is of the project's own tests.

    pytest reads this file for a run of the suites in the checkout, too, whose hosts (Wine's server)
    live on until the session is over.
    """
    tests = Path(__file__).parent
    paths = (config.invocation_params.dir / word.partition("::")[0] for word in config.args)
    return any(path.resolve().is_relative_to(tests) for path in paths)


class SkipPolice:
    """Gathers what was skipped, and fails the session for what may not be."""

    def __init__(self, allowed: str) -> None:
        self._checker = load_checker()
        self._patterns = list(self._checker.read_patterns(allowed))
        self.refused: list[str] = []

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        self._look(report)

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        self._look(report)

    @pytest.hookimpl(tryfirst=True)
    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        if self.refused and session.exitstatus == pytest.ExitCode.OK:
            session.exitstatus = pytest.ExitCode.TESTS_FAILED

    def pytest_terminal_summary(self, terminalreporter: pytest.TerminalReporter) -> None:
        for line in self.refused:
            terminalreporter.write_line(f"skip not allowed by .ci/allowed-skips.txt: {line}")

    def _look(self, report: pytest.TestReport | pytest.CollectReport) -> None:
        if not report.skipped or hasattr(report, "wasxfail"):
            return
        if not report.nodeid.startswith(f"{Path(__file__).parent.name}/"):
            return  # pytest reads this file as well when it runs the suites from the checkout
        text = report.longrepr[2] if isinstance(report.longrepr, tuple) else str(report.longrepr)
        reason = " ".join(text.removeprefix("Skipped: ").split())
        allows = self._checker.allows
        if not any(allows(pattern, report.nodeid, reason) for pattern in self._patterns):
            self.refused.append(f"{report.nodeid}: {reason}")


def pytest_configure(config: pytest.Config) -> None:
    if not runs_own_tests(config):
        return
    from hypothesis import settings  # this file is read for the suites, too

    settings.register_profile("lkltest", deadline=None)  # a busy machine is no failure
    settings.load_profile("lkltest")
    if hasattr(config, "workerinput"):
        return
    # A shell's job in the background ignores the one, nohup the other; what tests start would
    # inherit it, and they press Ctrl-C and hang up.
    for number in (signal.SIGINT, signal.SIGHUP):
        if signal.getsignal(number) is signal.SIG_IGN:
            default = signal.default_int_handler if number == signal.SIGINT else signal.SIG_DFL
            signal.signal(number, default)
    config.pluginmanager.register(LeakPolice())
    if os.environ.get("CI") == "true":
        allowed = CHECKER.with_name("allowed-skips.txt").read_text(encoding="utf-8")
        config.pluginmanager.register(SkipPolice(allowed))


UNIT = (
    *("tap", "verdict", "report", "nightly/compare", "nightly/config"),
    *("test_architecture.py", "test_face.py", "test_plain.py", "host/test_executable.py"),
)
SIMULATIONS = tuple(f"nightly/compare/test_{name}.py" for name in ("chance", "synthetic", "times"))
HOSTS = ("wine", "qemu", "uml")


def kind_of(path: Path) -> str:
    """The marker of a test's file: `unit`, `simulation`, a host that it needs, or `kernel`."""
    place = path.relative_to(Path(__file__).parent)
    if place.as_posix() in SIMULATIONS:
        return "simulation"
    if any(place.is_relative_to(unit) for unit in UNIT):
        return "unit"
    return next((host for host in HOSTS if place.is_relative_to(f"hosts/{host}")), "kernel")


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Mark each test, so that `-m wine` runs what needs Wine."""
    tests = Path(__file__).parent
    for item in items:
        if item.path.is_relative_to(tests):
            item.add_marker(kind_of(item.path))


TOGETHER = ("hosts/wine", "test_packaging.py")
"""Tests that share what takes long to make, or can be there once: Wine's prefix, the wheel."""


def scope_of(nodeid: str) -> str:
    """The tests that one worker runs in one piece: a class, else a module, or one of TOGETHER.

    >>> scope_of("tests/cli/test_run.py::TestVerdicts::test_it_passes[a::b]")
    'tests/cli/test_run.py::TestVerdicts'
    """
    root = Path(__file__).parent.name
    places = (place for place in TOGETHER if nodeid.startswith(f"{root}/{place}"))
    return next(places, nodeid.partition("[")[0].rpartition("::")[0])


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_make_scheduler(config: pytest.Config, log: Any) -> Any:
    """Hand out tests by `scope_of`."""
    if not runs_own_tests(config):
        return None
    from xdist.scheduler import LoadScopeScheduling

    class ByScope(LoadScopeScheduling):
        def _split_scope(self, nodeid: str) -> str:
            return scope_of(nodeid)

    return ByScope(config, log)


@pytest.fixture
def empty(tmp_path: Path) -> Path:
    """A directory of its own for a run of pytest that is watched."""
    directory = tmp_path / "empty"
    directory.mkdir()
    return directory


@pytest.fixture
def census(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Census:
    """A census of what this test and its programs start, with a TMPDIR of their own."""
    marker = new_marker()
    monkeypatch.setenv(MARKER, marker)
    monkeypatch.setenv("TMPDIR", os.fspath(tmp_path))
    return Census.take(marker, tmp_path)
