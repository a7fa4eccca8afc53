# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.verdict.consequences: each event is told once."""

from dataclasses import replace

import pytest

from lkltest.verdict.consequences import distinct
from lkltest.verdict.results import Problem, ProblemKind


@pytest.mark.parametrize(
    ("problems", "told"),
    [
        ("SIGNAL@write PLAN_NOT_MET NO_PLAN OPEN_YAML INCOMPLETE_LINE", "SIGNAL"),
        ("STALL@write PLAN_NOT_MET", "STALL"),
        ("PANIC@write SIGNAL PLAN_NOT_MET", "PANIC"),
        ("CRASH EXIT_STATUS NEVER_REPORTED", "CRASH"),
        ("BAIL_OUT EXIT_STATUS PLAN_NOT_MET", "BAIL_OUT"),
        ("OOPS@write STALL@write", "OOPS"),
        ("OOPS@mount STALL@write PLAN_NOT_MET", "OOPS STALL"),
        ("WARNING@write SIGNAL@write", "WARNING SIGNAL"),
        ("EXIT_STATUS PLAN_NOT_MET", "EXIT_STATUS PLAN_NOT_MET"),
        ("DUPLICATE_NUMBER SIGNAL HELPER", "DUPLICATE_NUMBER SIGNAL HELPER"),
    ],
)
def test_each_event_is_told_once(problems: str, told: str) -> None:
    given = []
    for word in problems.split():
        kind, _, point = word.partition("@")
        given.append(Problem(ProblemKind[kind], "so", point or None))
    assert [problem.kind.name for problem in distinct(given)] == told.split()


def test_a_panic_has_the_stack_of_its_signal() -> None:
    panic = Problem(ProblemKind.PANIC, "Attempted to kill init", "write")
    signal = Problem(ProblemKind.SIGNAL, "killed by SIGSEGV", "write", "in main ()")
    assert distinct([panic, signal]) == [replace(panic, detail="in main ()")]
    own = replace(panic, detail="Call Trace:\n f+0x1/0x2")
    assert distinct([own, signal]) == [own]


def test_a_hung_task_without_a_trace_has_the_stack_of_the_stall() -> None:
    hung = Problem(ProblemKind.BUG, "task hung", "write", "INFO: task a:1 blocked")
    stall = Problem(ProblemKind.STALL, "was silent", "write", "f x.c:1")
    assert distinct([hung, stall]) == [replace(hung, detail="f x.c:1\n\nINFO: task a:1 blocked")]


def test_a_kernel_that_died_while_it_warned_has_one_problem() -> None:
    warning = Problem(ProblemKind.WARNING, "WARNING in f", "write", "cut here\n f+0x1/0x2")
    stack = "show_stack x.c:1\ndump_stack y.c:2\n__warn z.c:3\nf a.c:1\n"
    assert distinct([warning, Problem(ProblemKind.SIGNAL, "SIGSEGV", "write", stack)]) == [warning]
    other = Problem(ProblemKind.SIGNAL, "SIGSEGV", "write", "g b.c:1\n__warn z.c:3\n")
    assert distinct([warning, other]) == [warning, other]
