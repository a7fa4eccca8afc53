# SPDX-License-Identifier: GPL-2.0-only
"""A night as one self-contained HTML page: no network, no script, for a phone as for a desk.

Whatever a console or a configuration said is escaped by the template engine (Jinja2, an extra:
`lkltest[nightly]`), and the page's own policy keeps a browser from loading or running anything.
"""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Sequence
from html import escape
from importlib import resources
from typing import TYPE_CHECKING, Any

from lkltest.errors import LkltestError
from lkltest.nightly.compare.causes import causes
from lkltest.nightly.compare.coverage import CoverageRow, by_top, changed
from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.model.change import ChangeKind
from lkltest.nightly.report.failed_points import FailedPoint, failed_points
from lkltest.nightly.report.heat_map import heat_map
from lkltest.nightly.report.labels import (
    LABELS,
    gained,
    headline,
    kernels,
    point_counts,
    shows_times,
    skipped,
    verdict,
    verdict_text,
)
from lkltest.nightly.report.model import NightModel
from lkltest.nightly.report.trends import plots
from lkltest.text import duration, printable
from lkltest.verdict.results import Outcome

if TYPE_CHECKING:
    import jinja2

_CHANGES = 500  # rows of a table: more makes a page that no phone opens
_FAILURES = 200
_LOGS = 600_000  # bytes of all logs together: a page has less than 2 MB
_OPEN = 5  # failures whose logs are seen without a touch


class NoTemplates(LkltestError):
    """Jinja2 is not installed; the message says how to get it."""


def page(night: NightModel) -> str:
    """Return the HTML document of a night. Raises NoTemplates."""
    found = failed_points(night)
    shown = _within_budget(found[:_FAILURES])
    anchors = {point.id: f"failure-{number}" for number, point in enumerate(shown, start=1)}
    cell_anchors = {point.cell: anchors[point.id] for point in reversed(shown)}
    started = time.gmtime(night.started) if night.started else None
    facts: dict[str, Any] = {
        "night": night,
        "headline": headline(night),
        "verdict": verdict(night).value,
        "verdict_text": verdict_text(night),
        "causes": causes(night.changes),
        "started": time.strftime("%Y-%m-%d %H:%M", started) if started else "",
        "cells": _counts_text(Counter(cell.outcome for cell in night.cells), CellOutcome),
        "points": _counts_text(point_counts(night), Outcome),
        "labels": LABELS,
        "limit": _CHANGES,
        "table": heat_map(night),
        "failures": shown,
        "left_out": len(found) - len(shown),
        "anchors": anchors,
        "cell_anchors": cell_anchors,
        "open_failures": _open_failures(shown),
        "plots": plots(night),
        "kernels": kernels(night),
        "skipped": skipped(night),
        "coverage": _coverage(night.coverage),
    }
    text: str = template("night.html.jinja").render(facts)
    return text


def _coverage(rows: Sequence[CoverageRow]) -> list[tuple[CoverageRow, str]]:
    """The top folders, then those that gained or lost lines."""
    shown = [*by_top(rows), *(row for row in changed(rows) if "/" in row.folder)]
    return [(row, gained(row)) for row in shown[:_CHANGES]]


def template(name: str) -> jinja2.Template:
    """A template of this room, which escapes what it prints. Raises NoTemplates."""
    try:
        import jinja2
    except ImportError:
        raise NoTemplates(
            "no HTML report: Jinja2 is not installed (pip install 'lkltest[nightly]')"
        ) from None
    environment = jinja2.Environment(
        loader=jinja2.FunctionLoader(_source),
        autoescape=True,
        finalize=_shown,
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
    )
    environment.filters.update(duration=duration, zip=zip, lines=_lines)
    environment.tests.update(timed=shows_times)
    return environment.get_template(name)


def _source(name: str) -> str:
    return (resources.files("lkltest.nightly.report") / name).read_text(encoding="utf-8")


def _shown(value: Any) -> Any:
    """A value as a template prints it: control characters and direction marks as escapes."""
    return printable(value) if type(value) is str else value


def _lines(text: str) -> int:
    return len(text.splitlines())


def _within_budget(points: tuple[FailedPoint, ...]) -> tuple[FailedPoint, ...]:
    shown, room = [], _LOGS
    for point in points:
        room -= len(escape(point.log))
        if room < 0:
            break
        shown.append(point)
    return tuple(shown)


def _open_failures(points: tuple[FailedPoint, ...]) -> int:
    """The first few new ones are open; where nothing is new, the first of all."""
    new = sum(point.kind in (ChangeKind.NEW_FAILURE, ChangeKind.ERROR) for point in points)
    return min(max(new, 1), _OPEN)


def _counts_text(counts: Counter[Any], order: Any) -> str:
    total = sum(counts.values())
    parts = ", ".join(f"{counts[key]} {key.value}" for key in order if counts[key])
    return f"{total}: {parts}" if parts else str(total)
