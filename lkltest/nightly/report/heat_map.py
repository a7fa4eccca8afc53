# SPDX-License-Identifier: GPL-2.0-only
"""The cells of a night as a table: a row a suite, a column a host and build. Pure."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from math import sqrt

from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.model.change import ChangeKind
from lkltest.nightly.report.model import CellModel, NightModel
from lkltest.verdict.results import Outcome

_PALEST = 0.45


@dataclass(frozen=True, slots=True)
class Field:
    """One field of the table.

    Attributes:
        cell: what it shows.
        text: `9`, `2 of 10`, `error`, `skipped`.
        heat: 0 for nothing failed, else up to 1 for everything.
        news: what changed in it, `1 new, 2 slower`; "" for nothing.
        detail: a sentence for a pointer that rests on it.
    """

    cell: CellModel
    text: str
    heat: float
    news: str
    detail: str


@dataclass(frozen=True, slots=True)
class HeatMap:
    """The table: `columns` are host and build, a row is a suite's title and its fields."""

    columns: tuple[tuple[str, str], ...]
    rows: tuple[tuple[str, tuple[Field | None, ...]], ...]


def heat_map(night: NightModel) -> HeatMap:
    """Return the table of a night, in the order of its cells; None where there is no cell."""
    news = _news(night)
    fields = {
        (cell.title, cell.host, cell.build): _field(cell, news.get(cell.id, Counter()))
        for cell in night.cells
    }
    columns = tuple(dict.fromkeys((cell.host, cell.build) for cell in night.cells))
    titles = dict.fromkeys(cell.title for cell in night.cells)
    rows = tuple(
        (title, tuple(fields.get((title, *column)) for column in columns)) for title in titles
    )
    return HeatMap(columns, rows)


def _news(night: NightModel) -> dict[str, Counter[ChangeKind]]:
    """The changes by cell id; ids of points are the cell's, a slash and a name."""
    news: dict[str, Counter[ChangeKind]] = {cell.id: Counter() for cell in night.cells}
    # A variant may hold a slash itself: the longest id that fits is the cell's.
    by_length = sorted(news, key=len, reverse=True)
    for change in night.changes:
        cell = change.id if change.id in news else None
        if cell is None:
            cell = next((id_ for id_ in by_length if change.id.startswith(f"{id_}/")), None)
        if cell is not None:
            news[cell][change.kind] += 1
    return news


def _field(cell: CellModel, news: Counter[ChangeKind]) -> Field:
    counts = cell.result.counts() if cell.result else {}
    failed, total = counts.get(Outcome.FAILED, 0), sum(counts.values())
    heat = 0.0
    text = str(total)
    if cell.outcome is CellOutcome.ERROR:
        text, heat = "error", 1.0
    elif cell.outcome is CellOutcome.SKIPPED:
        text = "skipped"
    elif cell.outcome is CellOutcome.FAILED:
        text = f"{failed} of {total}"
        # One failed point of a hundred must be seen too.
        heat = _PALEST + (1 - _PALEST) * sqrt(failed / total if total else 1.0)
    words = ", ".join(f"{news[kind]} {kind.value}" for kind in ChangeKind if news[kind])
    return Field(cell, text, round(heat, 2), words, _detail(cell, words))


def _detail(cell: CellModel, news: str) -> str:
    skip = cell.result.skip if cell.result and cell.result.skip else ""
    parts = [cell.id, cell.outcome.value, cell.error or skip, f"{cell.seconds:.1f} s", news]
    return ": ".join([", ".join(parts[:1]), "; ".join(part for part in parts[1:] if part)])
