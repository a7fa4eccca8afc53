# SPDX-License-Identifier: GPL-2.0-only
"""The pytest plugin: options and hooks. Without --lkl-host it changes nothing in a test run."""

from __future__ import annotations

import argparse
import contextlib
import fnmatch
from collections.abc import Collection, Generator, Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

from lkltest.deadline import DEFAULT_TIMEOUT, timeout
from lkltest.errors import BuildError, LaunchError
from lkltest.host.error_boundary import missing_of
from lkltest.host.registry import add_host_options, check
from lkltest.plain import to_plain
from lkltest.plugin import xdist_workers as workers
from lkltest.plugin.fixtures import disk_image, lkl, network
from lkltest.plugin.inner_pytest import installed
from lkltest.plugin.item import ItemRecord, host_of, record_key, recorded, result_of, select
from lkltest.plugin.output_files import NotWritten, write_files
from lkltest.plugin.point_report import (
    all_skipped,
    mark_failed,
    mark_lost,
    mark_point,
    name_failed,
    point_status,
)
from lkltest.plugin.progress import REPORTER, RESULT_ATTRIBUTE, LineReporter, SuiteReporter
from lkltest.plugin.session import Session, UnknownHost, open_session, session_of
from lkltest.plugin.usage_error import exit_with_usage_error
from lkltest.plugin.xdist_crash import LostWorkers
from lkltest.report.terminal import problem_lines
from lkltest.signals import handle_termination_signals, interrupt_workers, repeat_dropped_interrupts
from lkltest.text import printable

__all__ = ["disk_image", "lkl", "network"]

_OPTIONS: tuple[tuple[str, dict[str, Any]], ...] = (
    (
        "--lkl-host",
        {"action": "append", "metavar": "NAME", "help": "host to run on; may be repeated"},
    ),
    ("--lkl-build", {"metavar": "DIR", "help": "build whose programs are run"}),
    ("--lkl-junit-dir", {"metavar": "DIR", "help": "write a JUnit file a suite into DIR"}),
    (
        "--lkl-timeout",
        {
            "type": timeout,
            "default": DEFAULT_TIMEOUT,
            "metavar": "SECONDS",
            "help": f"limit for one program (default {DEFAULT_TIMEOUT:g}); "
            "other limits follow from it",
        },
    ),
    ("--lkl-wrapper", {"metavar": "CMD", "help": "run programs by this command: 'strace -o x'"}),
    (
        "--lkl-valgrind",
        {"action": "store_true", "help": "run programs by valgrind; its errors are test points"},
    ),
    (
        "--lkl-coverage",
        {"metavar": "DIR", "help": "keep the coverage data of each suite's programs in DIR"},
    ),
    (
        "--lkl-suite",
        {
            "action": "append",
            "metavar": "SUITE[VARIANT]",
            "help": "run only this suite or variant; may be repeated",
        },
    ),
)
"""Options that `pytest --help` shows; each has a short spelling, too (`--build`)."""

_WORKER_ERROR = "lkltest_error"
_nodes: list[Any] = []  # xdist's workers, as their controller sees them


def pytest_addoption(parser: pytest.Parser) -> None:
    group = parser.getgroup("lkl", "Linux Kernel Library")
    for name, settings in _OPTIONS:
        group.addoption(name, **settings)
    group.addoption("--lkl-json-dir", help=argparse.SUPPRESS)
    group.addoption("--lkl-dry-run", action="store_true", help=argparse.SUPPRESS)
    group.addoption("--lkl-gdb", action="store_true", help=argparse.SUPPRESS)
    group.addoption("--lkl-command", action="store_true", help=argparse.SUPPRESS)
    group.addoption("--lkl-lines", action="store_true", help=argparse.SUPPRESS)


@pytest.hookimpl(wrapper=True, tryfirst=True)
def pytest_load_initial_conftests(
    parser: pytest.Parser, args: list[str]
) -> Generator[None, object, object]:
    result = yield  # a conftest.py may bring a host
    group = parser.getgroup("lkl")
    add_host_options(group, args)
    # The command's spellings, where no other plugin and no conftest.py has such an option.
    for name, settings in _OPTIONS:
        with contextlib.suppress(ValueError, argparse.ArgumentError):
            short = "--" + name.removeprefix("--lkl-")
            dest = name.removeprefix("--").replace("-", "_")
            group.addoption(short, dest=dest, **{**settings, "help": argparse.SUPPRESS})
    return result


