# SPDX-License-Identifier: GPL-2.0-only
"""Trend plots of a night as SVG that can stand in an HTML page, in the page's own colours.

Drawn by matplotlib, which is an extra (`lkltest[nightly]`): `plots` returns None without it.
"""

from __future__ import annotations

import io
import re
from collections.abc import Sequence
from dataclasses import dataclass
from statistics import median
from typing import TYPE_CHECKING, Any

from lkltest.text import printable

if TYPE_CHECKING:
    from lkltest.nightly.report.model import NightModel, TrendPoint

_LINES = 4  # in one plot; more cannot be told apart
_INCHES = (4.4, 2.7)
_TICKS = 4
_NAME = 60  # characters; longer ones leave no room for the plot
# What matplotlib is told, and what the page's style sheet turns it into, light and dark.
_INK, _FAINT, _BAD, _CARD = "#010101", "#020202", "#030303", "#080808"
_HUES = ("#040404", "#050505", "#060606", "#070707")
_VARIABLES = {
    _INK: "var(--ink)",
    _FAINT: "var(--line)",
    _BAD: "var(--bad)",
    _CARD: "var(--card)",
    **{hue: f"var(--hue-{number})" for number, hue in enumerate(_HUES)},
}
_MARKERS = "os^D"


@dataclass(frozen=True, slots=True)
class Line:
    """One line of a plot: what it is called and its nights, oldest first."""

    name: str
    points: tuple[TrendPoint, ...]


@dataclass(frozen=True, slots=True)
class Plot:
    """A plot: `title` is plain text, `svg` is markup, `summary` what it shows, in words."""

    title: str
    svg: str
    summary: str


def plots(night: NightModel) -> tuple[Plot, ...] | None:
    """Draw the times of each host's suites; None when matplotlib is not installed."""
    try:
        import matplotlib as mpl
    except ImportError:
        return None
    settings: Any = {
        "svg.fonttype": "none",  # text stays text: small, and in the page's font
        "svg.hashsalt": "lkltest",  # the same night gives the same file
        "font.family": "sans-serif",
        "font.size": 9,
        "text.parse_math": False,
    }
    drawn: list[Plot] = []
    with mpl.rc_context(settings):
        for title, lines in _all_lines(night):
            drawn.append(Plot(title, _svg(lines, len(drawn)), _summary(lines)))
    return tuple(drawn)


def _all_lines(night: NightModel) -> list[tuple[str, list[Line]]]:
    """Title and lines of every plot."""
    found = []
    for host in dict.fromkeys(host for _, host, _ in night.suite_trends):
        suites = [
            Line(f"{title} #{build}", points)
            for (title, name, build), points in night.suite_trends.items()
            if name == host and points
        ]
        found += _chunks(f"suites on {host}", suites)
    return found


def _chunks(title: str, lines: list[Line]) -> list[tuple[str, list[Line]]]:
    """Split what is too much for one plot, so that lines of like times stay together."""
    ordered = sorted(lines, key=lambda line: -median(point.seconds for point in line.points))
    parts = [ordered[start : start + _LINES] for start in range(0, len(ordered), _LINES)]
    count = len(parts)
    return [
        (f"{title} ({number} of {count})" if count > 1 else title, part)
        for number, part in enumerate(parts, start=1)
    ]


def _svg(lines: Sequence[Line], number: int) -> str:
    from matplotlib.backends.backend_svg import FigureCanvasSVG
    from matplotlib.figure import Figure

    figure = Figure(figsize=_INCHES, layout="constrained")
    FigureCanvasSVG(figure)
    axes = figure.add_subplot()
    nights = sorted({point.night for line in lines for point in line.points})
    place = {night: index for index, night in enumerate(nights)}
    for line, hue, marker in zip(lines, _HUES, _MARKERS, strict=False):
        _draw(axes, line, place, hue, marker)
    _dress(axes, nights)
    file = io.StringIO()
    none = dict.fromkeys(("Creator", "Date", "Format", "Type"))
    figure.savefig(file, format="svg", transparent=True, metadata=none)
    return _for_page(file.getvalue(), number)


def _draw(axes: Any, line: Line, place: dict[str, int], hue: str, marker: str) -> None:
    x = [place[point.night] for point in line.points]
    y = [point.seconds for point in line.points]
    axes.plot(
        x,
        y,
        color=hue,
        marker=marker,
        markersize=2.5,
        linewidth=1.3,
        label=printable(line.name)[:_NAME],
    )
    slow = [point for point in line.points if point.regressed]
    if slow:
        where = [place[point.night] for point in slow]
        seconds = [point.seconds for point in slow]
        axes.plot(
            where, seconds, "o", markersize=9, fillstyle="none", color=_BAD, markeredgewidth=1.6
        )
        text = printable(f"slower {slow[0].commit[:12]}".strip())
        near_the_end = where[0] > len(place) * 0.6
        axes.annotate(
            text,
            (where[0], seconds[0]),
            xytext=(-8 if near_the_end else 8, 8),
            textcoords="offset points",
            ha="right" if near_the_end else "left",
            color=_BAD,
            bbox={"facecolor": _CARD, "edgecolor": "none", "pad": 1.0, "alpha": 0.8},
        )


def _dress(axes: Any, nights: Sequence[str]) -> None:
    axes.margins(y=0.15)
    axes.set_ylim(bottom=0)
    axes.set_ylabel("seconds", color=_INK)
    step = max(1, -(-len(nights) // _TICKS))
    ticks = list(range(len(nights) - 1, -1, -step))
    labels = _night_labels(nights)
    axes.set_xticks(ticks, [labels[tick] for tick in ticks])
    axes.tick_params(colors=_INK, labelcolor=_INK)
    axes.grid(axis="y", color=_FAINT, linewidth=0.6)
    for side, spine in axes.spines.items():
        spine.set_visible(side in ("left", "bottom"))
        spine.set_color(_FAINT)
    axes.legend(
        loc="upper center",
        bbox_to_anchor=(0.5, -0.14),
        ncols=2,
        frameon=False,
        labelcolor=_INK,
        handlelength=1.6,
    )


def _night_labels(nights: Sequence[str]) -> list[str]:
    """`11-21` of `2026-11-21T02-00-00`, with the time where a day had several nights."""
    parts = [re.match(r"\d{4}-(\d\d-\d\d)T(\d\d)-(\d\d)", night) for night in nights]
    days = [
        part[1] if part else printable(night)[:12]
        for part, night in zip(parts, nights, strict=True)
    ]
    if len(set(days)) == len(days):
        return days
    return [
        f"{day} {part[2]}:{part[3]}" if part else day for part, day in zip(parts, days, strict=True)
    ]


def _for_page(svg: str, number: int) -> str:
    """Take off what only a file of its own needs, and give the page's colours."""
    svg = svg[svg.index("<svg") :]
    svg = re.sub(r"<metadata>.*?</metadata>\s*", "", svg, flags=re.DOTALL)
    # The size is the style sheet's.
    start, rest = svg.split(">", 1)
    svg = re.sub(r' (?:width|height)="[^"]*"', "", start) + ">" + rest
    # Ids are the page's: every plot has an axes_1.
    svg = re.sub(r'(\bid="|href="#|url\(#)', rf"\g<1>plot{number}-", svg)
    return re.sub("|".join(_VARIABLES), lambda match: _VARIABLES[match[0]], svg)


def _summary(lines: Sequence[Line]) -> str:
    parts = []
    for line in lines:
        last = line.points[-1]
        slower = ", slower than its history allows" if last.regressed else ""
        parts.append(f"{line.name}: {last.seconds:.2f} s{slower}")
    return "; ".join(parts)
