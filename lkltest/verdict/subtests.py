# SPDX-License-Identifier: GPL-2.0-only
"""Subtests: the levels of a stream, and how points of one level go to their parent. Pure.

The points of a level come before the parent point, one level up. What is wrong with a subtest is
carried up with it, so that it ends as a problem of the top-level point that holds it.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

from lkltest.text import shortened
from lkltest.verdict.names import Names
from lkltest.verdict.plan import PlanLedger
from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind

MAX_DEPTH = 32  # trees are walked with recursion
MOST_POINTS = 1_000_000  # that are kept: some 200 MB
_NAME_LIMIT = 1_000
_MAX_DEFERRED = 100  # problems that one point carries; the first ones matter


TOO_MANY_POINTS = Problem(
    ProblemKind.CONSOLE_DAMAGE, f"more than {MOST_POINTS} test points; the rest are not kept"
)


class Announced(NamedTuple):
    """A point that has started: number, name as announced, unique name, time of the event."""

    number: int
    raw: str
    name: str
    at: float | None


_new = tuple.__new__  # Announced() takes three times as long


class Level:
    """One depth: the stream itself, or the subtests of one point.

    Attributes:
        announced: the point in flight.
        points: finished, and waiting for their parent; always empty at the top.
        deferred: problems of the next point that reports at this level.
    """

    __slots__ = ("announced", "deferred", "ledger", "names", "points")

    def __init__(self) -> None:
        self.ledger = PlanLedger()
        self.names = Names()
        self.announced: Announced | None = None
        self.points: list[PointResult] = []
        self.deferred: list[Problem] = []

    def announce(self, number: int, raw: str, at: float | None) -> None:
        """Take a point that has started."""
        name = self.names.claim(bounded(raw) or _stand_in(number))
        self.announced = _new(Announced, (number, raw, name, at))

    def name_of(self, raw: str, announced: Announced | None) -> str:
        """Return the unique name of the point that was counted last.

        Args:
            raw: its name in the stream.
            announced: how it was announced, if it was; it has a unique name already.
        """
        if announced is not None and raw in (announced.raw, ""):
            return announced.name
        return self.names.claim(bounded(raw) or _stand_in(self.ledger.last))

    def defer(self, problem: Problem) -> None:
        """Keep a problem for the next point."""
        if len(self.deferred) < _MAX_DEFERRED:
            self.deferred.append(problem)

    def begin_plan(self, name: str, count: int) -> list[Problem]:
        """Take a plan: the first one, which may come last, or one that follows another."""
        name = bounded(name)
        if self.ledger.count is None:
            return self.ledger.announce(name, count)
        problems = self.ledger.close()
        self.ledger = PlanLedger(name, count)
        return problems

    def take_deferred(self) -> list[Problem]:
        """Return the problems of the point that reports now."""
        deferred = self.deferred
        self.deferred = []
        return deferred


class SubtestStack:
    """The levels that are open, outermost first; the outermost always is.

    Attributes:
        top: the outermost.
        depth: of the innermost.
        titles: what `# Subtest: NAME` calls the point to come, by its depth.
    """

    __slots__ = ("depth", "levels", "titles", "top")

    def __init__(self) -> None:
        self.top = Level()
        self.levels = [self.top]
        self.depth = 0
        self.titles: dict[int, str] = {}

    @property
    def busy(self) -> bool:
        """Whether a point is in flight: announced, or with subtests that wait for their parent."""
        return self.top.announced is not None or self.depth > 0

    def level(self, depth: int) -> Level | None:
        """Return the level of `depth`, opened if need be; None where that is too deep."""
        if depth <= self.depth:
            return self.levels[depth]
        if depth > MAX_DEPTH:
            reason = f"subtests are nested deeper than {MAX_DEPTH} levels"
            problem = Problem(ProblemKind.CONSOLE_DAMAGE, reason)
            if problem not in self.top.deferred:
                self.top.defer(problem)
            return None
        while self.depth < depth:
            self.levels.append(Level())
            self.depth += 1
        return self.levels[depth]

    def title(self, depth: int, name: str) -> None:
        """Take a `# Subtest: NAME`: TAP 14 has it at its point's depth, KTAP one below."""
        self.titles[depth] = bounded(name)
        if depth > 0:
            self.titles.setdefault(depth - 1, bounded(name))

    def forget_titles(self, depth: int) -> None:
        """A point has reported at `depth`."""
        for titled in [titled for titled in self.titles if titled >= depth]:
            del self.titles[titled]

    def fold(self, depth: int, why: str) -> tuple[PointResult, ...]:
        """Close the levels from `depth` (1 or more) down. Return the points of that level.

        Args:
            depth: the outermost level to close.
            why: what ended the points in flight there.
        """
        if self.depth < depth:
            return ()
        for index in range(self.depth, depth - 1, -1):
            level, above = self.levels[index], self.levels[index - 1]
            if level.announced:
                level.points.append(_never_reported(level, why, ()))
                reason = f"{level.announced.name}: {why}"
                above.defer(Problem(ProblemKind.NEVER_REPORTED, reason))
            for problem in (*level.deferred, *level.ledger.close()):
                if problem.kind is not ProblemKind.NO_PLAN:  # subtests may go without one
                    above.defer(problem)
            if index > depth and level.points:
                title = self.titles.get(index - 1, "")
                above.points.append(_parentless(tuple(level.points), title, level))
        points = tuple(self.levels[depth].points)
        del self.levels[depth:]
        self.depth = depth - 1
        return points

    def abandon(self, depth: int, why: str) -> PointResult | None:
        """Give up the point in flight at `depth`, with its subtests or theirs alone.

        Returns:
            It as a failed point; None when nothing was in flight.
        """
        level = self.levels[depth]
        below = self.levels[depth + 1] if depth < self.depth else None
        title = self.titles.get(depth, "") if below else ""
        children = self.fold(depth + 1, why)
        if level.announced:
            point = _never_reported(level, why, children)
            level.announced = None
            return point
        if not children and not title:
            return None
        point = _parentless(children, title, below)
        self.forget_titles(depth)
        return replace(point, name=level.names.claim(point.name))

    def lift(self, depth: int, point: PointResult, problems: list[Problem]) -> None:
        """Keep a finished subtest for its parent, and carry its problems up."""
        above = self.levels[depth - 1]
        if len(self.levels[depth].points) < MOST_POINTS:
            self.levels[depth].points.append(point)
        elif TOO_MANY_POINTS not in above.deferred:
            above.defer(TOO_MANY_POINTS)
        for problem in problems:
            above.defer(replace(problem, reason=f"{point.name}: {problem.reason}"))