def pytest_configure(config: pytest.Config) -> None:
    worker = getattr(config, "workerinput", {})
    workers.die_with_controller(config)
    option = config.option
    shared = workers.shared_folder(config)
    session = Session(vars(option), option.lkl_build, option.lkl_timeout, shared)
    open_session(config, session)
    reporter = LineReporter if option.lkl_lines else SuiteReporter
    config.pluginmanager.register(reporter(config), REPORTER)
    if option.lkl_command and not option.lkl_host:
        try:
            option.lkl_host = [session.default_host()]
        except (BuildError, UnknownHost) as error:
            exit_with_usage_error(config, str(error))
    if option.lkl_host:
        config.add_cleanup(handle_termination_signals())
        if getattr(option, "numprocesses", None) and not worker:
            config.pluginmanager.register(LostWorkers(config))
        _choose_suites(config)
        if getattr(option, "numprocesses", None) and not option.basetemp:
            # xdist makes pytest's temporary directories at once; here they go with the runner.
            option.basetemp = str(session.share() / "pytest")
        spread = bool(getattr(option, "tx", None)) and not worker
        try:
            for name in option.lkl_host:
                host = session.host(name)
                if missing_of(host) is None:
                    check(host)
                    if session.build_name or not option.collectonly:
                        session.build(name)
                    if not (option.collectonly or option.lkl_dry_run or spread):
                        session.prepare(host)
        except (BuildError, LaunchError, UnknownHost) as error:
            exit_with_usage_error(config, str(error))
        if spread:
            # Before xdist starts workers, with one of which what lasts the session would die.
            _enter_hosts(config, option.lkl_host)
        if option.lkl_junit_dir and not worker:
            _prepare_reports(config, Path(option.lkl_junit_dir))


def pytest_unconfigure(config: pytest.Config) -> None:
    session_of(config).close()


@pytest.hookimpl(tryfirst=True)
def pytest_sessionstart(session: pytest.Session) -> None:
    if session.config.option.lkl_host:  # not before all of pytest is configured: it has such a hook
        session.config.add_cleanup(repeat_dropped_interrupts())


@pytest.hookimpl(optionalhook=True)
def pytest_xdist_setupnodes(config: pytest.Config, specs: list[Any]) -> None:
    if config.option.lkl_host:
        workers.start_contained(specs)


@pytest.hookimpl(optionalhook=True)
def pytest_configure_node(node: Any) -> None:
    if node.config.option.lkl_host:
        _nodes.append(node)
        workers.configure(node, session_of(node.config).share())


@pytest.hookimpl(optionalhook=True)
def pytest_testnodedown(node: Any) -> None:
    """End with what a worker found wrong with the command line."""
    message = getattr(node, "workeroutput", {}).get(_WORKER_ERROR)
    if message:
        exit_with_usage_error(node.config, message)


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "lkl_host" not in metafunc.fixturenames:
        return
    names = metafunc.config.option.lkl_host
    if not names:
        try:
            names = [session_of(metafunc.config).default_host()]
        except (BuildError, UnknownHost) as error:
            raise pytest.Collector.CollectError(str(error)) from None
    metafunc.parametrize("lkl_host", list(dict.fromkeys(names)), scope="session")


def pytest_collection_modifyitems(config: pytest.Config, items: list[pytest.Item]) -> None:
    if not config.option.lkl_suite:
        return
    try:
        kept, dropped = select(items, config.option.lkl_suite)
    except KeyError as error:
        message = str(error.args[0])
        if not hasattr(config, "workeroutput"):
            exit_with_usage_error(config, message)
        # A worker that ends here is only replaced by the next one: its controller has to end.
        config.workeroutput[_WORKER_ERROR] = message
        kept, dropped = [], items[:]
    items[:] = kept
    config.hook.pytest_deselected(items=dropped)


@pytest.hookimpl(tryfirst=True)
def pytest_runtestloop(session: pytest.Session) -> None:
    """Start what hosts keep for the session while their progress can still be seen.

    Workers do so when a test asks: by then it is their controller's.
    """
    if not hasattr(session.config, "workerinput"):
        _enter_hosts(session.config, [name for item in session.items if (name := host_of(item))])


@pytest.hookimpl(wrapper=True)
def pytest_cmdline_main(config: pytest.Config) -> Generator[None, object, object]:
    """Run the session: in a worker, this is all of it."""
    with workers.interruptible(config):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_protocol(
    item: pytest.Item, nextitem: pytest.Item | None
) -> Generator[None, object, object]:
    """Run a suite whose connection was lost anew, once, with all its fixtures.

    Report what is known of one that an interruption ends: pytest makes no report of it.
    """
    try:
        result = yield
        record = item.stash.get(record_key, None)
        if record is not None and record.lost:
            item.stash[record_key] = ItemRecord(tried_again=record.lost)
            item.ihook.pytest_runtest_protocol(item=item, nextitem=nextitem)
        return result
    except (KeyboardInterrupt, pytest.exit.Exception):
        result = result_of(item)
        reporter: Any = item.config.pluginmanager.get_plugin(REPORTER)
        if result is not None and result.id not in {known.id for known in reporter.results}:
            reporter.add(result)
            with contextlib.suppress(NotWritten):  # what was interrupted matters more
                write_files(result, item.config.option)
        raise


