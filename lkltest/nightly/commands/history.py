# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest history`: questions to the nights that were, and their pruning."""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from lkltest.command_line import FAILED, PASSED, count
from lkltest.nightly.commands.compare import chosen_night
from lkltest.nightly.commands.night import remember_folder
from lkltest.nightly.commands.options import CannotRun, one_line_errors, sources
from lkltest.nightly.history import browse, queries
from lkltest.nightly.history.store import History
from lkltest.nightly.model.age import age
from lkltest.nightly.run.store import NightFolder
from lkltest.plain import to_plain
from lkltest.report.terminal import echo, echo_error

VERSION = 1
"""The version of the JSON: fields may be added to it, and none is changed."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "pattern",
        nargs="?",
        metavar="PATTERN",
        help="outcomes of these points ('disk[*]@native/readdir') or cells ('boot@*')",
    )
    what = parser.add_mutually_exclusive_group()
    what.add_argument("--flaky", action="store_true", help="the points that flip most often")
    what.add_argument("--slowest", action="store_true", help="the slowest points of a night")
    what.add_argument("--added", action="store_true", help="points that the night before had not")
    what.add_argument("--vanished", action="store_true", help="points that the night has no more")
    what.add_argument("--prune", metavar="AGE", help="forget nights older than 90d, 12w, 1y")
    what.add_argument(
        "--import",
        nargs="+",
        type=Path,
        dest="folders",
        metavar="DIR",
        help="take in the records of these nights' folders",
    )
    parser.add_argument(
        "-n", "--count", type=count, default=20, metavar="N", help="number of lines (20)"
    )
    parser.add_argument(
        "--night", metavar="NIGHT", help="a night, a date or a commit; default: the last one"
    )
    parser.add_argument("--baseline", metavar="NIGHT", help="a night, a date or a commit")
    parser.add_argument("--config", metavar="CONFIG.toml", help="configuration of the nights")
    parser.add_argument("--history", metavar="FILE", help="default: the configuration's")
    parser.add_argument("--json", action="store_true", help="print the answer as JSON")


@one_line_errors
def run(options: argparse.Namespace) -> int:
    """Run the command; 1 when a pattern fits nothing."""
    with History(sources(options)[0], must_exist=not options.folders) as history:
        if options.prune is not None:
            echo(f"{history.prune(_moment(options.prune))} nights forgotten")
        elif options.folders:
            for folder in options.folders:
                echo(f"{folder}: {_import(history, folder)}")
        else:
            return _print_answer(history, options)
    return PASSED


def _print_answer(history: History, options: argparse.Namespace) -> int:
    what, rows = _answer(history, options)
    if options.json:
        head = {"format": "lkltest-history", "version": VERSION, "what": what}
        echo(json.dumps({**head, what: [to_plain(row) for row in rows]}, indent=1))
    else:
        for row in rows:
            for line in _lines(row):
                echo(line)
    if options.pattern is not None and not rows:
        echo_error(f"nothing in the history fits {options.pattern!r}")
        return FAILED
    return PASSED


@dataclass(frozen=True, slots=True)
class Point:
    """A point that one night has and another has not."""

    id: str


@dataclass(frozen=True, slots=True)
class Outcomes:
    """A point or a cell with its last outcomes, the newest first."""

    id: str
    outcomes: tuple[browse.OutcomeRow, ...]


def _answer(history: History, options: argparse.Namespace) -> tuple[str, Sequence[Any]]:
    """The question, in a word of `docs/schemas/history.json`, and the rows of its answer."""
    if options.flaky:
        return "flaky", browse.flakiest(history, options.count)
    if options.slowest:
        night = chosen_night(history, options.night)
        return "slowest", browse.slowest(history, night, options.count)
    if options.added or options.vanished:
        names = _difference(history, options)
        return "added" if options.added else "vanished", [Point(name) for name in names]
    if options.pattern is not None:
        return "points", [
            Outcomes(name, tuple(browse.outcomes(history, name, options.count)))
            for name in browse.ids(history, options.pattern)
        ]
    return "nights", browse.last_nights(history, options.count)


def _difference(history: History, options: argparse.Namespace) -> list[str]:
    night = chosen_night(history, options.night)
    other = queries.baseline_of(history, night, options.baseline)
    if other is None:
        raise queries.NoBaseline(f"the history has no night before {night}")
    pair = (night, other) if options.added else (other, night)
    return browse.only_in(history, *pair)


def _lines(row: Any) -> Iterator[str]:
    """One row of an answer for people."""
    if isinstance(row, browse.Flakiness):
        yield f"{row.flips:3} flips, {row.failures:3} of {row.runs} failed  {row.id}"
    elif isinstance(row, browse.Slow):
        yield f"{row.seconds:9.3f} s  {row.id}"
    elif isinstance(row, browse.NightRow):
        yield _night_line(row)
    elif isinstance(row, Outcomes):
        yield row.id
        yield from map(_outcome_line, row.outcomes)
    else:
        yield row.id


def _outcome_line(one: browse.OutcomeRow) -> str:
    seconds = "" if one.seconds is None else f"{one.seconds:.3f} s"
    facts = " ".join(word for word in (one.kernel, one.revision[:12], one.machine) if word)
    return f"  {one.night}  {one.outcome:8}{seconds:>11}  {facts}  {one.reason}".rstrip()


def _night_line(row: browse.NightRow) -> str:
    state = "" if row.finished else "  (not finished)"
    counts = f"{row.passed} passed, {row.failed} failed, {row.skipped} skipped, {row.errors} errors"
    return f"{row.night}  {row.name}: {counts}{state}"


def _moment(text: str) -> float:
    try:
        return time.time() - age(text)
    except ValueError as error:
        raise CannotRun(str(error)) from None


def _import(history: History, folder: Path) -> str:
    try:
        night = NightFolder(folder.resolve())
        if night.head()["started"] < history.forgotten():
            return "was forgotten (--prune, keep), and is left out"
        return f"{remember_folder(history, night)} cells"
    except (OSError, ValueError) as error:
        raise CannotRun(f"{folder}: is no night's folder ({error})") from None
