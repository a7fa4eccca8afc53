# SPDX-License-Identifier: GPL-2.0-only
"""The contract for hosts, as a test class that each host's tests inherit: yours, too.

A subclass says how the contract program (PROGRAM_SOURCE) is built for its host and which
host runs it; it may narrow `crash_kinds` and name in `unsupported_modes` what its programs cannot
do.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lkltest.deadline import Deadlines
from lkltest.errors import LaunchError
from lkltest.host.api import Host, Launch
from lkltest.host.build import Build
from lkltest.host.execution import Execution
from lkltest.sandbox.scope import Scope
from lkltest.verdict.results import Outcome, ProblemKind, ProgramResult

PROGRAM_SOURCE = Path(__file__).with_name("contract.c")
"""Plain C that misbehaves in the way its first argument names."""


class HostContract:
    """Inherit as `class TestX(HostContract)` and give the fixtures `host` and `program`."""

    crash_kinds: frozenset[ProblemKind] = frozenset({ProblemKind.SIGNAL})
    """The name of a segmentation fault here."""
    abort_kinds: frozenset[ProblemKind] = frozenset({ProblemKind.SIGNAL})
    exact_status: bool = True
    """Whether the exit status comes through as it was."""
    unsupported_modes: frozenset[str] = frozenset()
    stall_seconds: float = 2.0
    start_seconds: float = 60.0

    @pytest.fixture
    def host(self) -> Host:
        raise NotImplementedError

    @pytest.fixture
    def program(self) -> Path:
        raise NotImplementedError

    @pytest.fixture
    def scope(self, host: Host) -> Iterator[Scope]:
        with Scope() as scope:
            yield scope

    def run(
        self,
        host: Host,
        scope: Scope,
        program: Path,
        *arguments: str,
        environment: dict[str, str] | None = None,
        stall: float | None = None,
    ) -> ProgramResult:
        if arguments[0] in self.unsupported_modes:
            pytest.skip(f"programs of host {host.name} cannot do {arguments[0]}")
        deadlines = Deadlines(
            total=120.0,
            silence=stall or self.start_seconds,
            first_byte=self.start_seconds,
            plan=self.start_seconds,
        )
        launch = Launch(program, arguments, environment or {}, deadlines)
        return Execution(host, host.launch(launch, scope)).run()

    def test_a_good_run_passes(self, host: Host, scope: Scope, program: Path) -> None:
        result = self.run(host, scope, program, "pass")
        assert result.problems == ()
        assert [(point.name, point.outcome) for point in result.points] == [
            ("first", Outcome.PASSED),
            ("second", Outcome.PASSED),
        ]
        assert result.points[0].log.strip() == "about first"
        assert result.passed

    def test_not_ok_fails(self, host: Host, scope: Scope, program: Path) -> None:
        result = self.run(host, scope, program, "fail")
        assert result.points[1].outcome is Outcome.FAILED
        assert not result.passed

    def test_points_are_yielded_while_the_program_runs(
        self, host: Host, scope: Scope, program: Path
    ) -> None:
        launch = Launch(program, ("hang",), {}, Deadlines(60, 60, 60, 60))
        points = Execution(host, host.launch(launch, scope)).points()
        assert next(points).name == "first"
        points.close()

    def test_status_is_a_failure(self, host: Host, scope: Scope, program: Path) -> None:
        result = self.run(host, scope, program, "status", "3")
        assert not result.passed
        if self.exact_status:
            assert [problem.kind for problem in result.problems] == [ProblemKind.EXIT_STATUS]
            assert result.exit.status == 3

    def test_silence_is_no_pass(self, host: Host, scope: Scope, program: Path) -> None:
        result = self.run(host, scope, program, "silent", stall=10.0)
        assert not result.passed
        assert ProblemKind.NO_PLAN in {problem.kind for problem in result.problems}

    def test_a_short_stream_is_no_pass(self, host: Host, scope: Scope, program: Path) -> None:
        result = self.run(host, scope, program, "short", stall=10.0)
        assert ProblemKind.PLAN_NOT_MET in {problem.kind for problem in result.problems}

    def test_a_crash_is_tied_to_the_announced_point(
        self, host: Host, scope: Scope, program: Path
    ) -> None:
        result = self.run(host, scope, program, "segfault")
        assert not result.passed
        assert result.points[-1].name == "crashing"
        assert result.points[-1].outcome is Outcome.FAILED
        crash = [problem for problem in result.problems if problem.kind in self.crash_kinds]
        assert crash and crash[0].point == "crashing"

    def test_a_crash_after_the_last_point_is_no_pass(
        self, host: Host, scope: Scope, program: Path
    ) -> None:
        result = self.run(host, scope, program, "late-segfault")
        assert {problem.kind for problem in result.problems} & self.crash_kinds

    def test_abort_is_told_apart(self, host: Host, scope: Scope, program: Path) -> None:
        result = self.run(host, scope, program, "abort")
        found = [problem for problem in result.problems if problem.kind in self.abort_kinds]
        assert found and result.points[-1].name == "aborting"
        if ProblemKind.SIGNAL in self.abort_kinds:
            assert "SIGABRT" in found[0].reason

    @pytest.mark.parametrize("mode", ["hang", "deaf"])
    def test_a_stall_ends_and_names_the_point(
        self, host: Host, scope: Scope, program: Path, mode: str
    ) -> None:
        result = self.run(host, scope, program, mode, stall=self.stall_seconds)
        stall = [problem for problem in result.problems if problem.kind is ProblemKind.STALL]
        assert stall and stall[0].point == "hanging"
        assert stall[0].detail, "a hang is reported with what the program was doing"

    def test_a_program_that_bails_out_is_not_waited_for(
        self, host: Host, scope: Scope, program: Path
    ) -> None:
        result = self.run(host, scope, program, "bail", stall=50.0)
        assert [problem.kind for problem in result.problems] == [ProblemKind.BAIL_OUT]
        assert result.seconds < 45

    def test_a_kernel_bug_fails(self, host: Host, scope: Scope, program: Path) -> None:
        result = self.run(host, scope, program, "oops")
        assert ProblemKind.BUG in {problem.kind for problem in result.problems}

    def test_arguments_and_environment_arrive(
        self, host: Host, scope: Scope, program: Path
    ) -> None:
        words = ("a b", "c'd\"e", "x=1", "$HOME;ls")
        result = self.run(
            host, scope, program, "arguments", *words, environment={"LKLTEST_CONTRACT": "v w"}
        )
        assert [point.name for point in result.points] == [*words, "v w"]

    def test_garbage_is_survived(self, host: Host, scope: Scope, program: Path) -> None:
        result = self.run(host, scope, program, "garbage")
        assert [point.name for point in result.points] == ["survived"]

    def test_a_flood_is_read_to_its_end(self, host: Host, scope: Scope, program: Path) -> None:
        result = self.run(host, scope, program, "flood", "1")
        assert result.passed
        assert len(result.output_tail) < 1 << 20

    def test_single_bytes_make_whole_lines(self, host: Host, scope: Scope, program: Path) -> None:
        assert self.run(host, scope, program, "bytewise").passed

    def test_closing_the_console_is_no_pass(self, host: Host, scope: Scope, program: Path) -> None:
        result = self.run(host, scope, program, "close-stdout", stall=10.0)
        assert ProblemKind.PLAN_NOT_MET in {problem.kind for problem in result.problems}

    @pytest.mark.parametrize("mode", ["daemon", "daemon-with-console"])
    def test_a_daemon_holds_nothing_up(
        self, host: Host, scope: Scope, program: Path, mode: str
    ) -> None:
        assert self.run(host, scope, program, mode).passed

    def test_a_missing_program_is_one_line(self, host: Host, scope: Scope, tmp_path: Path) -> None:
        with pytest.raises(LaunchError) as caught:
            host.launch(Launch(tmp_path / "nothing"), scope)
        assert "\n" not in str(caught.value) and "nothing" in str(caught.value)

    def test_a_text_file_is_one_line(self, host: Host, scope: Scope, tmp_path: Path) -> None:
        text = tmp_path / "notes.txt"
        text.write_text("hello\n")
        with pytest.raises(LaunchError) as caught:
            host.launch(Launch(text), scope)
        assert "\n" not in str(caught.value) and "notes.txt" in str(caught.value)

    def test_it_does_not_suit_an_empty_build(self, host: Host, tmp_path: Path) -> None:
        assert not host.accepts(Build(tmp_path, "empty", {}))
