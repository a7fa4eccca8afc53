# SPDX-License-Identifier: GPL-2.0-only
"""The number of runs after which a commit is good or bad, where bad ones fail now and then.

Wald's sequential test ("Sequential Tests of Statistical Hypotheses", 1945): each run adds the
logarithm of how much likelier it is on a bad commit than on a good one, until the sum says enough.
It needs the two failure rates, which the history tells, and the risk of a wrong answer. Pure.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from dataclasses import dataclass

from lkltest.verdict.results import Outcome

_PRIOR = 0.5  # Jeffreys'
_DOUBT = 1.28  # standard errors: nine of ten bad states fail more often than is assumed
_LEAST = 0.02


@dataclass(frozen=True, slots=True)
class Rates:
    """The rates at which good and bad commits fail."""

    good: float
    bad: float

    @property
    def differ(self) -> bool:
        """Whether the bad ones fail clearly more often."""
        return self.bad > 2 * self.good


def rates(outcomes: Sequence[str]) -> Rates:
    """The rates before and since it fails more often, by outcomes, oldest first.

    Where that was is the most likely place. What few runs tell of the bad state is taken with care:
    a rate that is too high makes too few runs. What passed and then failed each time is worse,
    however few its runs: in the first nights of a history they say next to nothing of a rate.
    """
    failed = [outcome == Outcome.FAILED for outcome in outcomes if outcome in _TOLD]
    splits = range(1, len(failed))
    place = max(splits, key=lambda n: _likelihood(failed[:n]) + _likelihood(failed[n:]), default=0)
    good, bad = _rate(failed[:place]), _rate(failed[place:])
    error = math.sqrt(bad * (1 - bad) / (len(failed) - place + 1))
    bad = max(bad - _DOUBT * error, _LEAST)
    broke = place > 0 and not any(failed[:place]) and all(failed[place:])
    return Rates(min(good, bad / 4) if broke else good, bad)


def is_bad(passed: int, failed: int, expected: Rates, risk: float) -> bool | None:
    """Whether so many runs say that a commit is bad; None when more are needed.

    Args:
        risk: how often at most the answer may be wrong.
    """
    evidence = failed * math.log(expected.bad / expected.good)
    evidence += passed * math.log((1 - expected.bad) / (1 - expected.good))
    enough = math.log((1 - risk) / risk)
    if evidence >= enough:
        return True
    return False if evidence <= -enough else None


_TOLD = (Outcome.PASSED, Outcome.FAILED)


def _rate(failed: Sequence[bool]) -> float:
    return (sum(failed) + _PRIOR) / (len(failed) + 2 * _PRIOR)


def _likelihood(failed: Sequence[bool]) -> float:
    rate, failures = _rate(failed), sum(failed)
    return failures * math.log(rate) + (len(failed) - failures) * math.log(1 - rate)
