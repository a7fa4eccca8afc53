# SPDX-License-Identifier: GPL-2.0-only
"""What a point that never reported gives as its reason."""

from lkltest.host.execution import _with_causes
from lkltest.verdict.results import Exit, Outcome, PointResult, Problem, ProblemKind, ProgramResult

STACK = "show_stack x.c:1\ndump_stack y.c:2\n__warn z.c:3\nf a.c:1\n"
WARNING = Problem(ProblemKind.WARNING, "WARNING in f", "write", "cut here\n f+0x1/0x2")


def reason_of(*problems: Problem) -> str:
    point = PointResult("write", Outcome.FAILED, reason="never reported: killed by SIGSEGV")
    result = ProgramResult((point,), problems, {}, Exit(None, 11, "signalled"), 0.0)
    (found,) = _with_causes(result).points
    return found.reason


def test_the_kernels_own_report_is_the_reason_and_not_the_signal_that_followed() -> None:
    followed = Problem(ProblemKind.SIGNAL, "killed by SIGSEGV", "write", STACK)
    assert reason_of(WARNING, followed) == f"never reported: {WARNING}"


def test_a_signal_of_its_own_is_the_reason() -> None:
    own = Problem(ProblemKind.SIGNAL, "killed by SIGSEGV", "write", "g b.c:1\n")
    assert reason_of(WARNING, own) == "never reported: killed by SIGSEGV"
    assert reason_of(own) == "never reported: killed by SIGSEGV"
