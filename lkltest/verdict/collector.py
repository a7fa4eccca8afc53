# SPDX-License-Identifier: GPL-2.0-only
"""Points and problems of one run as they come; bounded where a stream of garbage is not. Pure."""

from __future__ import annotations

import sys
from collections import Counter
from collections.abc import Callable
from dataclasses import replace

from lkltest.text import shortened
from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind
from lkltest.verdict.subtests import MOST_POINTS, TOO_MANY_POINTS

_SAME_KIND = 20  # problems that are kept; the others of that kind are counted
_LOG_BUDGET = 64 * 1024 * 1024  # bytes of logs; those of failed points have one of their own
_LINE_LIMIT = 300

OnPassed = Callable[[str, float | None, str], None]
"""Takes name, seconds and log of a passed point."""


class Collector:
    """The points and problems of one run, as many of them as are kept.

    Attributes:
        points: all of them, or those since `fresh` was last emptied when they are not kept.
        fresh: points since the owner last replaced this list.
        last: name of the last point, or "".
    """

    def __init__(self, keep: bool, on_passed: OnPassed | None = None) -> None:
        self.fresh: list[PointResult] = []
        self.last = ""
        self._keep = keep
        self._on_passed = on_passed
        self._points: list[PointResult] = []
        self._problems: list[Problem] = []
        self._kinds: Counter[ProblemKind] = Counter()
        self._logs: Counter[bool] = Counter()
        self._full = False

    @property
    def points(self) -> list[PointResult]:
        """The points that are kept."""
        return self._points if self._keep else self.fresh

    def within_budget(self, log: str, outcome: Outcome, depth: int) -> str:
        """Return a point's log, or what stands for it where the logs before it were too long."""
        if not log or not (self._keep or depth):  # it is not kept
            return log
        failed = outcome is Outcome.FAILED
        self._logs[failed] += sys.getsizeof(log)
        if self._logs[failed] > _LOG_BUDGET:
            return f"[log of {len(log)} characters not kept]"
        return log

    def hand_out(self, name: str, seconds: float | None, log: str) -> bool:
        """Hand out a passed point without making a result of it. Return whether that was wanted."""
        if self._on_passed is None or self.fresh:  # what is fresh comes before it
            return False
        self.last = name
        self._on_passed(name, seconds, log)
        return True

    def report(self, point: PointResult, problems: list[Problem]) -> None:
        """Take a finished top-level point and what is wrong with it."""
        self.last = point.name
        self.fresh.append(point)
        if not self._keep:
            self._logs.clear()  # of its subtests
        elif len(self._points) < MOST_POINTS:
            self._points.append(point)
        elif not self._full:
            self._full = True
            self.add_loose(TOO_MANY_POINTS)
        for problem in problems:
            self.add(replace(problem, point=point.name))

    def add(self, problem: Problem) -> None:
        """Take a problem."""
        self._kinds[problem.kind] += 1
        if self._kinds[problem.kind] <= _SAME_KIND:
            self._problems.append(problem)

    def add_loose(self, problem: Problem) -> None:
        """Take a problem that no point was in flight for; say after which one it came."""
        where = f" (after {self.last})" if self.last else ""
        self.add(replace(problem, reason=problem.reason + where))

    def add_given(self, problem: Problem) -> None:
        """Take a problem that somebody else saw.

        The point that it names is failed; where there is none, the problem stands for itself.
        """
        for index, point in enumerate(self.points):
            if point.name == problem.point:
                if point.outcome is not Outcome.FAILED:
                    reason = one_line(str(problem))
                    self.points[index] = replace(point, outcome=Outcome.FAILED, reason=reason)
                break
        else:
            problem = replace(problem, point=None)
        self.add(problem)

    def kept_problems(self) -> tuple[Problem, ...]:
        """Return the problems that were kept so far."""
        return tuple(self._problems)

    def all_problems(self) -> tuple[Problem, ...]:
        """Return them, and one more for each kind that has some which were not kept."""
        more = (
            Problem(kind, f"and {count - _SAME_KIND} more of this kind")
            for kind, count in self._kinds.items()
            if count > _SAME_KIND
        )
        return (*self._problems, *more)


def one_line(text: str) -> str:
    """Return the lines of `text` as one of bounded length, each line once."""
    lines = dict.fromkeys(line.strip() for line in text[: 16 * _LINE_LIMIT].splitlines())
    return shortened("; ".join(line for line in lines if line), _LINE_LIMIT)