@pytest.hookimpl(tryfirst=True)
def pytest_keyboard_interrupt(excinfo: pytest.ExceptionInfo[BaseException]) -> None:
    if excinfo.errisinstance(KeyboardInterrupt):
        interrupt_workers(_nodes)
    _nodes.clear()


@pytest.hookimpl(wrapper=True)
def pytest_runtest_setup(item: pytest.Item) -> Generator[None, object, object]:
    with recorded(item, "setup"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Generator[None, object, object]:
    with recorded(item, "call"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_runtest_teardown(item: pytest.Item) -> Generator[None, object, object]:
    with recorded(item, "teardown"):
        return (yield)


@pytest.hookimpl(wrapper=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> Generator[None, object, object]:
    """Fail the test for what no test point said: its exit, its console, its helpers."""
    result = yield
    record = pyfuncitem.stash.get(record_key, None)
    if record is not None and record.run is not None:
        record.run.finish_helpers()
        if record.run.problems:
            record.judged = True
            pytest.fail("\n".join(problem_lines(record.run.problems)), pytrace=False)
        if reasons := all_skipped(record.run.points):
            record.judged = True
            pytest.skip(printable(reasons))
    return result


@pytest.hookimpl(wrapper=True)
def pytest_runtest_makereport(
    item: pytest.Item, call: pytest.CallInfo[None]
) -> Generator[None, pytest.TestReport, pytest.TestReport]:
    """After tear-down, hand the suite's tree on with the report and write its JUnit file."""
    report = yield
    mark_point(report, item)
    record = item.stash.get(record_key, None)
    if call.when == "call" and record is not None and record.run is not None:
        if record.run.reporting is None and record.run.lost:  # not a subtest's report
            record.lost = record.run.lost
            mark_lost(report)
        mark_failed(report, record.run.points)
    result = result_of(item) if call.when == "teardown" else None
    if record is not None and record.lost and call.when == "teardown":
        report.outcome = "passed"  # what failed in ending it is the lost connection's doing
        return report
    if result is None:
        return report
    setattr(report, RESULT_ATTRIBUTE, to_plain(result))
    try:
        write_files(result, item.config.option)
    except NotWritten as error:
        pytest.exit(printable(str(error)), returncode=1)
    return report


@pytest.hookimpl(wrapper=True)
def pytest_report_teststatus(
    report: pytest.CollectReport | pytest.TestReport, config: pytest.Config
) -> Generator[None, Any, Any]:
    """Show a point that was skipped as that, and name those that failed."""
    status = yield
    name_failed(report)
    own = point_status(report, config.get_verbosity(pytest.Config.VERBOSITY_SUBTESTS))
    return status if own is None else own


def _enter_hosts(config: pytest.Config, names: Iterable[str]) -> None:
    """Enter those that are not missing, if anything is to be run.

    What keeps the only one from starting ends the session; beside others, it fails again, with a
    line, in each of its tests.
    """
    if config.option.collectonly or config.option.lkl_dry_run:
        return
    session, different = session_of(config), dict.fromkeys(names)
    for name in different:
        host = session.host(name)
        if missing_of(host) is None:
            try:
                session.enter(host)
            except LaunchError as error:
                if len(different) == 1:
                    exit_with_usage_error(config, str(error))


def _choose_suites(config: pytest.Config) -> None:
    """Run the installed suites where pytest was told nothing and there is nothing of its own."""
    untold = config.inipath is None and config.args_source is config.ArgsSource.INVOCATION_DIR
    if untold and not _has_tests(config):
        config.option.pyargs = True
        config.args = installed()


def _has_tests(config: pytest.Config) -> bool:
    """Whether the current directory has tests of its own, which pytest then runs."""
    return any(
        fnmatch.fnmatch(path.name, pattern)
        for path in _files(Path(), set(config.getini("norecursedirs")))
        for pattern in config.getini("python_files")
    )


def _files(folder: Path, skipped: Collection[str], depth: int = 3) -> Iterator[Path]:
    """The files in and below `folder`, but not those far down: it may be anybody's home."""
    try:
        entries = sorted(folder.iterdir(), key=lambda path: (path.is_dir(), path.name))
    except OSError:
        return
    for path in entries:
        if not path.is_dir():
            yield path
        elif depth and not any(fnmatch.fnmatch(path.name, pattern) for pattern in skipped):
            yield from _files(path, skipped, depth - 1)


def _prepare_reports(config: pytest.Config, directory: Path) -> None:
    from lkltest.report.junit import prepare

    try:
        prepare(directory)
    except OSError as error:
        exit_with_usage_error(config, f"JUnit directory {directory}: {error.strerror}")
