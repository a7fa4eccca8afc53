# SPDX-License-Identifier: GPL-2.0-only
"""Reruns: what failed anew is run again before it is reported, to tell a break from an accident.

A rerun is one more run of its cell in the same night, in record and history as every other one; so
the model of flaky points judges it (see `lkltest.nightly.compare.flaky`). One pass is enough to end
them.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace

from lkltest.nightly.commands.night import Recorder
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.nightly.model.ids import split_id
from lkltest.nightly.run.runner import Listener
from lkltest.report.terminal import echo
from lkltest.text import plural


@dataclass(slots=True)
class _Reruns:
    """A listener that adds what comes to the records of the first runs."""

    recorder: Recorder

    def started(self, cell: Cell) -> None:
        self.recorder.started(cell)

    def finished(self, record: CellRecord) -> None:
        """A rerun without a result tells nothing."""
        first = self.recorder.state.done[record.cell.id]
        self.recorder.finished(replace(first, results=first.results + record.results))

    def noticed(self, text: str, *, trouble: bool) -> None:
        self.recorder.noticed(text, trouble=trouble)

    def waiting(self) -> None:
        self.recorder.waiting()


def rerun_new_failures(
    times: int,
    recorder: Recorder,
    changes: Callable[[], Iterable[Change]],
    run_cells: Callable[[Sequence[Cell], Listener], None],
) -> None:
    """Run the cells of new failures again, at most so many times, as long as they are new.

    Args:
        changes: what is new, by all that was run up to now.
        run_cells: runs cells and tells a listener.
    """
    for _ in range(times):
        cells = _wanted(times, recorder, changes())
        if not cells:
            return
        echo(f"{recorder.folder.id}: new failures in {plural(len(cells), 'cell')}: run again")
        run_cells(cells, _Reruns(recorder))


def _wanted(times: int, recorder: Recorder, changes: Iterable[Change]) -> list[Cell]:
    new = {split_id(change.id)[0] for change in changes if change.kind is ChangeKind.NEW_FAILURE}
    records = (recorder.state.done[cell.id] for cell in recorder.state.cells if cell.id in new)
    return [
        replace(record.cell, repeat=1)
        for record in records
        if len(record.results) < record.cell.repeat + times
    ]
