# SPDX-License-Identifier: GPL-2.0-only
"""Whether a point has become slower or faster, judged by its own history alone. Pure.

The last nights are held against the nights before them in units of how much those vary, their own
noise: there is no percentage. Two kinds of detectors, whose thresholds are by simulation: about
one false alarm in 1,000 points and 60 nights (`python -m tests.bench nights`).

- A large step: each of the last three nights is beyond what noise explains. One slow night, or two,
  is an accident.
- A small one: the mean of the last 5, 8, 12 and 15 nights, of which none counts for more than two
  deviations (Huber, "Robust Estimation of a Location Parameter", 1964). Where each night resembles
  the one before it, a mean says less, which the first autocorrelation accounts for.

Logarithms make of a factor a difference and of noise in percent a constant. The spread is a
truncated deviation: the root mean square where what is farther from the median than 4 times the
median absolute deviation counts as just that far (after Maronna and Zamar, "Robust Estimates of
Location and Dispersion", 2002).
"""

from __future__ import annotations

import math
import operator
import statistics
from collections.abc import Sequence
from dataclasses import dataclass

LARGE = 3
"""So many nights tell of a large step."""

SMALL = (5, 8, 12, 15)
"""So many tell of a small one."""

FEWEST_BEFORE = 12
MOST_BEFORE = 50

RESOLUTION = 0.005
"""Seconds: half a tick of the kernels under test (HZ=100), below which times say nothing."""

_LEAST = 1e-4
_MAD_TO_DEVIATION = 1.4826
_TRUNCATION = 4.0
_CLIP = 2.0
_CLIPPED_DEVIATION = 0.959  # of standard normal values that are clipped at `_CLIP`


@dataclass(frozen=True, slots=True)
class Step:
    """Seconds before and since, for how many nights as it seems, and how sure it is.

    `score` is the difference in standard errors, in multiples of what is needed.
    """

    before: float
    after: float
    nights: int
    score: float

    @property
    def factor(self) -> float:
        """1.3 for 30 % slower, 0.7 for 30 % faster."""
        return self.after / self.before

    @property
    def slower(self) -> bool:
        """Whether it is not faster."""
        return self.after > self.before


def step(seconds: Sequence[float]) -> Step | None:
    """Return how much slower or faster the last of `seconds` (oldest first, a night each) are.

    None when they are not, or when too little is known to tell.
    """
    logs = [math.log(value if value > _LEAST else _LEAST) for value in seconds]
    best, chosen = 1.0, None
    for recent in (LARGE, *SMALL):
        usual = _Usual.of(logs[-recent - MOST_BEFORE : -recent])
        if usual is None:
            break
        score = usual.score(logs[-recent:])
        if abs(score) > best:
            best, chosen = abs(score), (usual, statistics.median(logs[-recent:]))
    if chosen is None:
        return None
    usual, now = chosen
    nights = _nights(logs[-SMALL[-1] :], usual.centre, now)
    return Step(math.exp(usual.centre), math.exp(now), nights, best)


@dataclass(frozen=True, slots=True)
class _Usual:
    """The usual time of a point: of how many nights, their centre and spread.

    `inflation`: how much more the variance of a mean of nights is because they resemble each other.
    """

    nights: int
    centre: float
    spread: float
    inflation: float

    @classmethod
    def of(cls, logs: Sequence[float]) -> _Usual | None:
        """The usual time as the nights tell it; None where they are too few."""
        if len(logs) < FEWEST_BEFORE:
            return None
        median = statistics.median(logs)
        spread = math.hypot(_deviation(logs, median), RESOLUTION / math.exp(median))
        scores = _clipped([(value - median) / spread for value in logs])
        outside = scores.count(_CLIP) + scores.count(-_CLIP)
        shift = sum(scores) / max(len(logs) - outside, len(logs) / 2)
        inflation = _inflation(_clipped([score - shift for score in scores]))
        return cls(len(logs), median + shift * spread, spread, inflation)

    def score(self, logs: Sequence[float]) -> float:
        """The distance of the last nights, in multiples of what noise explains; below 0: faster."""
        scores = [(value - self.centre) / self.spread for value in logs]
        if len(scores) == LARGE:
            needed = (2.6 + self._doubt(1500)) * math.sqrt((1 + self.inflation) / 2)
            nearest = min(scores) if scores[0] > 0 else max(scores)
            return nearest / needed if nearest * scores[0] > 0 else 0.0
        mean = sum(_clipped(scores)) / len(scores) / _CLIPPED_DEVIATION
        error = math.sqrt((1 / len(scores) + 1 / self.nights) * self.inflation)
        return mean / error / (4.35 + self._doubt(4000))

    def _doubt(self, weight: float) -> float:
        """More is needed where few nights tell how much a point varies."""
        return float(weight / self.nights**3)


def _clipped(scores: Sequence[float]) -> list[float]:
    """A call for each score would take most of a comparison's time."""
    return [_CLIP if s > _CLIP else -_CLIP if s < -_CLIP else s for s in scores]


def _nights(logs: Sequence[float], usual: float, now: float) -> int:
    """For how many nights it is so: where the fewest are on the wrong side, and by the least."""

    def misfit(nights: int) -> float:
        old, new = logs[:-nights], logs[-nights:]
        return sum(abs(v - usual) for v in old) + sum(abs(v - now) for v in new)

    return min(range(1, len(logs) + 1), key=misfit)


def _deviation(values: Sequence[float], centre: float) -> float:
    distances = [value - centre if value > centre else centre - value for value in values]
    farthest = _TRUNCATION * _MAD_TO_DEVIATION * statistics.median(distances)
    near = [distance if distance < farthest else farthest for distance in distances]
    return math.sqrt(sum(map(operator.mul, near, near)) / (len(values) - 1))


def _inflation(scores: Sequence[float]) -> float:
    """(1 + r) / (1 - r) for the first autocorrelation r of the nights (an AR(1) process).

    Few nights tell r badly, and too low by about 1 in their number: a small one counts as none.
    """
    square: float = sum(map(operator.mul, scores, scores))
    if square == 0:
        return 1.0
    product: float = sum(map(operator.mul, scores, scores[1:]))
    likeness = min(max(1.4 * (product / square + 1 / len(scores) - 0.1), 0.0), 0.8)
    return (1 + likeness) / (1 - likeness)
