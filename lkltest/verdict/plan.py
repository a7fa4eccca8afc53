# SPDX-License-Identifier: GPL-2.0-only
"""One plan and the numbers of the points that came under it. Pure; constant memory.

`1..999999999` costs nothing: what is kept is ranges of numbers, not numbers.
"""

from __future__ import annotations

from bisect import bisect_right
from collections.abc import Sequence

from lkltest.verdict.results import Problem, ProblemKind

# Shuffled points make a range for each four of them, at worst. Numbers beyond that many ranges are
# forgotten, and so missing in the end.
_MAX_RANGES = 10_000
_NAMED_RANGES = 5


class PlanLedger:
    """Counts points against a plan: each of its numbers comes once, in any order.

    Attributes:
        name: the plan's name.
        count: how many points it announces; None as long as no plan was seen (it may come last).
        seen: how many points came.
        last: number of the last one.
    """

    __slots__ = ("_late", "_starts", "_stops", "_unbroken", "count", "last", "name", "seen")

    def __init__(self, name: str = "", count: int | None = None) -> None:
        self.name = name
        self.count = count
        self.seen = 0
        self.last = 0
        self._late = False  # the plan came after points; no more may come
        self._unbroken = 0  # all of 1 to this came
        self._starts: list[int] = []  # ranges beyond it, both ends included
        self._stops: list[int] = []

    @property
    def met(self) -> bool:
        """Whether the plan is there and every number of it came."""
        return self.count is not None and self._unbroken >= self.count

    def record(self, number: int | None) -> Sequence[Problem]:
        """Count a point; None is the number after the last. Return what is wrong with it."""
        expected = self.last + 1
        if number is None:
            number = expected
        self.seen += 1
        self.last = number
        usual = number == expected == self._unbroken + 1 and not self._starts  # no gap to close
        if usual and not self._late:
            self._unbroken = number
            return () if self.count is None or number <= self.count else (self._excess(number),)
        return self._check(number)

    def announce(self, name: str, count: int) -> list[Problem]:
        """Take the plan that comes after its points. Return what is wrong with it."""
        self.name, self.count = name, count
        self._late = self.seen > 0
        if self.seen <= count:
            return []
        return [Problem(ProblemKind.TOO_MANY_POINTS, f"{self.seen} points came before {self}")]

    def close(self) -> list[Problem]:
        """Return what is wrong with the plan when no more points will come."""
        if self.count is None:
            return [Problem(ProblemKind.NO_PLAN, "the stream has no plan")] if self.seen else []
        missing = self.missing()
        if not missing:
            return []
        absent = sum(stop - start + 1 for start, stop in missing)
        reason = f"{self}: {absent} of {self.count} points never came: {_listed(missing)}"
        return [Problem(ProblemKind.PLAN_NOT_MET, reason)]

    def missing(self) -> list[tuple[int, int]]:
        """Return the ranges of planned numbers that did not come."""
        missing: list[tuple[int, int]] = []
        following = self._unbroken + 1
        count = self.count or 0
        for start, stop in zip(self._starts, self._stops, strict=True):
            if following <= min(start - 1, count):
                missing.append((following, min(start - 1, count)))
            following = stop + 1
        if following <= count:
            missing.append((following, count))
        return missing

    def __str__(self) -> str:
        return f"plan 1..{self.count} # {self.name}" if self.name else f"plan 1..{self.count}"

    def _check(self, number: int) -> list[Problem]:
        """Return what is wrong with a number that is not simply the next one of its plan."""
        problems: list[Problem] = []
        if self._late:  # TAP: a plan comes before all points or after them, never between
            self._late = False
            reason = f"{self} came between its points, before point {number}"
            problems.append(Problem(ProblemKind.PLAN_NOT_MET, reason))
        if number < 1 or (self.count is not None and number > self.count):
            problems.append(self._excess(number))
        if self._known(number):
            problems.append(Problem(ProblemKind.DUPLICATE_NUMBER, f"number {number} came twice"))
        self._note(number)
        return problems

    def _excess(self, number: int) -> Problem:
        return Problem(ProblemKind.TOO_MANY_POINTS, f"point {number} is beyond {self}")

    def _known(self, number: int) -> bool:
        if 1 <= number <= self._unbroken:
            return True
        place = bisect_right(self._starts, number) - 1
        return place >= 0 and number <= self._stops[place]

    def _note(self, number: int) -> None:
        """Remember a number beyond the unbroken ones."""
        if number <= self._unbroken or self._known(number):
            return
        starts, stops = self._starts, self._stops
        place = bisect_right(starts, number)
        if place and stops[place - 1] == number - 1:
            stops[place - 1] = number
        elif len(starts) < _MAX_RANGES or number == self._unbroken + 1:
            starts.insert(place, number)
            stops.insert(place, number)
        else:
            return
        place = bisect_right(starts, number)
        if place < len(starts) and starts[place] == number + 1:
            stops[place - 1] = stops.pop(place)
            starts.pop(place)
        if starts[0] == self._unbroken + 1:
            self._unbroken = stops.pop(0)
            starts.pop(0)


def _listed(ranges: list[tuple[int, int]]) -> str:
    """Return `3, 7-10, ...`: the first few of the ranges."""
    texts = [f"{start}-{stop}" if stop > start else str(start) for start, stop in ranges]
    if len(texts) > _NAMED_RANGES:
        return ", ".join(texts[:_NAMED_RANGES]) + ", ..."
    return ", ".join(texts)
