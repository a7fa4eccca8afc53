# SPDX-License-Identifier: GPL-2.0-only
"""The changes of a night in lines for a terminal. Pure."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Sequence
from itertools import groupby

from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.report.terminal import printable

WORDS = {
    ChangeKind.NEW_FAILURE: "NEW FAILURE",
    ChangeKind.VANISHED: "VANISHED",
    ChangeKind.ERROR: "ERROR",
    ChangeKind.EXPIRED: "EXPIRED",
    ChangeKind.SLOWER: "SLOWER",
    ChangeKind.NEWLY_SKIPPED: "newly skipped",
    ChangeKind.STILL_FAILING: "still failing",
    ChangeKind.FLAKY: "flaky",
    ChangeKind.OUTDATED: "KNOWN FAILURE PASSES",
    ChangeKind.FIXED: "fixed",
    ChangeKind.ADDED: "added",
    ChangeKind.KNOWN: "known failure",
}
_SHOWN = 20


def lines(changes: Iterable[Change], shown: int = _SHOWN) -> list[str]:
    """Return a line a change, at most `shown` of a kind.

    `NEW FAILURE  disk[ext4]@native#stable/readdir: not empty (1a2b3c4..5d6e7f8)`.
    """
    found = []
    for kind, group in groupby(changes, key=lambda change: change.kind):
        members = list(group)
        found += [f"{WORDS[kind]:13}  {_text(change)}" for change in members[:shown]]
        if len(members) > shown:
            found.append(f"{WORDS[kind]:13}  and {len(members) - shown} more")
    return found


def summary(changes: Sequence[Change]) -> str:
    """`new failure: 2, fixed: 1`; `nothing changed`."""
    counts = Counter(change.kind for change in changes)
    parts = [f"{WORDS[kind].lower()}: {count}" for kind, count in counts.items()]
    return ", ".join(parts) or "nothing changed"


def _text(change: Change) -> str:
    reason = f": {change.reason}" if change.reason else ""
    commits = f" ({change.commits})" if change.commits else ""
    return printable(f"{change.id}{reason}{commits}")
