# SPDX-License-Identifier: GPL-2.0-only
"""The model of chance: whether a point that fails is broken or flaky, by its own history. Pure.

A flaky point is a coin: each run fails with a rate of its own, which its earlier runs tell. Under
that model a row of failures has a probability (of the Beta-binomial distribution, which knows how
little a short history says). A point that never failed before is broken at its first failure; one
that did is flaky, until its failures in a row are less likely than chance: "failed 9 of 9, before
6 of 80". A row that was a break and was mended says nothing about the coin and is left out, and so
is all that lies before a row of passes which the rate does not explain.

Where a night holds several runs, reruns of what failed first, a first failure is no break if one of
them passes. A point that passed for long and so fails now and then is told once it has failed in
more nights than a coin that never failed so long would.
"""

from __future__ import annotations

import itertools
import math
from collections.abc import Sequence
from dataclasses import dataclass
from enum import Enum

from lkltest.verdict.results import Outcome

FEWEST = 4
"""Failures in a row that can be told from chance where a point has failed before."""

FIRST_CHANCE = 0.02
"""A row of `FEWEST` that is less likely than this, at the point's own rate, is no accident."""

LATER_CHANCE = 0.002
"""As above, of a longer row: each further night is a further chance to be wrong."""

FORGET = 0.0002
"""A row less likely than this tells of a kernel that was another one, and not of the coin."""

CLEAN = 30
"""Nights without a failure that a point needs to have become flaky."""

BECAME_CHANCE = 0.01
"""The probability below which failing nights since then are no accident."""

WINDOW = 30
"""Runs that the list of the flakiest points looks at."""

_TOLD = (Outcome.PASSED, Outcome.FAILED)
_PRIOR = 0.5  # Jeffreys' for a rate, of failures and of passes


class Health(Enum):
    """The state of a point after a run."""

    PASSING = "passing"
    FLAKY = "flaky"
    BROKEN = "broken"


@dataclass(frozen=True, slots=True)
class Evidence:
    """The failures in a row at the end, and the runs before them that the rate follows from."""

    row: int
    failures: int
    runs: int

    @property
    def probability(self) -> float:
        """The probability of so many failures in a row, if the rate is as it was."""
        return _row_probability(self.row, self.failures, self.runs)

    @property
    def broken(self) -> bool:
        """Whether it is more than chance."""
        if self.failures == 0:
            return self.row > 0
        first = _row_probability(FEWEST, self.failures, self.runs)
        return self.row >= FEWEST and (first < FIRST_CHANCE or self.probability < LATER_CHANCE)

    @property
    def all_failures(self) -> str:
        """`7 of 84`, with those at the end."""
        return f"{self.failures + self.row} of {self.runs + self.row}"

    def __str__(self) -> str:
        """`failed 9 of 9, before 6 of 80`."""
        return f"failed {self.row} of {self.row}, before {self.failures} of {self.runs}"


def evidence(outcomes: Sequence[str]) -> Evidence:
    """Return what the outcomes, oldest first, say of the failures at their end."""
    rows = [
        (failed, len(list(row)))
        for failed, row in itertools.groupby(told == Outcome.FAILED for told in _told(outcomes))
    ]
    last = rows.pop()[1] if rows and rows[-1][0] else 0
    failures = runs = 0
    for failed, length in rows:
        if failed:
            told = length < FEWEST or _row_probability(length, failures, runs) >= FORGET
            failures, runs = (failures + length, runs + length) if told else (failures, runs)
        elif failures and _row_probability(length, runs - failures, runs) < FORGET:
            failures, runs = 0, length
        else:
            runs += length
    return Evidence(last, failures, runs)


def health(outcomes: Sequence[str]) -> Health:
    """Return the state after the last of the outcomes."""
    found = evidence(outcomes)
    if found.broken:
        return Health.BROKEN
    return Health.FLAKY if found.failures else Health.PASSING


def became_flaky(nights: Sequence[Sequence[str]]) -> str:
    """Tell that a point which always passed fails now and then, "" when it does not; once.

    Args:
        nights: the outcomes of the runs of each, oldest first. If the first one with a failure has
            no pass, it was told then, as a break.
    """
    failed = [number for number, night in enumerate(nights) if Outcome.FAILED in night]
    if len(failed) < 2 or failed[0] < CLEAN or Outcome.PASSED not in nights[failed[0]]:
        return ""
    chances = [
        _at_least(count, night - failed[0] + 1, failed[0])
        for count, night in enumerate(failed[1:], start=2)
    ]
    first = next((n for n, chance in enumerate(chances) if chance < BECAME_CHANCE), None)
    if first != len(chances) - 1 or failed[-1] != len(nights) - 1:
        return ""
    return (
        f"failed in {len(failed)} of {len(nights) - failed[0]} nights, before in 0 of {failed[0]}"
    )


def is_flaky(outcomes: Sequence[str]) -> bool:
    """Whether a point has failed now and then, and is not just broken."""
    return flips(_told(outcomes)) >= 3 and health(outcomes) is Health.FLAKY


def flips(outcomes: Sequence[str]) -> int:
    """Return how often the outcome changed between passed and failed; others do not count."""
    return sum(one != other for one, other in itertools.pairwise(_told(outcomes)))


def _told(outcomes: Sequence[str]) -> list[str]:
    return [outcome for outcome in outcomes if outcome in _TOLD]


def _at_least(failures: int, nights: int, clean: int) -> float:
    """The probability of so many failing nights after `clean` ones without a failure."""
    rate, rest = _PRIOR, clean + _PRIOR
    return sum(
        math.comb(nights, count)
        * math.exp(_log_beta(rate + count, rest + nights - count) - _log_beta(rate, rest))
        for count in range(failures, nights + 1)
    )


def _log_beta(one: float, other: float) -> float:
    return math.lgamma(one) + math.lgamma(other) - math.lgamma(one + other)


def _row_probability(length: int, hits: int, runs: int) -> float:
    """The probability of `length` hits in a row after `hits` of `runs`."""
    return math.prod((hits + _PRIOR + n) / (runs + 2 * _PRIOR + n) for n in range(length))
