# SPDX-License-Identifier: GPL-2.0-only
"""Times of points, a night each: noise as machines have it, with and without a slow-down."""

import math
import random
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from lkltest.nightly.compare.slowness import step

NIGHTS = 60


@dataclass(frozen=True, slots=True)
class Noise:
    """Log-normal noise; `outliers` of 1.5 to 4 times, a weekday's share, what a night inherits."""

    deviation: float
    outliers: float = 0.0
    weekday: float = 0.0
    inherited: float = 0.0

    def times(self, rng: random.Random, nights: int = NIGHTS) -> list[float]:
        """One point's times."""
        usual = 10 ** rng.uniform(-1.3, 1.5)  # 50 ms to 30 s
        days = [rng.gauss(0, self.weekday) for _ in range(7)]
        level, found = rng.gauss(0, 1), []
        for night in range(nights):
            level = self.inherited * level + math.sqrt(1 - self.inherited**2) * rng.gauss(0, 1)
            outlier = rng.uniform(1.5, 4) if rng.random() < self.outliers else 1.0
            found.append(usual * outlier * math.exp(self.deviation * level + days[night % 7]))
        return found


def is_slower(times: Sequence[float]) -> bool:
    """Whether the last of the nights are."""
    found = step(times)
    return found is not None and found.slower


Detector = Callable[[Sequence[float]], bool]
"""Whether the last of the nights are slower."""


def episodes(times: Sequence[float], first: int = 1, slower: Detector = is_slower) -> list[int]:
    """The nights, from `first`, in which a slow-down is found that the night before did not."""
    slow = [slower(times[:night]) for night in range(first, len(times) + 1)]
    return [n for n, now in enumerate(slow) if now and not (n and slow[n - 1])]


def nights_to_find(
    rng: random.Random,
    noise: Noise,
    factor: float,
    *,
    before: int = 40,
    slower: Detector = is_slower,
) -> int | None:
    """After how many nights a slow-down is found, of fifteen."""
    times = noise.times(rng, before + 15)
    slow = [*times[:before], *(seconds * factor for seconds in times[before:])]
    return next((night for night in range(1, 16) if slower(slow[: before + night])), None)
