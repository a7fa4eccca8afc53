# SPDX-License-Identifier: GPL-2.0-only
"""The labels that all reports of a night share. Pure."""

from __future__ import annotations

from collections import Counter

from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.nightly.report.model import NightModel
from lkltest.verdict.results import Outcome

LABELS = {
    ChangeKind.NEW_FAILURE: "new failure",
    ChangeKind.VANISHED: "vanished",
    ChangeKind.ERROR: "error",
    ChangeKind.EXPIRED: "known, expired",
    ChangeKind.SLOWER: "slower",
    ChangeKind.NEWLY_SKIPPED: "newly skipped",
    ChangeKind.STILL_FAILING: "still failing",
    ChangeKind.FLAKY: "flaky",
    ChangeKind.OUTDATED: "known, but passes",
    ChangeKind.FIXED: "fixed",
    ChangeKind.ADDED: "added",
    ChangeKind.KNOWN: "known failure",
}
"""The words that a person reads for each kind of change."""


def headline(night: NightModel) -> str:
    """`FAILED: 1 new failure, 2 slower`; `ok: nothing changed`."""
    counts = Counter(change.kind for change in night.changes)
    parts = [counted(counts[kind], kind) for kind in ChangeKind if counts[kind]]
    if not parts:
        failing = sum(cell.outcome is CellOutcome.FAILED for cell in night.cells)
        parts = ["nothing changed" + (f", still failing cells: {failing}" if failing else "")]
    return f"{'FAILED' if night.failed else 'ok'}: {', '.join(parts)}"


def counted(count: int, kind: ChangeKind) -> str:
    """`1 new failure`, `2 new failures`, `2 slower`."""
    label = LABELS[kind]
    plural = count != 1 and label.endswith(("failure", "error"))
    return f"{count} {label}{'s' if plural else ''}"


def point_counts(night: NightModel) -> Counter[Outcome]:
    """Count the test points of all cells by outcome."""
    counts: Counter[Outcome] = Counter()
    for cell in night.cells:
        if cell.result is not None:
            counts.update(cell.result.counts())
    return counts


def shows_times(change: Change) -> bool:
    """Whether the times are the news: of most changes they are milliseconds."""
    known = change.seconds_before is not None and change.seconds_after is not None
    return known and change.kind is ChangeKind.SLOWER


def duration(seconds: float) -> str:
    """`3.2 s`, `2 min 5 s`, `1 h 3 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s"
    return f"{minutes // 60} h {minutes % 60} min"
