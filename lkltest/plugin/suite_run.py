# SPDX-License-Identifier: GPL-2.0-only
"""One suite variant on one host: what a suite's test function works with as `lkl`."""

from __future__ import annotations

import contextlib
import platform
import re
import time
from collections.abc import Callable, Mapping
from dataclasses import replace
from typing import TYPE_CHECKING, Any, NoReturn

import pytest

from lkltest.deadline import Deadlines
from lkltest.errors import ConnectionLost, LaunchError, NotInstalled
from lkltest.host.api import Host, Interface, Launch
from lkltest.host.build import Build
from lkltest.host.error_boundary import error_boundary, properties_of
from lkltest.text import printable
from lkltest.verdict.names import Names
from lkltest.verdict.results import Exit, Outcome, PointResult, Problem, ProblemKind, ProgramResult

if TYPE_CHECKING:
    from pathlib import Path

    from lkltest.host.api import Process
    from lkltest.host.disk import Disk
    from lkltest.host.execution import Execution
    from lkltest.host.helper import Helper
    from lkltest.sandbox.netdev import Network
    from lkltest.sandbox.scope import Scope

CAN_RUN = "can run"
"""The reason with which a dry run (`lkltest doctor`) skips where a program would be launched."""
ASKED_FOR = "asked for"
"""The property of a dry run that names what the suite has asked its build for."""

_ENDS = frozenset(
    {
        ProblemKind.SIGNAL,
        ProblemKind.DEADLINE,
        ProblemKind.STALL,
        ProblemKind.NO_BOOT,
        ProblemKind.CRASH,
        ProblemKind.GUEST,
    }
)
"""The ends of programs that did not end themselves."""


