# SPDX-License-Identifier: GPL-2.0-only
"""The changes of a night in lines for a terminal. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from itertools import groupby
from pathlib import Path

from lkltest.nightly.compare.causes import Cause, causes
from lkltest.nightly.compare.coverage import CoverageRow, changed
from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.nightly.report.labels import (
    LABELS,
    LOUD,
    Verdict,
    cause_counts,
    gained,
    headline,
    verdict,
)
from lkltest.nightly.report.model import NightModel
from lkltest.report.terminal import coloured
from lkltest.text import duration, plural, printable

_SHOWN = 20
_COLOURS = {Verdict.FAILED: "31", Verdict.FAILING: "33", Verdict.PASSED: "32"}


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


def coverage_lines(rows: Iterable[CoverageRow], shown: int = _SHOWN) -> list[str]:
    """Return a line for each folder of which a cell has run more or less than before.

    `coverage       boot@native#gcov: fs/ext4: 105 lines lost, 11.2 % of 26497`.
    """
    found = changed(rows)
    lines = [
        f"{'coverage':13}  {printable(row.cell)}: {printable(row.folder)}: {gained(row)}, "
        f"{row.share:.1f} % of {row.lines}"
        for row in found[:shown]
    ]
    more = len(found) - shown
    return lines + ([f"{'coverage':13}  and {more} more folders"] if more > 0 else [])


def summary(changes: Sequence[Change]) -> str:
    """`new failure: 12 points, 1 cause; fixed: 1`; `nothing changed`."""
    return "; ".join(f"{LABELS[kind]}: {text}" for kind, text in cause_counts(changes)) or (
        "nothing changed"
    )


def night_line(night: NightModel, folder: Path, *, colour: bool = False) -> str:
    """The last line of a night: the verdict, in the colour that a page has, and what is news."""
    found = verdict(night)
    said = printable(headline(night))
    shown = coloured(said, _COLOURS[found]) if colour else said
    cells = f"{plural(len(night.cells), 'cell')} in {duration(night.seconds)}"
    against = f"compared with {night.baseline_id}" if night.baseline_id else "no earlier night"
    rest = printable(f"{cells}; {against}; reports in {folder}")
    return f"{printable(night.night_id)}: {shown}; {rest}"


def _word(kind: ChangeKind) -> str:
    return LABELS[kind].upper() if kind in LOUD else LABELS[kind]


def _text(cause: Cause) -> str:
    change = cause.lead
    reason = f": {change.reason}" if change.reason else ""
    commits = f" ({change.commits})" if change.commits else ""
    extent = f"; {cause.extent}" if cause.extent else ""
    culprit = f"; {change.culprit}" if change.culprit else ""
    return printable(f"{change.id}{reason}{commits}{culprit}{extent}")
