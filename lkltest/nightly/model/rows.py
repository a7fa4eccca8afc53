# SPDX-License-Identifier: GPL-2.0-only
"""A tree of results as the flat list that a history keeps. Pure.

A problem that is tied to no point becomes a point of its own in parentheses, `(signal)`, so that
a failure without a failed point is remembered, compared and known like any other. Only an exit
status other than 0 is none where a point failed: that is what programs say of failed points.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass

from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind, SuiteResult

_REASON_LIMIT = 300


@dataclass(frozen=True, slots=True)
class PointRow:
    """One point of one run; `name` holds its parents (`outer/inner`), seconds may be unknown."""

    name: str
    outcome: Outcome
    seconds: float | None = None
    reason: str = ""


def point_rows(result: SuiteResult) -> list[PointRow]:
    """Return the points of a run, subtests included, each name once; then its loose problems."""
    why = {problem.point: str(problem) for problem in reversed(result.problems)}
    found: dict[str, PointRow] = {}
    for row in _flat(result.points, "", why):
        found.setdefault(row.name, row)
    for problem in loose_problems(result):
        name = problem_name(problem.kind)
        found.setdefault(name, PointRow(name, Outcome.FAILED, None, _short(problem.reason)))
    return list(found.values())


def loose_problems(result: SuiteResult) -> list[Problem]:
    """Return the problems that stand for failures of their own."""
    failed = any(point.outcome is Outcome.FAILED for point in result.points)
    return [
        problem
        for problem in result.problems
        if problem.point is None and not (failed and problem.kind is ProblemKind.EXIT_STATUS)
    ]


def problem_name(kind: str) -> str:
    """The name under which a problem that is tied to no point is kept."""
    return f"({kind})"


def is_problem(point_name: str) -> bool:
    """Whether it is a problem's: when it is not there, there was no problem."""
    return point_name.startswith("(") and point_name.endswith(")")


def ended_run(point_name: str, reason: str) -> bool:
    """Whether it is how a run ended: a problem without a point, or the point it ended in."""
    return is_problem(point_name) or f"{ProblemKind.NEVER_REPORTED}: " in reason


def _flat(
    points: Iterable[PointResult], prefix: str, why: dict[str | None, str]
) -> Iterator[PointRow]:
    for point in points:
        name = prefix + point.name
        said = point.reason or (why.get(point.name, "") if not prefix else "")
        reason = said if point.outcome is not Outcome.PASSED else ""
        yield PointRow(name, point.outcome, point.seconds, _short(reason))
        yield from _flat(point.children, f"{name}/", why)


def _short(text: str) -> str:
    line = " ".join(text.split())
    # SQLite holds no lone surrogates.
    return line[:_REASON_LIMIT].encode(errors="backslashreplace").decode()
