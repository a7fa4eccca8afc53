# SPDX-License-Identifier: GPL-2.0-only
"""Runs cells on this machine, several at once; whatever one of them does, the others go on."""

from __future__ import annotations

import platform
import select
import time
from collections import deque
from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Protocol

from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.nightly.run.cell_process import CellProcess, NoResult
from lkltest.verdict.results import SuiteResult

_TICK = 1.0


class Listener(Protocol):
    """A listener to a running night; it is called in one thread."""

    def started(self, cell: Cell) -> None: ...

    def finished(self, record: CellRecord) -> None: ...

    def noticed(self, text: str, *, trouble: bool) -> None:
        """A line about the machines; `trouble` is for the reports, too."""

    def waiting(self) -> None:
        """A tick, about once a second."""


class Quiet:
    """A listener that keeps the records and says nothing."""

    def __init__(self) -> None:
        self.records: list[CellRecord] = []

    def started(self, cell: Cell) -> None:
        del cell

    def finished(self, record: CellRecord) -> None:
        self.records.append(record)

    def noticed(self, text: str, *, trouble: bool) -> None:
        del text, trouble

    def waiting(self) -> None:
        pass


def run_cells(cells: Iterable[Cell], jobs: int, listener: Listener, machine: str = "") -> None:
    """Run `cells`, at most `jobs` at a time, in their order.

    What the listener raises, and an interruption, ends all that run and is passed on.
    """
    queue = deque(cells)
    running: list[_Running] = []
    try:
        while queue or running:
            while queue and len(running) < jobs:
                cell = queue.popleft()
                listener.started(cell)
                running.append(_Running(cell))
            for one in running:
                one.step()
            for one in [one for one in running if one.done]:
                running.remove(one)
                listener.finished(one.record(machine))
            _wait(running)
            listener.waiting()
    finally:
        for one in running:
            one.close()


def run_cell(cell: Cell, machine: str = "") -> CellRecord:
    """Run one cell to its end. Blocks; raises nothing for whatever the cell does."""
    listener = Quiet()
    run_cells([cell], 1, listener, machine)
    return listener.records[0]


@dataclass(slots=True)
class _Running:
    """A cell on its way through its repeats."""

    cell: Cell
    started: float = field(default_factory=time.time)
    results: list[SuiteResult] = field(default_factory=list)
    coverage: dict[str, tuple[int, ...]] = field(default_factory=dict)
    error: NoResult | None = None
    process: CellProcess | None = None
    _clock: float = field(default_factory=time.monotonic)

    @property
    def done(self) -> bool:
        """An error of the machine is not tried again and again."""
        return self.error is not None or len(self.results) == self.cell.repeat

    def step(self) -> None:
        """Start the next repeat, or take the result of one that has ended."""
        try:
            if self.process is not None and (_ended(self.process) or self.process.deadline.expired):
                try:
                    self.results.append(self.process.result())
                    self.coverage = self.process.coverage()
                finally:
                    self.close()
            if self.process is None and not self.done:
                self.process = CellProcess(self.cell)
        except NoResult as error:
            self.error = error

    def close(self) -> None:
        process, self.process = self.process, None
        if process is not None:
            process.close()

    def record(self, machine: str) -> CellRecord:
        return CellRecord(
            cell=self.cell,
            results=tuple(self.results),
            error=str(self.error or ""),
            log=self.error.log if self.error else "",
            started=self.started,
            seconds=time.monotonic() - self._clock,
            machine=machine or platform.node(),
            arch=platform.machine(),
            coverage=self.coverage,
        )


def _ended(process: CellProcess) -> bool:
    return bool(_poll([process], 0))


def _wait(running: Iterable[_Running]) -> None:
    """Wait until something ends or its time is over; a tick at most."""
    processes = [one.process for one in running if one.process is not None]
    if processes:
        nearest = min(process.deadline.remaining() for process in processes)
        _poll(processes, min(nearest + 0.001, _TICK))


def _poll(processes: Iterable[CellProcess], seconds: float) -> list[tuple[int, int]]:
    poller = select.poll()
    for process in processes:
        poller.register(process.fileno(), select.POLLIN)
    return poller.poll(int(seconds * 1000) + 1 if seconds else 0)
