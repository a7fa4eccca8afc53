# SPDX-License-Identifier: GPL-2.0-only

"""Nights of points that fail by chance, break, or start to fail now and then; and their alarms."""

import random
from collections.abc import Callable, Mapping, Sequence

from lkltest.nightly.compare.compare import compare
from lkltest.nightly.compare.known import Known
from lkltest.nightly.history.queries import NIGHTS as WINDOW
from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.model.change import CellState, Change, ChangeKind, PointHistory, PointState
from lkltest.verdict.results import Outcome

CELL = "disk[ext4]@native#b"
NIGHTS = 90

Series = Sequence[Outcome]
"""The outcomes of one point, a night each."""


def flaky(rng: random.Random, rate: float, nights: int = NIGHTS) -> list[Outcome]:
    """A point that fails with one rate all the time."""
    return [Outcome.FAILED if rng.random() < rate else Outcome.PASSED for _ in range(nights)]


def breaks(rng: random.Random, rate: float) -> tuple[list[Outcome], int]:
    """A point that fails with a rate until a night from which it always does, and that night."""
    night = rng.randrange(40, 80)
    return flaky(rng, rate, night) + [Outcome.FAILED] * (NIGHTS - night), night


def intermittent(rng: random.Random, rate: float) -> tuple[list[Outcome], int]:
    """A point that passes until a night from which it fails with a rate, and that night."""
    night = rng.randrange(40, 75)
    return [Outcome.PASSED] * night + flaky(rng, rate, NIGHTS - night), night


def alarms(series: Mapping[str, Series]) -> dict[str, list[int]]:
    """The nights in which `compare` calls each point a new failure."""
    found: dict[str, list[int]] = {name: [] for name in series}
    for night in range(NIGHTS):
        for change in changes(series, night):
            if change.kind is ChangeKind.NEW_FAILURE:
                found[change.id.partition("/")[2]].append(night)
    return found


def changes(series: Mapping[str, Series], night: int) -> list[Change]:
    """What `compare` says of one night of the points."""
    histories = {f"{CELL}/{name}": _history(name, told, night) for name, told in series.items()}
    before = None if night == 0 else {CELL: _state(series, night - 1)}
    return compare({CELL: _state(series, night)}, before, histories, Known())


def found_in_time(
    rng: random.Random,
    plant: Callable[[random.Random, float], tuple[list[Outcome], int]],
    rate: float,
    count: int,
    within: int,
) -> int:
    """How many of `count` planted points are called a new failure within so many nights."""
    planted = {f"p{number}": plant(rng, rate) for number in range(count)}
    told = alarms({name: series for name, (series, _) in planted.items()})
    return sum(
        any(night <= alarm < night + within for alarm in told[name])
        for name, (_, night) in planted.items()
    )


def _state(series: Mapping[str, Series], night: int) -> CellState:
    points = {name: PointState(told[night], "so") for name, told in series.items()}
    failed = any(point.outcome is Outcome.FAILED for point in points.values())
    return CellState(CellOutcome.FAILED if failed else CellOutcome.PASSED, points=points)


def _history(name: str, series: Series, night: int) -> PointHistory:
    nights = range(max(night + 1 - WINDOW, 0), night + 1)
    return PointHistory(
        f"{CELL}/{name}",
        tuple(series[number] for number in nights),
        (None,) * len(nights),
        tuple(f"n{number:02}" for number in nights),
    )
