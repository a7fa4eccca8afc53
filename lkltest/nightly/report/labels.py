# SPDX-License-Identifier: GPL-2.0-only
"""The labels that all reports of a night share. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Sequence
from enum import Enum

from lkltest.nightly.compare.causes import Cause, causes
from lkltest.nightly.compare.coverage import CoverageRow
from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.nightly.model.ids import split_id
from lkltest.nightly.report.model import NightModel
from lkltest.text import plural
from lkltest.verdict.results import Outcome

LABELS = {
    ChangeKind.NEW_FAILURE: "new failure",
    ChangeKind.VANISHED: "vanished",
    ChangeKind.ERROR: "error",
    ChangeKind.EXPIRED: "expired",
    ChangeKind.SLOWER: "slower",
    ChangeKind.NEWLY_SKIPPED: "newly skipped",
    ChangeKind.STILL_FAILING: "still failing",
    ChangeKind.STILL_SLOWER: "still slower",
    ChangeKind.FLAKY: "flaky",
    ChangeKind.OUTDATED: "known failure passes",
    ChangeKind.FIXED: "fixed",
    ChangeKind.FASTER: "faster",
    ChangeKind.ADDED: "added",
    ChangeKind.KNOWN: "known failure",
}
"""The words that a person reads for each kind of change."""


LOUD = frozenset(
    {
        *(ChangeKind.NEW_FAILURE, ChangeKind.VANISHED, ChangeKind.ERROR, ChangeKind.EXPIRED),
        *(ChangeKind.SLOWER, ChangeKind.OUTDATED),
    }
)
"""The kinds that a terminal shows in capitals."""

_OLD_NEWS = frozenset({ChangeKind.STILL_FAILING, ChangeKind.KNOWN})
_NO_NEWS = _OLD_NEWS | {ChangeKind.STILL_SLOWER, ChangeKind.FLAKY}


class Verdict(Enum):
    """The verdict on a night; the value is the class of its colour in a page."""

    FAILED = "failed"
    FAILING = "failing"  # nothing that it fails for is new, but something does fail
    PASSED = "passed"


def verdict(night: NightModel) -> Verdict:
    """The verdict on a night: one with failures, known or not, has not passed."""
    if night.failed:
        return Verdict.FAILED
    kinds = {change.kind for change in night.changes}
    failing = any(cell.outcome in (CellOutcome.FAILED, CellOutcome.ERROR) for cell in night.cells)
    still = failing or kinds & {*_OLD_NEWS, ChangeKind.FLAKY, ChangeKind.NEW_FAILURE}
    return Verdict.FAILING if still else Verdict.PASSED


def is_news(night: NightModel) -> bool:
    """Whether somebody should be told: something changed, the night failed or had trouble.

    Trouble that the night before had, too, is told in the reports alone.
    """
    changed = any(c.kind not in _NO_NEWS or c.reason_before for c in night.changes)
    return changed or night.failed or bool(set(night.notes) - set(night.notes_before))


def verdict_text(night: NightModel) -> str:
    """`FAILED`, `ok`, `no news` or `no new failure`."""
    found = verdict(night)
    if found is Verdict.FAILING:
        kinds = {change.kind for change in night.changes}
        if ChangeKind.NEW_FAILURE in kinds:
            return "failing"
        otherwise = any(change.reason_before for change in night.changes)
        return "no news" if kinds <= _OLD_NEWS and not otherwise else "no new failure"
    return "FAILED" if found is Verdict.FAILED else "ok"


def headline(night: NightModel) -> str:
    """`FAILED: 1 new failure, 12 points, 1 cause; 2 slower`; `no news, 2 still failing`."""
    parts = []
    for kind, text in cause_counts(night.changes):
        number = sum(change.kind is kind for change in night.changes)
        parts.append(counted(number, kind) if text.isdecimal() else f"{LABELS[kind]}: {text}")
    if otherwise := sum(bool(change.reason_before) for change in night.changes):
        parts.append(f"{otherwise} for another reason")
    if not parts:
        failing = sum(cell.outcome is CellOutcome.FAILED for cell in night.cells)
        parts = [f"{failing} cells still failing" if failing else "nothing changed"]
    mark = "," if verdict(night) is Verdict.FAILING else ":"
    return f"{verdict_text(night)}{mark} {', '.join(parts)}"


def cause_counts(changes: Sequence[Change]) -> list[tuple[ChangeKind, str]]:
    """The number of each kind: `2`, or `12 points, 1 cause`, by the kind of the cause."""
    found: dict[ChangeKind, list[Cause]] = {}
    for cause in causes(changes):
        found.setdefault(cause.lead.kind, []).append(cause)
    return [(kind, _count_text(group)) for kind, group in found.items()]


def _count_text(group: Sequence[Cause]) -> str:
    ids = [change.id for cause in group for change in cause.changes]
    if len(ids) == len(group):
        return str(len(group))
    what = "point" if any(split_id(one)[1] for one in ids) else "cell"
    return f"{plural(len(ids), what)}, {plural(len(group), 'cause')}"


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
    return known and change.kind in (ChangeKind.SLOWER, ChangeKind.FASTER)


def gained(row: CoverageRow) -> str:
    """`105 lines lost`, `1 line gained`; "" where nothing changed."""
    if not row.change:
        return ""
    return f"{plural(abs(row.change), 'line')} {'gained' if row.change > 0 else 'lost'}"


def kernels(night: NightModel) -> list[str]:
    """`mainline on native: 6.12.0-lkl, commit 0123456789ab`; builds of the same kernel are one."""
    found: dict[str, list[str]] = {}
    for cell in night.cells:
        release = cell.result.properties.get("kernel", "") if cell.result else ""
        commit = f"commit {cell.commit[:12]}" if cell.commit else ""
        said = ", ".join(filter(None, (release, commit)))
        if said:
            found.setdefault(said, []).append(f"{cell.build} on {cell.host}")
    return [f"{', '.join(dict.fromkeys(where))}: {said}" for said, where in found.items()]


def skipped(night: NightModel) -> list[tuple[str, list[str]]]:
    """The reasons for which cells were skipped as a whole, each with their ids."""
    found: dict[str, list[str]] = {}
    for cell in night.cells:
        if cell.outcome is CellOutcome.SKIPPED and cell.result is not None:
            found.setdefault(cell.result.skip or "it says not why", []).append(cell.id)
    return list(found.items())
