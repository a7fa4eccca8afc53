# SPDX-License-Identifier: GPL-2.0-only
"""All nights on one page: a calendar of verdicts, trends, cells, flaky points and machines. Pure.

One file that loads nothing, as the page of a night, to which each day leads. It stays small: days
are squares, and cells show the last nights alone.
"""

from __future__ import annotations

import calendar
from collections.abc import Sequence
from dataclasses import dataclass
from itertools import groupby

from lkltest.nightly.report.html import template
from lkltest.nightly.report.labels import Verdict
from lkltest.nightly.report.model import FlakyPoint

_LISTED = 30  # nights with a line of their own; the calendar has all
_WIDTH, _HEIGHT = 600, 80  # of a trend, in its own units
_OPEN_MONTHS = 3

WORDS = {
    "failed": "something new failed",
    "failing": "failures, none of them new",
    "passed": "ok",
    "unfinished": "not finished",
}
"""The meaning of each colour of the calendar."""


@dataclass(frozen=True, slots=True)
class NightLine:
    """One night; `verdict` is None for one that did not end, `page` "" where its page is gone.

    failures, seconds: points that failed, and the time of all cells together.
    """

    id: str
    verdict: Verdict | None
    headline: str
    page: str
    failures: int
    seconds: float

    @property
    def colour(self) -> str:
        """The class of its square."""
        return self.verdict.value if self.verdict else "unfinished"


@dataclass(frozen=True, slots=True)
class CellLine:
    """One cell in the last nights, oldest first; outcome "" where it was not run."""

    id: str
    outcomes: tuple[str, ...]
    nights: tuple[str, ...]
    reason: str = ""
    """The reason why it was skipped last night, or brought nothing."""


@dataclass(frozen=True, slots=True)
class MachineLine:
    """One machine: how many cells it ran in the last nights, how many of them in error."""

    name: str
    cells: int
    errors: int
    last: str


@dataclass(frozen=True, slots=True)
class Overview:
    """All that the page shows; nights oldest first."""

    name: str
    nights: tuple[NightLine, ...]
    cells: tuple[CellLine, ...]
    flaky: tuple[FlakyPoint, ...]
    machines: tuple[MachineLine, ...]


@dataclass(frozen=True, slots=True)
class Day:
    """A day with its nights, of which the last one gives the colour; `column` 1 is Monday."""

    number: int
    column: int
    nights: tuple[NightLine, ...]

    @property
    def last(self) -> NightLine:
        """The night that speaks for the day."""
        return self.nights[-1]


@dataclass(frozen=True, slots=True)
class Month:
    """A month of the calendar."""

    title: str
    days: tuple[Day, ...]


@dataclass(frozen=True, slots=True)
class Trend:
    """A line over all nights, as the points of an SVG polyline."""

    title: str
    points: str
    text: str


def page(overview: Overview) -> str:
    """Return the HTML document. Raises html.NoTemplates."""
    months = _months(overview.nights)
    last = overview.nights[-1] if overview.nights else None
    text: str = template("overview.html.jinja").render(
        overview=overview,
        last=last,
        months=months[:_OPEN_MONTHS],
        older=months[_OPEN_MONTHS:],
        listed=overview.nights[: -_LISTED - 1 : -1],
        trends=_trends(overview.nights),
        words=WORDS,
        size=(_WIDTH, _HEIGHT),
    )
    return text


def _months(nights: Sequence[NightLine]) -> list[Month]:
    """The calendar, the newest month first; nights whose id is no date are not in it."""
    dated = [(date, night) for night in nights if (date := _date(night.id)) is not None]
    found = []
    for (year, month), group in groupby(dated, key=lambda item: item[0][:2]):
        days = []
        for day, same in groupby(group, key=lambda item: item[0][2]):
            column = calendar.weekday(year, month, day) + 1
            days.append(Day(day, column, tuple(night for _, night in same)))
        found.append(Month(f"{calendar.month_name[month]} {year}", tuple(days)))
    return found[::-1]


def _date(night: str) -> tuple[int, int, int] | None:
    parts = night[:10].split("-")
    if len(parts) != 3 or not all(part.isdecimal() for part in parts):
        return None
    year, month, day = map(int, parts)
    if not (1 <= month <= 12 and year and 1 <= day <= calendar.monthrange(year, month)[1]):
        return None
    return year, month, day


def _trends(nights: Sequence[NightLine]) -> list[Trend]:
    ended = [night for night in nights if night.verdict is not None]
    if len(ended) < 2:
        return []
    failures = [float(night.failures) for night in ended]
    minutes = [night.seconds / 60 for night in ended]
    return [
        _trend("points that failed", failures, "{:.0f}"),
        _trend("minutes of all cells", minutes, "{:.1f}"),
    ]


def _trend(title: str, values: Sequence[float], form: str) -> Trend:
    last, most = form.format(values[-1]), form.format(max(values))
    return Trend(title, _line(values), f"{last} last night, at most {most}")


def _line(values: Sequence[float]) -> str:
    top = max(values) or 1.0
    step = _WIDTH / (len(values) - 1)
    return " ".join(
        f"{number * step:.1f},{_HEIGHT - value / top * (_HEIGHT - 4) - 2:.1f}"
        for number, value in enumerate(values)
    )
