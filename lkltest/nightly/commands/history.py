# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest history`: questions to the nights that were, and their pruning."""

from __future__ import annotations

import argparse
import time
from collections.abc import Iterator
from pathlib import Path

from lkltest.command_line import FAILED, PASSED, count
from lkltest.nightly.commands.compare import chosen_night
from lkltest.nightly.commands.night import remember_folder
from lkltest.nightly.commands.options import CannotRun, one_line_errors, sources
from lkltest.nightly.history import browse, queries
from lkltest.nightly.history.store import History
from lkltest.nightly.model.age import age
from lkltest.nightly.run.store import NightFolder
from lkltest.report.terminal import echo, echo_error


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
            lines = list(_answer(history, options))
            for line in lines:
                echo(line)
            if options.pattern is not None and not lines:
                echo_error(f"nothing in the history fits {options.pattern!r}")
                return FAILED
    return PASSED


def _answer(history: History, options: argparse.Namespace) -> Iterator[str]:
    if options.flaky:
        for point in browse.flakiest(history, options.count):
            yield f"{point.flips:3} flips, {point.failures:3} of {point.runs} failed  {point.id}"
    elif options.slowest:
        night = chosen_night(history, options.night)
        for name, seconds in browse.slowest(history, night, options.count):
            yield f"{seconds:9.3f} s  {name}"
    elif options.added or options.vanished:
        yield from _difference(history, options)
    elif options.pattern is not None:
        for result_id in browse.ids(history, options.pattern):
            yield result_id
            yield from _outcomes(history, result_id, options.count)
    else:
        for row in browse.last_nights(history, options.count):
            yield _night_line(row)


def _difference(history: History, options: argparse.Namespace) -> Iterator[str]:
    night = chosen_night(history, options.night)
    other = queries.baseline_of(history, night, options.baseline)
    if other is None:
        raise queries.NoBaseline(f"the history has no night before {night}")
    pair = (night, other) if options.added else (other, night)
    yield from browse.only_in(history, *pair)


def _outcomes(history: History, result_id: str, count: int) -> Iterator[str]:
    for one in browse.outcomes(history, result_id, count):
        seconds = "" if one.seconds is None else f"{one.seconds:.3f} s"
        facts = " ".join(word for word in (one.kernel, one.revision[:12], one.machine) if word)
        yield f"  {one.night}  {one.outcome:8}{seconds:>11}  {facts}  {one.reason}".rstrip()


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
