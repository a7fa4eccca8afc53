# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest known`: the list of known failures; `--verify` runs just the cells that have some."""

from __future__ import annotations

import argparse
from collections.abc import Sequence

from lkltest.command_line import FAILED, PASSED, count
from lkltest.nightly.commands.options import (
    add_config,
    fail,
    load_config,
    load_known,
    one_line_errors,
)
from lkltest.nightly.compare.known import Known, KnownFailure
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.nightly.model.rows import point_rows
from lkltest.nightly.run.progress import Display, State
from lkltest.nightly.run.runner import Quiet, run_cells
from lkltest.report.terminal import echo
from lkltest.verdict.results import Outcome


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    add_config(parser)
    parser.add_argument(
        "--verify", action="store_true", help="run them and say which are out of date"
    )
    parser.add_argument(
        "-j", "--jobs", type=count, default=1, metavar="N", help="number of cells to run at once"
    )


@one_line_errors
def run(options: argparse.Namespace) -> int:
    """Run the command: 1 when an entry has expired, passes, or is about nothing."""
    config, cells = load_config(options.config)
    if config.known is None:
        return fail(f"{options.config}: names no file of known failures (known in [night])")
    known = load_known(config.known)
    if not options.verify:
        for failure in known.failures:
            echo(_line(failure, "expired" if failure.expired(known.today) else "known"))
        expired = any(failure.expired(known.today) for failure in known.failures)
        return FAILED if expired else PASSED
    failures = [failure for failure in known.failures if not failure.slower]
    records = _run([c for c in cells if any(f.fits_cell(c.id) for f in failures)], options)
    words = [(failure, verdict(failure, known, records)) for failure in known.failures]
    for failure, word in words:
        echo(_line(failure, word))
    return PASSED if all(word in ("fails", "slower") for _, word in words) else FAILED


def verdict(failure: KnownFailure, known: Known, records: Sequence[CellRecord]) -> str:
    """`fails` as known, `PASSES`, `expired`, `did not run`, or `matches nothing`.

    One run says nothing of a slow-down.
    """
    if failure.slower:
        return "EXPIRED" if failure.expired(known.today) else "slower"
    cells = [record for record in records if failure.fits_cell(record.cell.id)]
    outcomes = [
        row.outcome
        for record in cells
        for result in record.results
        for row in point_rows(result)
        if failure.fits(f"{record.cell.id}/{row.name}")
    ]
    if Outcome.FAILED in outcomes:
        return "EXPIRED" if failure.expired(known.today) else "fails"
    if Outcome.PASSED in outcomes:
        return "PASSES"
    ran = any(result.points for record in cells for result in record.results)
    return "MATCHES NOTHING" if not outcomes and (ran or not cells) else "DID NOT RUN"


class _Shown(Quiet):
    """Keeps the records and shows a line for each."""

    def __init__(self, cells: Sequence[Cell], jobs: int) -> None:
        super().__init__()
        self._state = State(cells, jobs, {})
        self._display = Display(self._state)

    def finished(self, record: CellRecord) -> None:
        super().finished(record)
        self._state.done[record.cell.id] = record
        self._display.cell_done(record)

    def waiting(self) -> None:
        self._display.tick()


def _run(cells: Sequence[Cell], options: argparse.Namespace) -> list[CellRecord]:
    listener = _Shown(cells, options.jobs)
    run_cells(cells, options.jobs, listener)
    return listener.records


def _line(failure: KnownFailure, word: str) -> str:
    until = f", until {failure.expires}" if failure.expires else ""
    link = f" ({failure.link})" if failure.link else ""
    return f"{word:15}  {failure.pattern}: {failure.reason}{link}{until}"
