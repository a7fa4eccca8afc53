# SPDX-License-Identifier: GPL-2.0-only
"""The changes of a night in lines for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby

from lkltest.nightly.compare.causes import Cause, causes
from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.nightly.report.labels import LABELS, LOUD, cause_counts
from lkltest.text import printable

_SHOWN = 20


def lines(changes: Iterable[Change], shown: int = _SHOWN) -> list[str]:
    """Return a line a cause, at most `shown` of a kind.

    `NEW FAILURE  disk[ext4]@native#stable/readdir: not empty (1a2b3c4..5d6e7f8); 12 points`.
    """
    found = []
    for kind, group in groupby(causes(changes), key=lambda cause: cause.lead.kind):
        members = list(group)
        found += [f"{_word(kind):13}  {_text(cause)}" for cause in members[:shown]]
        if len(members) > shown:
            found.append(f"{_word(kind):13}  and {len(members) - shown} more")
    return found


def summary(changes: Sequence[Change]) -> str:
    """`new failure: 12 points, 1 cause; fixed: 1`; `nothing changed`."""
    return "; ".join(f"{LABELS[kind]}: {text}" for kind, text in cause_counts(changes)) or (
        "nothing changed"
    )


def _word(kind: ChangeKind) -> str:
    return LABELS[kind].upper() if kind in LOUD else LABELS[kind]


def _text(cause: Cause) -> str:
    change = cause.lead
    reason = f": {change.reason}" if change.reason else ""
    commits = f" ({change.commits})" if change.commits else ""
    extent = f"; {cause.extent}" if cause.extent else ""
    return printable(f"{change.id}{reason}{commits}{extent}")
