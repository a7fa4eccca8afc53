# SPDX-License-Identifier: GPL-2.0-only
"""A night as Markdown (GitHub's): for the summary of a CI job, or for a mail. Pure.

Short on purpose: a mail of a thousand failures is read by nobody, and GitHub cuts a summary off at
1 MiB. What is left out is counted, and is in the other reports.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

from lkltest.nightly.compare.causes import Cause, causes
from lkltest.nightly.compare.coverage import CoverageRow, by_top, changed
from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.model.change import Change
from lkltest.nightly.report.failed_points import FailedPoint, failed_points
from lkltest.nightly.report.heat_map import Field, heat_map
from lkltest.nightly.report.labels import LABELS, gained, headline, kernels, shows_times
from lkltest.nightly.report.model import NightModel
from lkltest.text import duration, printable, shortened

_CHANGES = 100
_FAILURES = 20
_LOG_BYTES = 2_000
_LINE = 300
# What means something in mid-line, and what does at its beginning (lists, headings, rules).
_SPECIAL = re.compile(r"[\\`*\[\]<>|~&$]|(?<![^\W_])_|_(?![^\W_])|^[-+=#]")
_NUMBERED = re.compile(r"^(\d+)([.)])")


def document(night: NightModel) -> str:
    """Return the document of a night."""
    return "\n".join(_lines(night)) + "\n"


def _lines(night: NightModel) -> Iterator[str]:
    yield f"# {_text(headline(night))}"
    yield ""
    yield from (f"> {_text(note)}\n" for note in night.notes)
    baseline = night.baseline_id or "nothing: there is no earlier night"
    yield (
        f"Night {_code(night.night_id)}, compared with {_text(baseline)}; "
        f"{duration(night.seconds)} on {_text(night.machine)}."
    )
    yield from (f"\n{_text(line)}" for line in kernels(night))
    yield from _changes(night.changes)
    yield from _matrix(night)
    yield from _coverage(night.coverage)
    yield from _failures(failed_points(night, _LOG_BYTES))
    if night.flaky:
        rows = [
            (_code(point.id), f"{point.failures} of {point.nights}", str(point.flips))
            for point in night.flaky[:_FAILURES]
        ]
        yield from ("", "## Flaky test points", "")
        yield from _table(("test point", "failed", "changed"), rows)


def _changes(changes: tuple[Change, ...]) -> Iterator[str]:
    yield from ("", "## What changed", "")
    if not changes:
        yield "Nothing."
        return
    found = causes(changes)
    rows = [
        (_text(LABELS[cause.lead.kind]), _code(cause.lead.id), _text(_what(cause)))
        for cause in found[:_CHANGES]
    ]
    yield from _table(("", "test point", "what"), rows)
    if len(found) > _CHANGES:
        yield f"\n… and {len(found) - _CHANGES} more."


def _what(cause: Cause) -> str:
    change = cause.lead
    parts = [change.reason]
    if shows_times(change):
        parts.append(f"{change.seconds_before or 0:.2f} s to {change.seconds_after or 0:.2f} s")
    if change.commits:
        parts.append(f"commits {change.commits}")
    parts += [change.culprit, cause.extent]
    return "; ".join(part for part in parts if part)


def _matrix(night: NightModel) -> Iterator[str]:
    table = heat_map(night)
    head = ["suite", *(_text(f"{host} {build}") for host, build in table.columns)]
    yield from ("", "## Matrix", "")
    yield from _table(head, [[_text(title), *map(_field, fields)] for title, fields in table.rows])


def _coverage(rows: tuple[CoverageRow, ...]) -> Iterator[str]:
    if not rows:
        return
    yield from ("", "## Lines of the kernel that were run", "")
    head = ("suite", "folder", "lines", "run", "since the baseline")
    shown = [*by_top(rows), *(row for row in changed(rows) if "/" in row.folder)]
    cells = [
        (_code(row.cell), _text(row.folder), str(row.lines), f"{row.share:.1f} %", gained(row))
        for row in shown[:_CHANGES]
    ]
    yield from _table(head, cells)


def _field(field: Field | None) -> str:
    if field is None:
        return ""
    marks = {
        CellOutcome.PASSED: "✅",
        CellOutcome.FAILED: "❌",
        CellOutcome.SKIPPED: "⏭️",
        CellOutcome.ERROR: "💥",
    }
    news = f" ({field.news})" if field.news else ""
    return f"{marks[field.cell.outcome]} {_text(field.text + news)}"


def _failures(points: tuple[FailedPoint, ...]) -> Iterator[str]:
    if not points:
        return
    yield from ("", "## Failures")
    for point in points[:_FAILURES]:
        kind = LABELS[point.kind] if point.kind else "failing"
        yield from ("", f"### {_code(point.id)}: {_text(kind)}", "", _text(point.reason))
        if point.known:
            yield f"\nKnown: {_text(point.known)}"
        if point.log:
            yield from ("", *_fenced(point.log))
        yield from ("", f"Reproduce it: {_code(point.reproduce)}")
        if point.bisect:
            yield from ("", "Find the commit, in the kernel's tree:", "", *_fenced(point.bisect))
    if len(points) > _FAILURES:
        yield f"\n… and {len(points) - _FAILURES} more failures."


def _table(head: Iterable[str], rows: Iterable[Iterable[str]]) -> Iterator[str]:
    titles = list(head)
    yield f"| {' | '.join(titles)} |"
    yield f"|{' --- |' * len(titles)}"
    for row in rows:
        yield f"| {' | '.join(row)} |"


def _text(text: str) -> str:
    """Plain text on one line, whatever it holds."""
    line = shortened(" ".join(printable(text).split()), _LINE)
    return _NUMBERED.sub(r"\1\\\2", _SPECIAL.sub(r"\\\g<0>", line))


def _code(text: str) -> str:
    """A code span, which may stand in a table: fences longer than any inside, no bare pipe."""
    line = " ".join(printable(text).split()) or " "
    fence = _fence(line, 1)
    pad = " " if "`" in line else ""
    return f"{fence}{pad}{line}{pad}{fence}".replace("|", "\\|")


def _fenced(text: str) -> list[str]:
    fence = _fence(text, 3)
    return [f"{fence}text", printable(text), fence]


def _fence(text: str, least: int) -> str:
    longest = max(map(len, re.findall("`+", text)), default=0)
    return "`" * max(least, longest + 1)