def subtest_problems(
    outcome: Outcome, children: tuple[PointResult, ...], title: str
) -> list[Problem]:
    """Return what an `ok` parent has wrong: subtests that failed, or were announced by a title."""
    if outcome not in (Outcome.PASSED, Outcome.SKIPPED):
        return []
    if not children and title and outcome is Outcome.PASSED:
        return [Problem(ProblemKind.SUBTEST, f"ok, but {title} reported nothing")]
    failed = [child.name for child in children if child.outcome is Outcome.FAILED]
    if not failed:
        return []
    more = f" and {len(failed) - 1} more" if len(failed) > 1 else ""
    return [Problem(ProblemKind.SUBTEST, f"ok, but its subtest {failed[0]}{more} failed")]


def _stand_in(number: int) -> str:
    """Return the name of a point that has none; the same in every run."""
    return f"(unnamed {number})"


def bounded(name: str) -> str:
    """Return a name of bounded length."""
    return shortened(name, _NAME_LIMIT)


def _never_reported(level: Level, why: str, children: tuple[PointResult, ...]) -> PointResult:
    announced = level.announced
    assert announced is not None  # noqa: S101 - the callers looked
    return PointResult(
        name=announced.name,
        outcome=Outcome.FAILED,
        number=announced.number,
        suite=level.ledger.name,
        reason=f"never reported: {why}",
        children=children,
    )


def _parentless(children: tuple[PointResult, ...], title: str, level: Level | None) -> PointResult:
    """The point that its subtests wait for; KUnit says its name, and how many there should be."""
    if not title or level is None:
        name = title or "(subtests without their test point)"
        reason = "never reported: the test point that these subtests belong to"
        return PointResult(name, Outcome.FAILED, reason=reason, children=children)
    ledger = level.ledger
    of = f" of {ledger.count}" if ledger.count else ""
    after = f" (after {children[-1].name})" if children else ""
    reason = f"never reported: in {title}, test point {ledger.last + 1}{of}{after}"
    return PointResult(title, Outcome.FAILED, reason=reason, children=children)
