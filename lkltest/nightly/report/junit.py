# SPDX-License-Identifier: GPL-2.0-only
"""The cells of a night as suite runs that a JUnit reader tells apart. Pure."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import replace

from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.model.rows import problem_name
from lkltest.nightly.report.model import CellModel, NightModel
from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind, SuiteResult


def junit_results(night: NightModel) -> Iterator[SuiteResult]:
    """Yield one suite run a cell, whose host says the build too (`native#stable`).

    A cell without a result is a suite with an error. A known failure is a point that is expected
    to fail, as in TAP, which a JUnit file shows as skipped.
    """
    for cell in night.cells:
        host = f"{cell.host}#{cell.build}"
        result = cell.result or SuiteResult(cell.suite, cell.variant, host, seconds=cell.seconds)
        problems = result.problems
        if cell.outcome is CellOutcome.ERROR:
            reason = cell.error or "no result"
            problems = (*problems, Problem(ProblemKind.SUITE_ERROR, reason, None, cell.log))
        result = _without_known(replace(result, problems=problems), cell)
        properties = {**result.properties, "reproduce": cell.reproduce}
        yield replace(result, host=host, properties=properties)


def _without_known(result: SuiteResult, cell: CellModel) -> SuiteResult:
    if not cell.known:
        return result
    points = [_expected(point, cell.known.get(point.name)) for point in result.points]
    problems = [
        problem
        for problem in result.problems
        if (problem.point or problem_name(problem.kind)) not in cell.known
    ]
    expected = [
        PointResult(name, Outcome.TODO, reason=f"{problem}; known: {cell.known[name]}")
        for problem in result.problems
        if problem.point is None and (name := problem_name(problem.kind)) in cell.known
    ]
    return replace(result, points=(*points, *expected), problems=tuple(problems))


def _expected(point: PointResult, known: str | None) -> PointResult:
    if known is None or point.outcome is not Outcome.FAILED:
        return point
    reason = f"{point.reason}; known: {known}" if point.reason else f"known: {known}"
    return replace(point, outcome=Outcome.TODO, reason=reason)
