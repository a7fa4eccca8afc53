# SPDX-License-Identifier: GPL-2.0-only
"""The page of all nights, made of the history and of the nights' folders."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from lkltest.nightly.history import browse
from lkltest.nightly.history.store import History
from lkltest.nightly.report import overview
from lkltest.nightly.report.html import NoTemplates
from lkltest.nightly.report.labels import Verdict
from lkltest.nightly.report.model import FlakyPoint
from lkltest.nightly.report.overview import CellLine, MachineLine, NightLine, Overview
from lkltest.nightly.run.store import nights
from lkltest.whole_file import write_whole

_NIGHTS = 500
_CELL_NIGHTS = 30
_CELLS = 1000
_FLAKY = 20


def write_overview(history: History, directory: Path, name: str) -> Path | None:
    """Write `index.html` of all nights; None without a template engine.

    Raises HistoryError, OSError.
    """
    try:
        text = overview.page(_overview(history, directory, name))
    except NoTemplates:  # which the night's own report says
        return None
    file = directory / "index.html"
    write_whole(file, text)
    return file


def _overview(history: History, directory: Path, name: str) -> Overview:
    heads = {folder.id: folder.head() for folder in nights(directory)}
    rows = browse.last_nights(history, _NIGHTS)[::-1]
    last = [row.night for row in rows][-_CELL_NIGHTS:]
    runs = browse.runs_of(history, last)
    failures = browse.failures_by_night(history)
    return Overview(
        name,
        tuple(
            _night(row, failures.get(row.night, 0), heads.get(row.night), directory) for row in rows
        ),
        tuple(_cells(runs, last))[:_CELLS],
        tuple(
            FlakyPoint(point.id, point.flips, point.failures, point.runs)
            for point in browse.flakiest(history, _FLAKY)
        ),
        tuple(_machines(runs)),
    )


def _night(
    row: browse.NightRow, failures: int, head: Mapping[str, Any] | None, directory: Path
) -> NightLine:
    facts = head or {}
    page = f"nights/{row.night}/index.html"
    counts = (("failed", row.failed), ("error", row.errors), ("passed", row.passed))
    text = ", ".join(f"{count} {word}" for word, count in counts if count) or "no cells"
    verdict = None
    if row.finished:
        guess = Verdict.FAILING if row.failed or row.errors else Verdict.PASSED
        known = {one.value: one for one in Verdict}
        verdict = known.get(str(facts.get("verdict")), guess)
    return NightLine(
        row.night,
        verdict,
        str(facts.get("headline") or (text if row.finished else f"not finished: {text}")),
        page if head is not None and (directory / page).exists() else "",
        failures,
        row.seconds,
    )


def _cells(runs: list[browse.CellRun], last: list[str]) -> list[CellLine]:
    """A line for each cell: the worst outcome of a night's repeats."""
    order = ("error", "failed", "passed", "skipped")
    found: dict[str, dict[str, str]] = {}
    reasons: dict[str, str] = {}
    for run in runs:
        nights_of = found.setdefault(run.cell, {})
        before = nights_of.get(run.night, run.outcome)
        nights_of[run.night] = min(before, run.outcome, key=order.index)
        if run.night == last[-1] and run.reason:
            reasons[run.cell] = run.reason
    return [
        CellLine(
            cell,
            tuple(outcomes.get(night, "") for night in last),
            tuple(last),
            reasons.get(cell, ""),
        )
        for cell, outcomes in found.items()
    ]


def _machines(runs: list[browse.CellRun]) -> list[MachineLine]:
    found: dict[str, MachineLine] = {}
    for run in runs:
        old = found.get(run.machine, MachineLine(run.machine, 0, 0, ""))
        errors = old.errors + (run.outcome == "error")
        found[run.machine] = MachineLine(
            run.machine, old.cells + 1, errors, max(old.last, run.night)
        )
    return sorted(found.values(), key=lambda machine: machine.name)
