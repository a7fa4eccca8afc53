# SPDX-License-Identifier: GPL-2.0-only
"""The lines of a kernel that a night's suites run, and what became of them since another. Pure."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from lkltest.nightly.model.cell import CellRecord


@dataclass(frozen=True, slots=True)
class CoverageRow:
    """The lines of one folder of a kernel that one cell has run, of `lines`.

    `before` is what it ran in the baseline, None where that does not know the folder.
    """

    cell: str
    folder: str
    lines: int
    run: int
    before: int | None = None

    @property
    def share(self) -> float:
        """Per cent."""
        return 100 * self.run / self.lines if self.lines else 0.0

    @property
    def change(self) -> int:
        """The lines gained, or lost where it is negative."""
        return 0 if self.before is None else self.run - self.before


def coverage_rows(
    now: Iterable[CellRecord], before: Iterable[CellRecord]
) -> tuple[CoverageRow, ...]:
    """A row for each folder of each cell, in their order."""
    old = {record.cell.id: record.coverage for record in before}
    rows = []
    for record in now:
        known = old.get(record.cell.id, {})
        for folder, (lines, run) in record.coverage.items():
            earlier = known[folder][1] if folder in known else None
            rows.append(CoverageRow(record.cell.id, folder, lines, run, earlier))
    return tuple(rows)


def changed(rows: Iterable[CoverageRow]) -> list[CoverageRow]:
    """Those that gained or lost lines, what lost most first."""
    return sorted((row for row in rows if row.change), key=lambda row: row.change)


def by_top(rows: Iterable[CoverageRow]) -> list[CoverageRow]:
    """A row for each top folder (fs, net) of each cell."""
    found: dict[tuple[str, str], CoverageRow] = {}
    for row in rows:
        top = row.folder.partition("/")[0]
        had = found.get((row.cell, top), CoverageRow(row.cell, top, 0, 0))
        before = had.before if row.before is None else (had.before or 0) + row.before
        found[row.cell, top] = CoverageRow(
            row.cell, top, had.lines + row.lines, had.run + row.run, before
        )
    return list(found.values())
