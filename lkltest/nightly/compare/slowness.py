# SPDX-License-Identifier: GPL-2.0-only
"""Whether a point has become slower, judged by its own history alone. Pure.

The last 3, 5, 8 and 12 nights are each held against the nights before them: the difference of their
centres, in units of its standard error, which follows from how much the earlier nights vary. So
what counts as slower is a point's own noise, and no percentage. A single slow night is noise by
definition; one that stays is found the sooner the slower it is.

Logarithms make of a factor a difference and of noise in percent a constant. Centre and spread are
the median and a truncated deviation: the root mean square where what is farther from the median
than 4 times the median absolute deviation counts as just that far (after Maronna and Zamar, "Robust
Estimates of Location and Dispersion", 2002). It varies half as much as the median absolute
deviation alone (Rousseeuw and Croux, 1993: times 1.4826 a standard deviation of normal noise).
"""

from __future__ import annotations

import itertools
import math
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

RECENT = (3, 5, 8, 12)
"""How many of the last nights are taken together."""

FEWEST_BEFORE = 12
MOST_BEFORE = 50

RESOLUTION = 0.005
"""Seconds: half a tick of the kernels under test (HZ=100), below which times say nothing."""

_MAD_TO_DEVIATION = 1.4826
_TRUNCATION = 4.0
_MEDIAN_VARIANCE = math.pi / 2  # of n normal values, times n, in units of theirs
_INNER = {3: (0, 1), 5: (1, 2), 8: (2, 4), 12: (3, 7)}
"""Which of the last nights, in order of their times, tell the centre: outliers are slow ones."""

_INNER_MEAN = {3: -0.846, 5: -0.495, 8: -0.312, 12: -0.212}
_INNER_VARIANCE = {3: 1.70, 5: 1.56, 8: 1.39, 12: 1.30}  # times their number
# As above, of the mean of these of normal values.


@dataclass(frozen=True, slots=True)
class Slowdown:
    """Seconds before and since, for how many nights as it seems, and how sure it is.

    `score` is the difference in standard errors.
    """

    before: float
    after: float
    nights: int
    score: float

    @property
    def factor(self) -> float:
        """1.3 for 30 % slower."""
        return self.after / self.before


def slowdown(seconds: Sequence[float]) -> Slowdown | None:
    """Return how much slower the last of `seconds` (oldest first, a night each) have become.

    None when they have not, or when too little is known to tell.
    """
    logs = [math.log(max(value, 1e-4)) for value in seconds]
    found = [_since(logs, recent) for recent in RECENT]
    return max((one for one in found if one is not None), key=lambda s: s.score, default=None)


def needed_score(nights: int) -> float:
    """The score that is believed: more where fewer nights tell how much a point varies.

    By simulation with normal noise of 10 %: less than one false alarm in 1,000 points in 60 nights.
    """
    return 4.7 + 300 / nights**2


def _since(logs: Sequence[float], recent: int) -> Slowdown | None:
    before = logs[-recent - MOST_BEFORE : -recent]
    if len(before) < FEWEST_BEFORE:
        return None
    usual = statistics.median(before)
    spread = math.hypot(_deviation(before, usual), RESOLUTION / math.exp(usual))
    now = _centre(logs[-recent:], spread)
    variance = _INNER_VARIANCE[recent] / recent + _MEDIAN_VARIANCE / len(before)
    variance *= _inflation(before, usual, spread)
    score = (now - usual) / (spread * math.sqrt(variance))
    if score < needed_score(len(before)):
        return None
    nights = _nights(logs[-RECENT[-1] :], usual, now)
    return Slowdown(math.exp(usual), math.exp(now), nights, score)


def _nights(logs: Sequence[float], usual: float, now: float) -> int:
    """For how many nights it is so: where the fewest are on the wrong side, and by the least."""

    def misfit(nights: int) -> float:
        old, new = logs[:-nights], logs[-nights:]
        return sum(abs(v - usual) for v in old) + sum(abs(v - now) for v in new)

    return min(range(1, len(logs) + 1), key=misfit)


def _deviation(values: Sequence[float], centre: float) -> float:
    distances = [abs(value - centre) for value in values]
    farthest = _TRUNCATION * _MAD_TO_DEVIATION * statistics.median(distances)
    squares = sum(min(distance, farthest) ** 2 for distance in distances)
    return math.sqrt(squares / (len(values) - 1))


def _centre(values: Sequence[float], spread: float) -> float:
    """The centre of the last nights, of which up to a half may be slow by accident."""
    first, last = _INNER[len(values)]
    inner = sorted(values)[first:last]
    return sum(inner) / len(inner) - _INNER_MEAN[len(values)] * spread


def _inflation(values: Sequence[float], centre: float, spread: float) -> float:
    """How much more the mean of nights varies because a night resembles the one before it.

    It is (1 + r) / (1 - r) for the first autocorrelation r of the nights (an AR(1) process), which
    few nights tell badly: it is drawn towards 0, and never below.
    """
    limit = _TRUNCATION * spread
    clipped = [min(max(value - centre, -limit), limit) for value in values]
    square = sum(value * value for value in clipped)
    if square == 0:
        return 1.0
    product = sum(one * other for one, other in itertools.pairwise(clipped))
    count = len(values)
    likeness = min(max(product / square * count / (count + 6), 0.0), 0.8)
    return (1 + likeness) / (1 - likeness)
