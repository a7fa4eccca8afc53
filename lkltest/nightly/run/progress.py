# SPDX-License-Identifier: GPL-2.0-only
"""The display of a running night: a line as each cell ends, and on a terminal one that moves."""

from __future__ import annotations

import os
import shutil
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TextIO

from lkltest.nightly.model.cell import Cell, CellOutcome, CellRecord
from lkltest.report.terminal import coloured, wants_colour
from lkltest.text import duration, printable
from lkltest.verdict.results import Outcome

_WORDS = {
    CellOutcome.PASSED: ("ok", "32"),
    CellOutcome.FAILED: ("FAILED", "31"),
    CellOutcome.SKIPPED: ("skipped", "33"),
    CellOutcome.ERROR: ("ERROR", "31"),
}
_FIRST_GUESS = 10.0


@dataclass(slots=True)
class State:
    """A night's progress. `expected`: seconds by cell id, of earlier nights; `jobs` at once."""

    cells: Sequence[Cell]
    jobs: int
    expected: Mapping[str, float]
    done: dict[str, CellRecord] = field(default_factory=dict)
    running: dict[str, float] = field(default_factory=dict)
    """The start of each, by the clock that `seconds_left` is given."""

    @property
    def failed(self) -> int:
        return sum(r.outcome in (CellOutcome.FAILED, CellOutcome.ERROR) for r in self.done.values())

    def seconds_left(self, now: float) -> float:
        """Guess: what earlier nights took; for new cells what this night's took on average."""
        times = [record.seconds for record in self.done.values()] or list(self.expected.values())
        usual = sum(times) / len(times) if times else _FIRST_GUESS
        left = 0.0
        for cell in self.cells:
            if cell.id not in self.done:
                seconds = self.expected.get(cell.id, usual * cell.repeat)
                left += max(seconds - (now - self.running.get(cell.id, now)), 0.0)
        return left / max(min(self.jobs, len(self.cells) - len(self.done)), 1)


def state_line(state: State, now: float) -> str:
    """`3 of 40 cells, 1 failed; running boot@native#b; about 2 min left`."""
    parts = [f"{len(state.done)} of {len(state.cells)} cells, {state.failed} failed"]
    names = list(state.running)
    if names:
        more = f" and {len(names) - 2} more" if len(names) > 2 else ""
        parts.append(f"running {', '.join(names[:2])}{more}")
    parts.append(f"about {duration(state.seconds_left(now))} left")
    return "; ".join(parts)


def cell_line(record: CellRecord, colour: bool) -> str:
    """`disk[ext4]@native#stable   FAILED    1.32 s  signal: SIGSEGV`."""
    word, code = _WORDS[record.outcome]
    shown = coloured(f"{word:8}", code) if colour else f"{word:8}"
    name, detail = printable(record.cell.id), printable(_detail(record))
    return f"{name:32} {shown}{record.seconds:8.2f} s  {detail}"


def _detail(record: CellRecord) -> str:
    if record.error:
        return record.error
    skipped = (result.skip for result in record.results if result.skip and not result.points)
    problems = (str(problem) for result in record.results for problem in result.problems)
    failed = (
        f"not ok {point.name}"
        for result in record.results
        for point in result.points
        if point.outcome is Outcome.FAILED
    )
    points = sum(len(result.points) for result in record.results)
    return next(problems, "") or next(failed, "") or next(skipped, "") or f"{points} points"


class Display:
    """Shows a state on `stream` as it changes."""

    def __init__(self, state: State, stream: TextIO | None = None) -> None:
        self._state = state
        self._stream = stream or sys.stdout
        self._terminal = self._stream.isatty()
        self._colour = wants_colour(self._stream)

    def cell_done(self, record: CellRecord) -> None:
        """A line that stays: `[ 3/40] ...`."""
        total = len(self._state.cells)
        place = f"[{len(self._state.done):{len(str(total))}}/{total}]"
        failed = f"  ({self._state.failed} failed)" if self._state.failed else ""
        left = duration(self._state.seconds_left(time.monotonic()))
        self._wipe()
        rest = f"{failed}  {left} left" if len(self._state.done) < total else failed
        self._put(f"{place} {cell_line(record, self._colour)}{rest}\n")

    def line(self, text: str) -> None:
        """A line that stays, of another matter than a cell's end."""
        self._wipe()
        self._put(f"{printable(text)}\n")

    def tick(self) -> None:
        """The line that moves; on a terminal alone."""
        if self._terminal:
            self._wipe()
            # A line that the terminal wraps cannot be wiped.
            width = shutil.get_terminal_size().columns - 1
            self._put(printable(state_line(self._state, time.monotonic()))[:width])

    def end(self) -> None:
        self._wipe()

    def _wipe(self) -> None:
        if self._terminal:
            self._put("\r\x1b[K")

    def _put(self, text: str) -> None:
        try:
            self._stream.write(text)
            self._stream.flush()
        except BrokenPipeError:
            # Whoever read it (head, a pager) has gone; the night goes on.
            os.dup2(os.open(os.devnull, os.O_WRONLY), self._stream.fileno())
