# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest doctor`: which hosts, suites and variants can run here, and what is missing.

For suites it does what a run would do, images and devices included, short of launching a program,
so that its answer is not a second opinion but the first half of the real thing.
"""

from __future__ import annotations

import argparse
import contextlib
import io
import platform
import shutil
import sys
from collections.abc import Sequence

import pytest

from lkltest.cli.arguments import host_arguments
from lkltest.command_line import USED_WRONGLY
from lkltest.errors import BuildError, NoSuites
from lkltest.host.api import Host
from lkltest.host.build import Build, named_build
from lkltest.host.error_boundary import accepts, error_boundary, facts_of, remarks_of
from lkltest.host.registry import host_names, make_host, why_unusable
from lkltest.plugin import inner_pytest
from lkltest.plugin.discover import chosen
from lkltest.plugin.progress import REPORTER, SuiteReporter
from lkltest.plugin.suite_run import ASKED_FOR, CAN_RUN
from lkltest.report.terminal import coloured, echo, echo_error, wants_colour
from lkltest.sandbox.scope import probe
from lkltest.text import printable
from lkltest.verdict.results import Outcome, SuiteResult, suite_title

_TOOLS = {"gdb": ("backtraces of programs that hang", "apt-get install gdb")}


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    paths, suites = inner_pytest.split(options.suites)
    try:
        if suites:
            chosen(paths, suites)
        inner_pytest.check_paths(paths)
    except NoSuites as error:
        echo_error(str(error))
        return USED_WRONGLY
    words = [*paths, *(f"--lkl-suite={suite}" for suite in suites)]
    return report(named_build(options.build), words, options)


def report(build_name: str | None, words: Sequence[str], options: argparse.Namespace) -> int:
    """Print the report. Returns 0 when a host can run here, 1 when none can.

    `words` say which suites are looked at (none: all that are installed), `options` are the hosts'.
    """
    echo(f"{'machine':9} Linux {platform.release()}, Python {platform.python_version()}")
    isolation = probe()
    echo(f"{'runs in':9} {isolation.kind}" + _because(isolation.reason))
    for tool, (purpose, install) in _TOOLS.items():
        if shutil.which(tool) is None:
            echo(f"{tool:9} missing ({purpose}): {install}")
    usable = [name for name in host_names() if _report_host(name, build_name, words, options)]
    return 0 if usable else 1


def _report_host(
    name: str, build_name: str | None, words: Sequence[str], options: argparse.Namespace
) -> bool:
    host = make_host(name, vars(options))
    refusal = why_unusable(host)
    if refusal:
        _line(f"host {name}", "no", refusal)
        return False
    facts = ", ".join(f"{key} {value}" for key, value in facts_of(host).items())
    known = f"; {facts}" if facts else ""
    try:
        with error_boundary(host, "open_build", BuildError):
            build = host.open_build(build_name)
    except BuildError as error:
        _line(f"host {name}", "no", str(error) + known)
        return False
    if not accepts(host, build):
        _line(f"host {name}", "no", f"build {build.directory} is not for it{known}")
        return False
    _line(f"host {name}", "yes", _build_text(build) + known)
    for remark in remarks_of(host, build):
        _line("  build", "", remark)
    results = _dry_run(host, build_name, [*words, *host_arguments(options)])
    suites = folded(results)
    width = max((len(title) + 2 for title, _ in suites), default=0)
    for title, reason in suites:
        _line(f"  {title}", "no" if reason else "yes", reason, width)
    if not words and (unused := in_no_suite(build, results)):
        _line("  in no suite", "", " ".join(unused))
    return True


def folded(results: Sequence[SuiteResult]) -> list[tuple[str, str]]:
    """Suites, each with why it cannot run ("": it can); `net[raw, macvtap]` are alike."""
    variants: dict[tuple[str, str], list[str]] = {}
    for result in results:
        reason = "" if result.skip == CAN_RUN else _reason(result)
        variants.setdefault((result.suite, reason), []).append(result.variant)
    return [
        (suite_title(suite, ", ".join(names)), reason)
        for (suite, reason), names in variants.items()
    ]


def in_no_suite(build: Build, results: Sequence[SuiteResult]) -> list[str]:
    """The programs of `build` that none of the dry runs of all suites has asked for."""
    asked = {name for result in results for name in result.properties.get(ASKED_FOR, "").split()}
    return sorted(set(build.programs) - asked)


def _dry_run(host: Host, build_name: str | None, words: Sequence[str]) -> Sequence[SuiteResult]:
    collector = _Collector()
    paths = [word for word in words if not word.startswith("--")]
    arguments = [*inner_pytest.arguments(paths), "-p", "no:terminal", "--lkl-dry-run"]
    arguments += [word for word in words if word.startswith("--")]
    arguments.append(f"--lkl-host={host.name}")
    if build_name:
        arguments.append(f"--lkl-build={build_name}")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        pytest.main(arguments, plugins=[collector])
    return collector.results


class _Collector:
    def __init__(self) -> None:
        self.results: list[SuiteResult] = []

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        reporter = session.config.pluginmanager.getplugin(REPORTER)
        if isinstance(reporter, SuiteReporter):
            self.results = reporter.results


def _reason(result: SuiteResult) -> str:
    """The reason why a suite cannot run; "" for one that has run to its end, with no program."""
    skipped = [point.reason for point in result.points if point.outcome is Outcome.SKIPPED]
    told = [result.skip, *map(str, result.problems), *dict.fromkeys(skipped)]
    return "; ".join(filter(None, told))


def _build_text(build: Build) -> str:
    version = build.kernel_version
    kernel = f", Linux {version[0]}.{version[1]}" if version else ""
    return f"build {build.directory} ({build.kind}{kernel}): {' '.join(build.programs)}"


def _because(reason: str) -> str:
    return f" ({reason})" if reason else ""


def _line(what: str, word: str, detail: str, width: int = 16) -> None:
    shown = f"{word:3}"
    if wants_colour(sys.stdout):
        shown = coloured(shown, "32" if word == "yes" else "33")
    print(f"{printable(what):{width}} {shown} {printable(detail)}".rstrip())
