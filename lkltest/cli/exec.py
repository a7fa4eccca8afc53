# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest exec`: one program on a host, its console passed through, its verdict as exit status."""

from __future__ import annotations

import argparse
import contextlib
import sys
from collections.abc import Mapping, Sequence
from dataclasses import replace
from pathlib import Path
from typing import Any

from lkltest.command_line import FAILED, PASSED, USED_WRONGLY
from lkltest.deadline import DEFAULT_TIMEOUT, Deadlines
from lkltest.errors import BuildError, ExecutableError, LaunchError
from lkltest.host.api import Host, Launch
from lkltest.host.build import Build
from lkltest.host.by_hand import run_by_hand
from lkltest.host.error_boundary import (
    BUGS,
    accepts,
    claims,
    error_boundary,
    missing_of,
    one_line,
    show_traceback,
)
from lkltest.host.executable import identify
from lkltest.host.execution import Execution
from lkltest.host.registry import check, host_names, make_host
from lkltest.report.terminal import (
    count_text,
    echo,
    echo_error,
    mute_stdout,
    problem_lines,
)
from lkltest.sandbox.scope import Scope, ScopeError
from lkltest.signals import handle_termination_signals
from lkltest.text import printable, unknown
from lkltest.verdict.results import Outcome, ProblemKind, ProgramResult


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    return execute(
        options.host,
        options.program,
        options.arguments,
        options.timeout,
        vars(options),
        build=options.build,
        dry_run=options.dry_run,
        interactive=options.interactive,
    )


def execute(
    host_name: str | None,
    program: str,
    arguments: Sequence[str],
    timeout: float | None,
    host_options: Mapping[str, Any],
    *,
    build: str | None = None,
    dry_run: bool = False,
    interactive: bool = False,
) -> int:
    """Run `program` on the host (None: the one its format belongs to).

    The console goes to standard output, the verdict's reasons to standard error. Returns 0 when it
    passed, 1 when it failed, 2 when it could not be launched. `build` is where a host that boots a
    kernel has it from (None: its default one). `dry_run` only prints what would run. `interactive`
    sets no limits, and there is no verdict on a program whose stream does not come to its end.
    """
    path = Path(program).absolute()
    try:
        host = _host(host_name, path, host_options)
        missing = missing_of(host)
        if missing is not None:
            raise LaunchError(str(missing))
        kernel = None
        if build:
            with error_boundary(host, "open_build", BuildError):
                kernel = host.open_build(build)
        deadlines = Deadlines.from_timeout(timeout or DEFAULT_TIMEOUT)
        if interactive:
            deadlines = Deadlines.none()
        launch = Launch(path, tuple(arguments), {}, deadlines, kernel, interactive)
        check(host)
        # A program that cannot run is told before the host starts anything.
        alone = Build(path.parent, "program", {path.name: path})
        with error_boundary(host, "program"):
            host.program(replace(alone, kernel=kernel.kernel if kernel else None), path.name)
        with contextlib.ExitStack() as end:
            with error_boundary(host, "session"):
                end.enter_context(host.session())
            with error_boundary(host, "namespace_pid"):
                pid = host.namespace_pid()
            scope = end.enter_context(Scope(join=pid))
            end.callback(
                handle_termination_signals()
            )  # a terminal that a host has changed is put right again
            if dry_run:
                with error_boundary(host, "dry_run"):
                    command = host.dry_run(launch, scope)
                echo(command)
                return PASSED
            if host_options.get("bare"):
                return _by_hand(host, launch, scope, gdb=host_options["bare"] == "gdb")
            execution = _run(host, launch, scope)
            lost = "" if interactive else execution.lost
            if lost:
                echo_error(f"{ProblemKind.CONNECTION}: {lost}; it is tried again on another one")
                execution = _run(host, launch, end.enter_context(Scope(join=pid)))
    except (BuildError, LaunchError, ExecutableError, ScopeError) as error:
        echo_error(str(error))
        return USED_WRONGLY
    except OSError:  # standard output cannot be written, above all
        raise
    except BUGS as error:  # of a host's process, say, which may be anyone's
        show_traceback(error, host_options)
        echo_error(f"{path}: cannot be run to its end: {one_line(error)}")
        return FAILED
    if interactive and not execution.complete:
        echo_error(f"{path.name}@{host.name}: no verdict: the stream did not come to its end")
        return PASSED
    result = execution.result
    assert result is not None  # noqa: S101 - it ran to its end
    _print_verdict(path.name, host, result)
    return PASSED if result.passed else FAILED


def _run(host: Host, launch: Launch, scope: Scope) -> Execution:
    """Run a program to its end, its console passed through."""
    with error_boundary(host, "launch"):
        process = host.launch(launch, scope)
    with host.attach(process, _Passthrough()) as listen:
        execution = Execution(host, process, listen)
        execution.run()
    return execution


def _by_hand(host: Host, launch: Launch, scope: Scope, *, gdb: bool) -> int:
    """Leave the terminal to a program, or to gdb with it; returns the exit status."""
    with host.by_hand(launch, scope, gdb=gdb) as command:
        status = run_by_hand(command)
    if gdb:
        return PASSED if status == 0 else FAILED
    return status if status >= 0 else 128 - status  # as a shell says it


def _host(name: str | None, path: Path, options: Mapping[str, Any]) -> Host:
    if name is not None:
        try:
            return make_host(name, options)
        except KeyError:
            raise LaunchError(unknown("host", name, host_names())) from None
    build = Build(path.parent, "program", {path.name: path})
    accepting = [
        host for host in (make_host(each, options) for each in host_names()) if accepts(host, build)
    ]
    if not accepting:
        raise LaunchError(f"{path}: is {identify(path)}; no host runs that")
    return next((host for host in accepting if claims(host, build)), accepting[0])


class _Passthrough:
    """Copies the console to standard output: raw into files and pipes, escaped on a terminal."""

    def __init__(self) -> None:
        self._escape = sys.stdout.isatty()

    def __call__(self, data: bytes) -> None:
        if self._escape:
            data = printable(
                data.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
            ).encode()
        try:
            sys.stdout.buffer.write(data)
            sys.stdout.buffer.flush()
        except BrokenPipeError:  # whoever read it has had enough; the verdict is still to come
            mute_stdout()


def _print_verdict(name: str, host: Host, result: ProgramResult) -> None:
    explained = {problem.point for problem in result.problems}
    failed = [point for point in result.points if point.outcome is Outcome.FAILED]
    for point in (point for point in failed if point.name not in explained):
        for whole_name, culprit in point.culprits():
            echo_error(f"not ok {whole_name} {culprit.reason}".rstrip())
    for line in problem_lines(result.problems, whole=True):
        echo_error(line)
    word = "ok" if result.passed else "FAILED"
    echo_error(f"{name}@{host.name}: {word}, {count_text(result.points)}")
