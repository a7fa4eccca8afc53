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

Series = Sequence[Sequence[Outcome]]
"""The outcomes of one point: of each night those of its runs, reruns last."""

Rates = Sequence[float]
"""The share of runs of a point that fail, by night."""


def flaky(rate: float) -> Rates:
    """A point that fails with one rate all the time."""
    return [rate] * NIGHTS


def breaks(rng: random.Random, rate: float) -> tuple[Rates, int]:
    """A point that fails with a rate until a night from which it always does, and that night."""
    night = rng.randrange(40, 80)
    return [rate] * night + [1.0] * (NIGHTS - night), night


def intermittent(rng: random.Random, rate: float) -> tuple[Rates, int]:
    """A point that passes until a night from which it fails with a rate, and that night."""
    night = rng.randrange(40, 75)
    return [0.0] * night + [rate] * (NIGHTS - night), night


def alarms(
    rng: random.Random, points: Mapping[str, Rates], reruns: int = 0
) -> dict[str, list[int]]:
    """The nights in which `compare` calls each point a new failure, after so many reruns."""
    found: dict[str, list[int]] = {name: [] for name in points}
    series: dict[str, list[list[Outcome]]] = {name: [] for name in points}

    def run(name: str, night: int) -> Outcome:
        return Outcome.FAILED if rng.random() < points[name][night] else Outcome.PASSED

    for night in range(NIGHTS):
        for name in points:
            series[name].append([run(name, night)])
        new = new_failures(series, night)
        for _ in range(reruns):
            for name in new:
                series[name][night].append(run(name, night))
            new = [name for name in new_failures(series, night) if name in new]
        for name in new:
            found[name].append(night)
    return found


def new_failures(series: Mapping[str, Series], night: int) -> list[str]:
    """The points that `compare` calls new failures of a night."""
    kinds = {change.id.partition("/")[2]: change.kind for change in changes(series, night)}
    return [name for name, kind in kinds.items() if kind is ChangeKind.NEW_FAILURE]


def changes(series: Mapping[str, Series], night: int) -> list[Change]:
    """The changes that `compare` finds in one night of the points."""
    histories = {f"{CELL}/{name}": _history(name, told, night) for name, told in series.items()}
    before = None if night == 0 else {CELL: _state(series, night - 1)}
    return compare({CELL: _state(series, night)}, before, histories, Known())


def found_in_time(
    rng: random.Random,
    plant: Callable[[random.Random, float], tuple[Rates, int]],
    rate: float,
    count: int,
    within: int,
    *,
    reruns: int = 0,
) -> int:
    """The number of planted points that are called a new failure within so many nights."""
    planted = {f"p{number}": plant(rng, rate) for number in range(count)}
    told = alarms(rng, {name: rates for name, (rates, _) in planted.items()}, reruns)
    return sum(
        any(night <= alarm < night + within for alarm in told[name])
        for name, (_, night) in planted.items()
    )


def _state(series: Mapping[str, Series], night: int) -> CellState:
    points = {
        name: PointState(Outcome.FAILED if Outcome.FAILED in told[night] else Outcome.PASSED, "so")
        for name, told in series.items()
    }
    failed = any(point.outcome is Outcome.FAILED for point in points.values())
    return CellState(CellOutcome.FAILED if failed else CellOutcome.PASSED, points=points)


def _history(name: str, series: Series, night: int) -> PointHistory:
    runs = [
        (f"n{number:02}", outcome)
        for number in range(max(night + 1 - WINDOW, 0), night + 1)
        for outcome in series[number]
    ]
    return PointHistory(
        f"{CELL}/{name}",
        tuple(outcome for _, outcome in runs),
        (None,) * len(runs),
        tuple(night for night, _ in runs),
    )
