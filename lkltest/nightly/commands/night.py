# SPDX-License-Identifier: GPL-2.0-only
"""One night: run what is missing, remember it, say what changed, write the reports.

Records and JUnit are on disk as each cell ends, before the history is told: a history that cannot
be used costs the night nothing but an error at its end.
"""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from datetime import date
from pathlib import Path

from lkltest.nightly.compare.compare import compare
from lkltest.nightly.compare.coverage import CoverageRow, coverage_rows
from lkltest.nightly.compare.known import Known
from lkltest.nightly.history import queries
from lkltest.nightly.history.store import History, HistoryError
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.nightly.model.change import Change, ChangeKind, PointHistory
from lkltest.nightly.report import build_model
from lkltest.nightly.report.junit import junit_results
from lkltest.nightly.report.model import NightModel
from lkltest.nightly.run.progress import Display, State
from lkltest.nightly.run.store import NightFolder, nights, notes_before
from lkltest.report import junit


@dataclass(slots=True)
class Recorder:
    """A listener of the runner: keeps what comes, shows how far it is.

    `history_error` is what the history last said, "" as long as it works; `troubles` is what was
    noticed of the machines, for the reports.
    """

    folder: NightFolder
    state: State
    display: Display
    known: Known
    history: History | None
    history_error: str = ""
    troubles: list[str] = field(default_factory=list)

    def started(self, cell: Cell) -> None:
        self.state.running[cell.id] = time.monotonic()

    def finished(self, record: CellRecord) -> None:
        """Raises OSError when the record cannot be kept: nothing that follows could be either."""
        self.folder.write(record)
        write_junit(record, self.folder, self.known)
        self.remember(record)
        self.state.running.pop(record.cell.id, None)
        self.state.done[record.cell.id] = record
        self.display.cell_done(record)

    def noticed(self, text: str, *, trouble: bool) -> None:
        self.display.line(text)
        if trouble:
            self.troubles.append(text)

    def waiting(self) -> None:
        self.display.tick()

    def remember(self, record: CellRecord) -> None:
        """Tell the history, unless it has failed before."""
        if self.history is not None and not self.history_error:
            try:
                self.history.add(self.folder.id, queries.run_rows(record))
            except HistoryError as error:
                self.history_error = str(error)


@dataclass(frozen=True, slots=True)
class ComparedNight:
    """A night beside its baseline, and the changes between them."""

    model: NightModel
    failing: tuple[Change, ...] = ()
    """The changes for which the night fails."""


@dataclass(frozen=True, slots=True)
class Criteria:
    """The terms of a comparison: known failures, what a night fails on, its baseline."""

    known: Known = field(default_factory=lambda: Known((), date.min))
    fail_on: frozenset[ChangeKind] = frozenset()
    baseline: str | None = None


def write_junit(record: CellRecord, folder: NightFolder, known: Known) -> None:
    """One cell's JUnit file, as the reports of the whole night have it. Raises OSError."""
    model = NightModel(
        folder.id, record.started, None, "", (build_model.cell_model(record, known),)
    )
    for result in junit_results(model):
        junit.write(result, folder.path / "junit")


def expected_seconds(history: History, cells: Sequence[Cell]) -> dict[str, float]:
    """Each cell's time when it last ran; for the progress display alone."""
    found: dict[str, float] = {}
    for cell in cells:
        last = history.rows(
            "SELECT runs.night, runs.seconds FROM runs JOIN cells ON cells.id = runs.cell"
            " WHERE cells.cell = ? ORDER BY runs.id DESC LIMIT 100",
            (cell.id,),
        )
        if last:
            found[cell.id] = sum(seconds for night, seconds in last if night == last[0][0])
    return found


def remember_folder(history: History, folder: NightFolder) -> int:
    """Tell a history all that a night's folder holds; returns how many cells.

    Raises HistoryError; OSError and ValueError for a folder that is none.
    """
    head = folder.head()
    history.begin_night(
        folder.id, head["started"], head.get("name", "nightly"), head.get("harness", "")
    )
    count = 0
    for record in folder.records():
        history.add(folder.id, queries.run_rows(record))
        count += 1
    if head.get("finished"):
        history.finish_night(folder.id, head["finished"])
    return count


def history_of_folders(directory: Path) -> History:
    """A history in memory of the nights whose folders are still there, for want of a better one."""
    history = History(None)
    for folder in nights(directory)[-queries.NIGHTS :]:
        remember_folder(history, folder)
    return history


@dataclass(frozen=True, slots=True)
class Comparison:
    """A night beside its baseline, None where there is none."""

    baseline: str | None
    platforms: Mapping[str, queries.Platform]
    histories: Mapping[str, PointHistory]
    changes: Sequence[Change]


def compared(history: History, night: str, wanted: str | None, known: Known) -> Comparison:
    """Compare a night that the history knows with the one before, or the `wanted` one.

    Raises HistoryError, queries.NoBaseline.
    """
    baseline = queries.baseline_of(history, night, wanted)
    platforms = queries.platforms_of(history, night)
    before = None if baseline is None else queries.baseline_cells(history, baseline, platforms)
    histories = queries.histories_of(history, night, platforms)
    changes = compare(queries.cells_of(history, night), before, histories, known)
    return Comparison(baseline, platforms, histories, changes)


def _coverage(
    records: Sequence[CellRecord], folder: NightFolder, baseline: str | None
) -> tuple[CoverageRow, ...]:
    """The lines that were run, held against those of the baseline while its folder is there."""
    if not any(record.cell.coverage for record in records):
        return ()
    before = NightFolder(folder.path.parent / baseline).records() if baseline else ()
    return coverage_rows(records, before)


def compare_night(
    history: History,
    folder: NightFolder,
    records: Sequence[CellRecord],
    criteria: Criteria,
    notes: Sequence[str] = (),
) -> ComparedNight:
    """Judge a night that the history knows. Raises HistoryError, queries.NoBaseline."""
    found = compared(history, folder.id, criteria.baseline, criteria.known)
    changes, histories = found.changes, found.histories
    failing = [c for c in changes if c.kind in criteria.fail_on or c.kind is ChangeKind.EXPIRED]
    suites = build_model.suite_trends(
        {cell: histories[cell] for cell in found.platforms}, queries.commits_of(history, folder.id)
    )
    head = folder.head()
    model = NightModel(
        night_id=folder.id,
        started=head["started"],
        baseline_id=found.baseline,
        machine=build_model.machine_text(records),
        cells=tuple(build_model.cell_model(record, criteria.known) for record in records),
        changes=tuple(changes),
        histories=build_model.shown_histories(changes, histories),
        suite_trends=suites,
        flaky=build_model.flaky_points(histories),
        seconds=time.time() - head["started"],
        failed=bool(failing),
        notes=tuple(notes),
        notes_before=notes_before(folder),
        properties={
            "name": head.get("name", ""),
            "lkltest": head.get("harness", ""),
            **({"history": str(history.file.resolve())} if history.file else {}),
        },
        coverage=_coverage(records, folder, found.baseline),
    )
    return ComparedNight(model, tuple(failing))