class SuiteRun:
    """Runs programs of `build` on `host` and gathers their results under one suite's name.

    A context manager: on exit everything it started is ended and the run's scope is gone.
    """

    def __init__(
        self,
        host: Host,
        build: Build,
        deadlines: Deadlines,
        subtests: Any,
        *,
        may_lose: bool = False,
        dry_run: bool = False,
        gdb: bool = False,
        environment: Mapping[str, str] | None = None,
        sources: Path | None = None,
    ) -> None:
        """`sources` is where the suite's own C programs lie, for what `build` does not offer;
        `environment` is for all of its programs; `may_lose` says whether it can be run anew.
        """
        self.host = host
        self.build = build
        self.deadlines = deadlines
        self.points: list[PointResult] = []
        self.reporting: PointResult | None = None  # the one that is being made a subtest
        self.problems: list[Problem] = []
        self.properties: dict[str, str] = {
            "build": str(build.directory),
            "hostname": platform.node(),
            "machine": platform.machine(),
            **properties_of(host),
        }
        self.output = ""
        self._evidence: list[str] = []
        self.may_lose = may_lose
        self._subtests = subtests
        self._dry_run = dry_run
        self._gdb = gdb
        self._environment = environment or {}
        self._sources = sources
        self._names = Names()
        self._program_seconds = 0.0
        self._helpers: list[Helper] = []
        self._executions: list[Execution] = []
        self._network: Network | None = None
        self._scope: Scope | None = None
        self._stack = contextlib.ExitStack()

    @property
    def lost(self) -> str:
        """The reason why a program's connection was lost, so that all may be run anew.

        "" where none was, and where something has failed by itself before.
        """
        failed = any(point.outcome is Outcome.FAILED for point in self.points)
        if failed or any(one.failed for one in self._executions) or not self.may_lose:
            return ""
        lost = (one.reason for one in self.problems if one.kind is ProblemKind.CONNECTION)
        return next((one.lost for one in self._executions if one.lost), next(lost, ""))

    def __enter__(self) -> SuiteRun:
        return self

    def __exit__(self, *_: object) -> None:
        self._stack.close()

    @property
    def scope(self) -> Scope:
        """The run's scope; made at first use, without a network of its own."""
        return self._scope or self._open_scope(network=False, mounts=False)

    def network(self, *, mounts: bool = False) -> Network:
        """A network namespace of this run's own, in which all its programs run.

        Must be asked for before the first program or tool is run. `mounts` adds a private mount
        namespace (macvtap needs it). Skips the test when this machine cannot have one.
        """
        from lkltest.sandbox.netdev import MissingNetwork, Network, missing_network

        if self._network is None:
            if self._scope is not None:
                raise RuntimeError("ask for the network before anything is run")
            with error_boundary(self.host, "network"):
                self._network = self.host.network()
            if self._network is not None:
                return self._network
            reason = missing_network()
            if reason is not None:
                raise MissingNetwork(reason)
            scope = self._open_scope(network=True, mounts=mounts)
            self._network = self._stack.enter_context(Network(scope))
        return self._network

    def require(self, *features: str) -> None:
        """Skip the test, with the reason, when host or build lack one of `features`."""
        for feature in features:
            try:
                with error_boundary(self.host, "unsupported"):
                    reason = self.host.unsupported(feature, self.build)
            except LaunchError as error:
                pytest.fail(str(error), pytrace=False)
            if reason is not None:
                pytest.skip(reason)

    def need(self, *names: str) -> None:
        """Skip the test, with the reason, when there is no program, script or library of a name."""
        for name in names:
            if not self._offers(name) and self._source(name) is None:
                build = self.build
                what = (
                    "the bundled build"
                    if build.kind == "bundled"
                    else f"build {build.directory.name} ({build.kind})"
                )
                pytest.skip(f"{what} has no {name}")

    def file(self, name: str) -> Path:
        """The build's program, script or library of this name; skips the test without it."""
        self.need(name)
        return self.build.find(name) or self.build.directory / name

    def run(
        self,
        program: str,
        *arguments: str | Disk | Interface,
        environment: Mapping[str, str] | None = None,
        unsupported: Callable[[PointResult], str | None] = lambda _: None,
    ) -> ProgramResult:
        """Run `program` to its end; every test point is reported as it arrives.

        Failures do not raise: they are gathered, so that a suite may look further (fsck after a
        failed disk run), and fail the test at its end. `unsupported` says of a point what the
        kernel lacks by it, if anything: the program is ended and the test skipped then.
        """
        execution = self._execution(program, arguments, environment)
        points = execution.points()
        names: dict[str, str] = {}  # as the program called a point: as the suite does
        with contextlib.closing(points):
            for point in points:
                self._end_if_lost(execution)
                if reason := unsupported(point):
                    pytest.skip(reason)
                names[point.name] = self._report(point)
        result = execution.result
        assert result is not None  # noqa: S101 - points() ran to its end
        self._end_if_lost(execution)
        self._gather(result, names)
        return result

    def tool(
        self,
        program: str,
        *arguments: str | Disk | Interface,
        environment: Mapping[str, str] | None = None,
        forgiven: str | None = None,
    ) -> tuple[Exit, str]:
        """Run a program that has no test points: how it ended, and what it printed, in no colour.

        What its kernel said that is wrong fails the suite, unless the text `forgiven` is there.
        """
        from lkltest.host.helper import OF_A_STREAM
        from lkltest.tap.patterns import ESCAPE

        console = bytearray()
        execution = self._execution(program, arguments, environment, console.extend)
        result = execution.run()
        self._end_if_lost(execution)
        plain = re.sub(ESCAPE, b"", console)
        text = plain.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        known = forgiven is not None and forgiven in text
        kept = tuple(one for one in result.problems if one.kind not in OF_A_STREAM and not known)
        self._gather(replace(result, problems=kept), {})
        return result.exit, text

    def private_mounts(self) -> None:
        """Give the run a mount namespace of its own: what its programs mount goes with it.

        Must be asked for before the first program or tool is run. Skips the test when this machine
        cannot have one.
        """
        from lkltest.sandbox.netdev import MissingNetwork, missing_network

        reason = missing_network()
        if reason is not None:
            raise MissingNetwork(reason)
        self._open_scope(network=False, mounts=True)

    def listen(
        self,
        program: str,
        *arguments: str | Disk | Interface,
        until: Callable[[bytes, list[PointResult]], bool] = lambda *_: False,
    ) -> tuple[list[PointResult], bytes]:
        """Run `program` for what it prints: its points are not the suite's.

        `until` says of its console and points so far whether no more is wanted: it is ended then,
        but for its coverage, which only a program that ends by itself leaves. Returns its points
        and its console. What ended it, if not itself, fails the suite.
        """
        console = bytearray()
        heard: list[PointResult] = []
        whole = "GCOV_PREFIX" in self._environment
        execution = self._execution(program, arguments, None, console.extend)
        began = time.monotonic()
        with contextlib.closing(execution.points()) as points:
            for point in points:
                heard.append(point)
                if not whole and until(bytes(console), heard):
                    self._program_seconds += time.monotonic() - began
                    return heard, bytes(console)
        self._end_if_lost(execution)
        result = execution.result
        assert result is not None  # noqa: S101 - points() ran to its end
        self._gather(replace(result, problems=()), {})
        self.problems += [
            replace(problem, point=None) for problem in result.problems if problem.kind in _ENDS
        ]
        return heard, bytes(console)

    def replay(self, stream: bytes, *, printk: bool = False) -> None:
        """Report the points of a recorded stream; `printk`: a kernel's log, with time stamps."""
        from lkltest.tap.parser import Parser
        from lkltest.verdict.recorder import Recorder

        parser, recorder = Parser(printk=printk), Recorder()
        for event in (*parser.feed(stream), *parser.close()):
            recorder.add(event)
        result = recorder.finish(Exit(cause="ended"))
        self._gather(result, {point.name: self._report(point) for point in result.points})

    def start(
        self,
        program: str,
        *arguments: str | Disk | Interface,
        environment: Mapping[str, str] | None = None,
        ends_itself: bool = True,
        tap: bool = True,
    ) -> Helper:
        """Start a helper (the second kernel of a pair) in the same scope.

        Its own verdict counts: a helper that fails or does not end fails the suite. One that does
        not end by itself is ended with the test function; then its points alone count. `tap` says
        whether it prints test points.
        """
        from lkltest.host.helper import Helper

        execution = self._execution(program, arguments, environment)
        helper = Helper(program, execution, ends_itself=ends_itself, tap=tap)
        self._helpers.append(helper)
        return helper

    def point(self, name: str, ok: bool, log: str = "", seconds: float | None = None) -> None:
        """Add a test point of the suite's own."""
        outcome = Outcome.PASSED if ok else Outcome.FAILED
        self._report(PointResult(name, outcome, log=log, seconds=seconds))

    def skip_point(self, name: str, reason: str) -> None:
        """Add a skipped test point of the suite's own."""
        self._report(PointResult(name, Outcome.SKIPPED, reason=reason))

    def finish_helpers(self) -> None:
        """Wait for the helpers and gather their failures. Called when the test function is done."""
        for helper in self._helpers:
            self.problems.extend(map(self._with_evidence, helper.problems()))
        self._helpers.clear()

    def _execution(
        self,
        program: str,
        arguments: tuple[str | Disk | Interface, ...],
        environment: Mapping[str, str] | None,
        hear: Callable[[bytes], object] | None = None,
    ) -> Execution:
        from lkltest.host.execution import Execution

        process = self._launch(program, arguments, environment or {})
        self._stack.callback(process.close)
        self.properties.setdefault("command", " ".join(process.command))
        self.properties.update(process.files)
        self._evidence += process.evidence
        execution = Execution(self.host, process, hear)
        self._executions.append(execution)
        return execution

    def _end_if_lost(self, execution: Execution) -> None:
        """End the test where it is to be run anew: what it would find is of no use."""
        if execution.result is not None and self.lost:
            pytest.fail(f"{ProblemKind.CONNECTION}: {self.lost}", pytrace=False)

    def _program(self, name: str) -> Path:
        self._ask_for(name)
        source = self._source(name)
        if source is not None and not self._offers(name):
            return self.host.compile(self.build, source)
        return self.host.program(self.build, name)

    def _source(self, name: str) -> Path | None:
        source = self._sources / f"{name}.c" if self._sources else None
        return source if source and source.is_file() else None

    def _ask_for(self, name: str) -> None:
        if self._dry_run:
            before = self.properties.get(ASKED_FOR, "").split()
            self.properties[ASKED_FOR] = " ".join(dict.fromkeys([*before, name]))

    def _offers(self, name: str) -> bool:
        self._ask_for(name)
        try:
            with error_boundary(self.host, "offers"):
                return self.host.offers(self.build, name)
        except LaunchError as error:
            pytest.fail(str(error), pytrace=False)

    def _launch(
        self,
        program: str,
        arguments: tuple[str | Disk | Interface, ...],
        environment: Mapping[str, str],
    ) -> Process:
        try:
            with error_boundary(self.host, "program"):
                path = self._program(program)
            if self._dry_run:
                pytest.skip(CAN_RUN)
            launch = Launch(
                path,
                arguments,
                {**self._environment, **environment},
                self.deadlines,
                self.build,
                network=self._network,
            )
            scope = self.scope
            if self._gdb:
                self._debug(launch)
            with error_boundary(self.host, "launch"):
                return self.host.launch(launch, scope)
        except NotInstalled as error:
            pytest.skip(str(error))
        except ConnectionLost as error:
            self.problems.append(Problem(ProblemKind.CONNECTION, str(error)))
        except LaunchError as error:
            self.problems.append(Problem(ProblemKind.LAUNCH, str(error)))
        pytest.fail(self.problems[-1].reason, pytrace=False)

    def _debug(self, launch: Launch) -> NoReturn:
        """Leave the terminal to gdb and the program; what it does is for a person to judge."""
        from lkltest.host.by_hand import run_by_hand

        before = self.scope.entering() if self._network is not None else ()
        with self.host.by_hand(launch, self.scope, gdb=True) as command:
            run_by_hand(replace(command, words=(*before, *command.words)))
        pytest.skip(f"{launch.program.name} ran under gdb")

    def _open_scope(self, *, network: bool, mounts: bool) -> Scope:
        from lkltest.sandbox.scope import Scope

        with error_boundary(self.host, "namespace_pid"):
            pid = self.host.namespace_pid()
        scope = Scope(network=network, mounts=mounts, join=pid)
        self._scope = self._stack.enter_context(scope)
        return self._scope

    def _gather(self, result: ProgramResult, names: Mapping[str, str]) -> None:
        for problem in result.problems:
            name = None if problem.point is None else names.get(problem.point)
            self.problems.append(replace(self._with_evidence(problem), point=name))
        self._program_seconds += result.seconds
        self.properties["program seconds"] = f"{self._program_seconds:.3f}"
        for name, value in result.properties.items():
            self.properties.setdefault(name, value)
        self.output += result.output_tail

    def _with_evidence(self, problem: Problem) -> Problem:
        detail = "\n".join(filter(None, (*self._evidence, problem.detail)))
        return replace(problem, detail=detail)

    def _report(self, point: PointResult) -> str:
        """Make the point a subtest of pytest's: live in -v, counted in the summary.

        Returns its name, which is unique in the suite whatever the programs call their points.
        """
        named = replace(point, name=self._names.claim(point.name))
        if named.outcome is Outcome.FAILED and self._evidence:
            log = "\n".join((named.log.rstrip("\n"), *self._evidence)).lstrip("\n")
            named = replace(named, log=log)
        self.points.append(named)
        self.reporting = named
        try:
            with self._subtests.test(msg=printable(named.name)):
                if named.outcome is Outcome.FAILED:
                    text = f"not ok {named.failure}"
                    pytest.fail(printable(f"{text}\n{named.log}".rstrip()), pytrace=False)
        finally:
            self.reporting = None
        return named.name
