# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: S311 - the noise has to be the same each time
"""A history of nights that never were, with known truth: what should be found, and when."""

import random
from collections.abc import Iterator
from dataclasses import dataclass, field

from lkltest.nightly.compare.compare import compare
from lkltest.nightly.compare.known import Known
from lkltest.nightly.history import queries
from lkltest.nightly.history.store import History
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.verdict.results import Outcome, PointResult, SuiteResult

NIGHTS = 60
WARM_UP = 25
"""Nights that a flaky point gets to show that it is."""

Series = list[Outcome | None]
"""The outcomes of a point night by night; None where it is not there."""


@dataclass(slots=True)
class Truth:
    """Points and the change that should be reported of them, by night (from 0) and name."""

    series: dict[str, Series] = field(default_factory=dict)
    changes: dict[tuple[int, str], ChangeKind] = field(default_factory=dict)
    open: set[tuple[int, str]] = field(default_factory=set)
    """The nights in which nobody could know yet: the first failures of a flaky point."""


def outcomes(seed: int, each: int = 8) -> Truth:
    """Plant `each` points of every class of change."""
    rng = random.Random(seed)
    truth = Truth()
    for number in range(each):
        _regression(truth, f"regressed-{number}", rng.randrange(5, 58), None)
        start = rng.randrange(5, 40)
        _regression(truth, f"fixed-{number}", start, start + rng.randrange(1, 15))
        _appear_or_vanish(truth, f"vanished-{number}", rng.randrange(3, 58), vanish=True)
        _appear_or_vanish(truth, f"added-{number}", rng.randrange(3, 58), vanish=False)
        _skip(truth, f"skipped-{number}", rng.randrange(3, 58))
        _flaky(truth, f"flaky-{number}", rng)
        truth.series[f"todo-{number}"] = [Outcome.TODO] * NIGHTS
    for number in range(10 * each):
        truth.series[f"stable-{number}"] = [Outcome.PASSED] * NIGHTS
    return truth


def play(truth: Truth, rng: random.Random) -> Iterator[tuple[int, list[Change]]]:
    """Put one night after the other into a history, and yield what compare says of each."""
    with History(None) as history:
        for night in range(NIGHTS):
            name = f"night-{night:02}"
            record = _record(truth, night, rng)
            history.begin_night(name, 1000.0 + night * 86_400, "synthetic", "0")
            history.add(name, queries.run_rows(record))
            history.finish_night(name, 2000.0 + night * 86_400)
            yield night, changes(history, name)


def changes(history: History, night: str, known: Known | None = None) -> list[Change]:
    """The changes from the night before, as a night of `lkltest nightly` finds them."""
    baseline = queries.baseline_of(history, night, None)
    platforms = queries.platforms_of(history, night)
    before = None if baseline is None else queries.baseline_cells(history, baseline, platforms)
    histories = queries.histories_of(history, night, platforms)
    return compare(queries.cells_of(history, night), before, histories, known or Known())


def record(
    points: tuple[PointResult, ...], cell: Cell | None = None, **fields: object
) -> CellRecord:
    """The record of a cell with these points."""
    cell = cell or Cell("b", "native", "disk", "ext4")
    result = SuiteResult(cell.suite, cell.variant, cell.host, points, seconds=1.0, started=1.0)
    data = {"machine": "m", "arch": "x86_64", "seconds": 1.0, **fields}
    return CellRecord(cell, (result,), **data)  # type: ignore[arg-type]


def _record(truth: Truth, night: int, rng: random.Random) -> CellRecord:
    points = tuple(
        PointResult(name, outcome, seconds=rng.gauss(1, 0.1))
        for name, series in truth.series.items()
        if (outcome := series[night]) is not None
    )
    return record(points)


def _regression(truth: Truth, name: str, start: int, end: int | None) -> None:
    end_at = NIGHTS if end is None else end
    series: Series = [Outcome.PASSED] * NIGHTS
    series[start:end_at] = [Outcome.FAILED] * (end_at - start)
    truth.series[name] = series
    truth.changes[start, name] = ChangeKind.NEW_FAILURE
    for night in range(start + 1, end_at):
        truth.changes[night, name] = ChangeKind.STILL_FAILING
    if end is not None:
        truth.changes[end, name] = ChangeKind.FIXED


def _appear_or_vanish(truth: Truth, name: str, night: int, *, vanish: bool) -> None:
    there: Series = [Outcome.PASSED] * NIGHTS
    gone: Series = [None] * NIGHTS
    first, then = (there, gone) if vanish else (gone, there)
    truth.series[name] = first[:night] + then[night:]
    truth.changes[night, name] = ChangeKind.VANISHED if vanish else ChangeKind.ADDED


def _skip(truth: Truth, name: str, night: int) -> None:
    truth.series[name] = [Outcome.PASSED] * night + [Outcome.SKIPPED] * (NIGHTS - night)
    truth.changes[night, name] = ChangeKind.NEWLY_SKIPPED


def _flaky(truth: Truth, name: str, rng: random.Random) -> None:
    share = rng.uniform(0.25, 0.5)
    series: Series = [
        Outcome.FAILED if rng.random() < share else Outcome.PASSED for _ in range(NIGHTS)
    ]
    truth.series[name] = series
    for night in range(NIGHTS):
        changed = Outcome.FAILED in series[max(night - 1, 0) : night + 1]
        if night < WARM_UP:
            truth.open.add((night, name))
        elif changed:
            truth.changes[night, name] = ChangeKind.FLAKY
