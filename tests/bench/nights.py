# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: S311
"""The quality of judgements on nights: planted faults, rates with 95 % confidence."""

from __future__ import annotations

import math
import random
from collections.abc import Sequence
from importlib.util import find_spec

from tests.nightly.compare.chance import alarms, breaks, flaky, found_in_time, intermittent
from tests.nightly.compare.times import Detector, Noise, episodes, is_slower, nights_to_find

SEEDS = range(1, 11)


def nights() -> None:
    """Print the rates of false alarms and of faults found."""
    judgement()
    slow_downs()


def judgement() -> None:
    """Print the rates of points that fail."""
    print(f"seeds {SEEDS.start} to {SEEDS.stop - 1}")
    for reruns in (0, 3):
        print(f"with {reruns} reruns of a new failure:")
        for rate in (0.05, 0.2, 0.5):
            points = {f"p{n}": flaky(rate) for n in range(32)}
            told = [
                len(times)
                for seed in SEEDS
                for times in alarms(random.Random(f"{seed} {rate}"), points, reruns).values()
            ]
            print(f"  flaky {rate:3.0%}, 90 nights: {mean_text(told)} alarms a point")
        _found("  flaky 20 %, then broken: new within 4 nights", breaks, 0.2, 16, 4, reruns=reruns)
        _found("  passed, then broken: new at once", breaks, 0.0, 32, 1, reruns=reruns)
        for within in (15, 25):
            title = f"  passed, then 30 % failures: new within {within} nights"
            _found(title, intermittent, 0.3, 32, within, reruns=reruns)


def slow_downs() -> None:
    """Print false episodes and slow-downs found, under several kinds of noise; beside Otava's."""
    detectors: dict[str, Detector] = {"lkltest": is_slower}
    if find_spec("otava") is None:
        print("Apache Otava is not installed (pip install '.[bench]')")
    else:
        detectors["Otava"] = otava
    for noise in (
        *(Noise(deviation, outliers) for deviation in (0.05, 0.1, 0.2) for outliers in (0.0, 0.02)),
        Noise(0.1, 0.02, weekday=0.05),
        Noise(0.1, inherited=0.5),
    ):
        print(noise)
        for name, slower in detectors.items():
            _slow_downs(name, slower, noise)


def _slow_downs(name: str, slower: Detector, noise: Noise, points: int = 1000) -> None:
    rng = random.Random(5)
    count = sum(len(episodes(noise.times(rng), 13, slower)) for _ in range(points))
    parts = [f"points with a false episode in 60 nights: {share_text(count, points)}; found of 100"]
    for factor in (1.15, 1.3, 2.0):
        rng = random.Random(9)
        waits = [nights_to_find(rng, noise, factor, slower=slower) for _ in range(100)]
        soon = sum(nights is not None and nights <= 3 for nights in waits)
        parts.append(f"{factor - 1:.0%} slower: {100 - waits.count(None)}, in 3 nights {soon}")
    print(f"  {name:8} {'; '.join(parts)}", flush=True)


def otava(times: Sequence[float]) -> bool:
    """Whether Apache Otava, as it comes, finds that one of the last 15 nights began a slow-down."""
    from otava.analysis import compute_change_points

    found, _ = compute_change_points(times)
    recent = [point for point in found if point.index >= len(times) - 15]
    return bool(recent) and recent[-1].stats.mean_2 > recent[-1].stats.mean_1


def _found(title: str, plant: object, rate: float, count: int, within: int, *, reruns: int) -> None:
    hits = sum(
        found_in_time(random.Random(seed), plant, rate, count, within, reruns=reruns)  # type: ignore[arg-type]
        for seed in SEEDS
    )
    print(f"{title}: {share_text(hits, count * len(SEEDS))}")


def mean_text(values: list[int]) -> str:
    """`1.10 (1.05 to 1.15)`."""
    mean = sum(values) / len(values)
    variance = sum((value - mean) ** 2 for value in values) / (len(values) - 1)
    half = 1.96 * math.sqrt(variance / len(values))
    return f"{mean:.2f} ({mean - half:.2f} to {mean + half:.2f})"


def share_text(hits: int, count: int) -> str:
    """`158 of 160, 95.6 % to 99.7 %`: Wilson's interval."""
    z, share = 1.96, hits / count
    centre = (share + z * z / (2 * count)) / (1 + z * z / count)
    half = z / (1 + z * z / count) * math.sqrt(share * (1 - share) / count + (z / 2 / count) ** 2)
    return f"{hits} of {count}, {max(centre - half, 0):.1%} to {min(centre + half, 1):.1%}"
