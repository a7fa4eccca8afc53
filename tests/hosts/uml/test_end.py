# SPDX-License-Identifier: GPL-2.0-only
"""The verdict on a UML kernel's end: a shell script says and does what such a kernel would."""

from __future__ import annotations

import os

import pytest

from lkltest.deadline import Deadlines
from lkltest.host.execution import Execution
from lkltest.hosts.uml.console import UmlConsole
from lkltest.hosts.uml.host import UmlHost
from lkltest.sandbox.scope import Scope
from lkltest.verdict.results import ProblemKind, ProgramResult

STREAM = "echo '1..1 # boot'; echo 'ok 1 first';"
EXITED = "echo 'word exited 0' >&9;"
HALTED = "printf '[    1.640000] reboot: System halted\\r\\n';"
ABORT = "kill -ABRT $$"


def played(script: str) -> ProgramResult:
    """The verdict on a kernel that does what `script` does; its status device is descriptor 9."""
    with Scope() as scope:
        status, status_end = os.pipe()
        console, console_end = os.pipe()
        try:
            child = scope.spawn(
                ["sh", "-c", f"echo 'word started 2' >&9; {script}"],
                stdout=console_end,
                stderr=console_end,
                pass_fds={9: status_end},
            )
        finally:
            os.close(status_end)
            os.close(console_end)
        process = UmlConsole(
            child,
            console,
            ("linux",),
            Deadlines(),
            status=status,
            token="word",  # noqa: S106 - no password
            ask=lambda process, read: "",
        )
        return Execution(UmlHost(), process).run()


def test_a_kernel_that_aborts_when_it_has_halted_fails_nothing_and_says_so() -> None:
    result = played(STREAM + EXITED + HALTED + ABORT)
    assert result.passed, result.problems
    assert "the kernel aborted while it exited, after it had halted" in result.output_tail


def test_a_guest_that_reboots_is_named() -> None:
    result = played(
        "echo '1..1 # boot'; echo '* 1 first';"
        r"printf '[    1.640000] reboot: Restarting system\r\nLinux version 6'; sleep 1000"
    )
    (crash,) = [problem for problem in result.problems if problem.kind is ProblemKind.CRASH]
    assert (crash.point, crash.reason) == ("first", "the guest rebooted")


def test_one_that_does_so_without_a_word_is_named_when_it_boots_again() -> None:
    """As `b` of the magic SysRq key makes it; 13 boots in 15 s were seen."""
    boots = r"printf 'Core dump limits :\r\n\tsoft - 0\r\n\thard - NONE\r\n';"
    points = "echo '1..1 # boot'; echo '* 1 first';"
    result = played(boots + points + f"for boot in 1 2 3; do {boots}{points} sleep 1; done")
    (crash,) = [problem for problem in result.problems if problem.kind is ProblemKind.CRASH]
    assert (crash.point, crash.reason) == ("first", "the guest rebooted")
    assert len(result.points) == 1


def test_one_that_exits_says_nothing_of_the_kind() -> None:
    result = played(STREAM + EXITED + HALTED)
    assert result.passed and "aborted" not in result.output_tail


@pytest.mark.parametrize(
    "script",
    [
        STREAM + EXITED + ABORT,
        STREAM + EXITED + HALTED + "kill -SEGV $$",
        STREAM + EXITED + HALTED + "echo and more;" + ABORT,
        STREAM + EXITED + "echo 'reboot: System halted';" + ABORT,
    ],
    ids=["not halted", "another signal", "more output", "no kernel line"],
)
def test_any_other_death_is_a_failure(script: str) -> None:
    (problem,) = played(script).problems
    assert problem.kind is ProblemKind.GUEST
    assert "was killed by signal" in problem.reason and "after the program had ended" in str(
        problem
    )


def test_a_program_that_was_not_seen_to_end_is_a_failure() -> None:
    assert not played(STREAM + HALTED + ABORT).passed


def test_the_programs_own_failure_is_one() -> None:
    result = played(STREAM + "echo 'word exited 3' >&9;" + HALTED + ABORT)
    assert [problem.kind for problem in result.problems] == [ProblemKind.EXIT_STATUS]
