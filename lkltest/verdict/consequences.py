# SPDX-License-Identifier: GPL-2.0-only
"""Problems that are events of their own, told from those that follow from them. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import replace

from lkltest.verdict.results import Problem, ProblemKind
from lkltest.verdict.stack import functions

_CUT_SHORT = frozenset(
    {
        ProblemKind.NO_PLAN,
        ProblemKind.PLAN_NOT_MET,
        ProblemKind.NEVER_REPORTED,
        ProblemKind.OPEN_YAML,
        ProblemKind.INCOMPLETE_LINE,
    }
)
_KILLED = frozenset(
    {ProblemKind.SIGNAL, ProblemKind.DEADLINE, ProblemKind.STALL, ProblemKind.GUEST}
)
_FAULTS = frozenset({ProblemKind.OOPS, ProblemKind.BUG, ProblemKind.SANITIZER})
_STOPS = frozenset(
    {
        ProblemKind.PANIC,
        ProblemKind.CRASH,
        ProblemKind.NO_BOOT,
        ProblemKind.BAIL_OUT,
        ProblemKind.SETUP,
        ProblemKind.CONNECTION,
    }
)

# LKL follows frame pointers out of the kernel when it prints a stack, and dies of that.
_WHILE_WARNING = re.compile(r"\bshow_stack\b.*\n(?:.*\n){0,6}.*\b__warn\b")


def only_cut_off(problems: Iterable[Problem]) -> bool:
    """Whether nothing is wrong but that a stream came to its end too early, by a lost connection.

    So what ran has not failed by itself; nor does anybody know that it has not.
    """
    return {problem.kind for problem in problems} <= _CUT_SHORT | {ProblemKind.CONNECTION}


def distinct(problems: Iterable[Problem]) -> list[Problem]:
    """Problems that are events of their own, without what follows from another one.

    A program that was killed cannot meet its plan, and one whose kernel panicked ends by a signal.
    The backtrace of such an end is shown first where its cause has none.
    """
    given = list(problems)
    kept = [problem for problem in given if not any(is_told_by(problem, one) for one in given)]
    for problem in given:
        causes = [one for one in kept if is_told_by(problem, one)]
        if problem.kind in _KILLED and causes and not functions(causes[0].detail):
            detail = "\n\n".join(filter(None, (problem.detail, causes[0].detail)))
            kept[kept.index(causes[0])] = replace(causes[0], detail=detail)
    return kept


def is_told_by(problem: Problem, cause: Problem) -> bool:
    """Whether `problem` says no more than that `cause` ended the program."""
    if problem.kind in _CUT_SHORT:
        return cause.kind in _STOPS | _FAULTS | _KILLED
    if problem.kind not in _KILLED and problem.kind is not ProblemKind.EXIT_STATUS:
        return False
    near = problem.point is None or problem.point == cause.point
    if cause.kind is ProblemKind.WARNING and problem.kind is ProblemKind.SIGNAL:
        return near and _WHILE_WARNING.search(problem.detail) is not None
    return cause.kind in _STOPS or (cause.kind in _FAULTS and near)
