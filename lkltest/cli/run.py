# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest run`: suites on hosts, by a pytest of its own, a line a suite."""

from __future__ import annotations

import argparse
import importlib.util
import re
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import pytest

from lkltest.cli import points
from lkltest.cli.arguments import host_arguments
from lkltest.command_line import FAILED, PASSED, USED_WRONGLY
from lkltest.errors import NoSuites
from lkltest.host.build import named_build
from lkltest.plugin import inner_pytest
from lkltest.report.terminal import echo, echo_error

# pytest.ExitCode: 0 ok, 1 failed, 2 interrupted (or used wrongly, by our own pytest.exit),
# 3 internal error, 4 usage, 5 nothing collected.
_EXIT_STATUS = {0: PASSED, 1: FAILED, 2: USED_WRONGLY, 3: FAILED, 4: USED_WRONGLY, 5: USED_WRONGLY}

_OF_THE_TERMINAL = re.compile(
    r"-[xsl]*[vqrlh].*|--(verbos|quiet|tb|show|no-show|full-trace|color|code-hi|no-header|no-summ"
    r"|no-fold|force-short|xfail-tb|disable-|durations|co\b|collect|fixtures|markers|help|setup-"
    r"|cache-show|trace|pdb).*"
)
"""Words for pytest that make sense with its own terminal's output alone."""


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    paths, suites = inner_pytest.split([*options.suites, *options.more_suites])
    try:
        inner_pytest.check_paths(paths)
    except NoSuites as error:
        echo_error(str(error))
        return USED_WRONGLY
    cache = points.failures_directory()
    arguments = inner_pytest.arguments(paths or _packages(suites), cache=cache)
    if options.verbose or any(map(_OF_THE_TERMINAL.fullmatch, options.for_pytest)):
        arguments += ["-v", "--tb=short"]
    else:
        arguments += ["-p", "no:terminal", "--lkl-lines"]
    arguments += [f"--lkl-host={host}" for host in options.host or ()]
    arguments += [f"--lkl-suite={suite}" for suite in suites]
    for name in ("build", "junit_dir", "json_dir", "timeout", "coverage"):
        value = getattr(options, name)
        if value is not None:
            arguments.append(f"--lkl-{name.replace('_', '-')}={value}")
    arguments += [f"--lkl-wrapper={options.lkl_wrapper}"] if options.lkl_wrapper else []
    arguments += ["--lkl-valgrind"] if options.lkl_valgrind else []
    arguments += ["--lkl-gdb", "-s"] if options.gdb else []
    arguments += host_arguments(options)
    if options.gdb and options.jobs > 1:
        echo_error("--gdb is for one terminal, -j for several suites at once")
        return USED_WRONGLY
    if options.coverage:
        from lkltest.report import coverage

        coverage.begin(Path(options.coverage))
    run = _identity(options, paths, suites)
    if options.jobs > 1 and points.workers_pay(run, options.jobs):
        if importlib.util.find_spec("xdist") is None:
            echo_error("-j needs pytest-xdist: pip install 'lkltest[parallel]'")
            return USED_WRONGLY
        arguments += ["-p", "xdist", "-n", str(options.jobs), "--dist=worksteal"]
    arguments += ["--lkl-command", *options.for_pytest]
    interrupts = _Interrupts()
    status = int(pytest.main(arguments, plugins=[interrupts, points.Observer(run)]))
    if interrupts.happened:
        raise KeyboardInterrupt
    if options.coverage and _EXIT_STATUS.get(status) in (PASSED, FAILED):
        return _covered(Path(options.coverage)) or _EXIT_STATUS.get(status, FAILED)
    return _EXIT_STATUS.get(status, FAILED)


def _covered(folder: Path) -> int:
    """Print which lines each suite has run; returns an exit status."""
    from lkltest.report.coverage import NoCoverage, write_report

    try:
        for line in write_report(folder):
            echo(line)
    except (NoCoverage, OSError) as error:
        echo_error(str(error))
        return FAILED
    return PASSED


def _identity(
    options: argparse.Namespace, paths: Sequence[str], suites: Sequence[str]
) -> list[str]:
    """The words that say what is run: another run of the same takes about as long."""
    build = named_build(options.build)
    hosts = [f"host {name}" for name in options.host or ()]
    return [*hosts, f"build {Path(build).absolute() if build else ''}", *paths, *suites]


class _Interrupts:
    """Learns whether Ctrl-C ended pytest, whose status does not tell it from `pytest.exit`."""

    happened = False

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        self.happened = isinstance(excinfo.value, KeyboardInterrupt)


def _packages(suites: Sequence[str]) -> list[str] | None:
    """The packages that hold `suites`, so that no other has to be imported; None when in doubt."""
    names = {f"{inner_pytest.SUITES}.{suite.partition('[')[0]}" for suite in suites}
    known = names and all(_is_package(name) for name in names)
    return sorted(names) if known else None


def _is_package(name: str) -> bool:
    plain = re.fullmatch(r"lkltest\.suites\.\w+", name)
    return plain is not None and importlib.util.find_spec(name) is not None
