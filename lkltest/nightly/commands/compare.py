# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest compare`: what changed between two nights of the history."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lkltest.command_line import FAILED, PASSED
from lkltest.nightly.commands.night import Comparison, compared
from lkltest.nightly.commands.options import (
    FAIL_ON_KINDS,
    CannotRun,
    fail_on,
    load_known,
    one_line_errors,
    sources,
)
from lkltest.nightly.compare.causes import causes
from lkltest.nightly.compare.compare import compare
from lkltest.nightly.compare.known import Known
from lkltest.nightly.config.config import DEFAULT_FAIL_ON
from lkltest.nightly.history import queries
from lkltest.nightly.history.store import History
from lkltest.nightly.model.change import Change, ChangeKind, PointHistory
from lkltest.nightly.model.ids import split_id
from lkltest.nightly.report.text import lines, summary
from lkltest.plain import to_plain
from lkltest.report.terminal import echo
from lkltest.text import unknown
from lkltest.verdict.results import Outcome

_OWN_NIGHTS = 15
"""The nights of the build itself that are held against the other one's."""


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's options."""
    parser.add_argument(
        "night",
        nargs="?",
        metavar="NIGHT",
        help="a night, a date or a commit; default: the last one",
    )
    parser.add_argument(
        "--baseline", metavar="NIGHT", help="a night, a date or a commit; default: the one before"
    )
    parser.add_argument("--build", metavar="NAME", help="compare this build with that of --against")
    parser.add_argument(
        "--against",
        metavar="NAME",
        help="build to compare with, of the same night or of that of --baseline",
    )
    parser.add_argument("--config", metavar="CONFIG.toml", help="configuration of the nights")
    parser.add_argument("--history", metavar="FILE", help="default: the configuration's")
    parser.add_argument("--known", type=Path, metavar="FILE", help="known failures")
    parser.add_argument(
        "--fail-on",
        type=fail_on,
        default=DEFAULT_FAIL_ON,
        metavar="KIND,...",
        help=f"what makes the exit status 1: {FAIL_ON_KINDS}",
    )
    parser.add_argument("--json", action="store_true", help="print the changes as JSON")


@one_line_errors
def run(options: argparse.Namespace) -> int:
    """Run the command: 1 when there are changes of the kinds of `--fail-on`."""
    file, known_file = sources(options)
    known = load_known(known_file)
    with History(file, must_exist=True) as history:
        night = chosen_night(history, options.night)
        if (options.build is None) is not (options.against is None):
            raise CannotRun("--build and --against need each other")
        if options.build is not None:
            other = chosen_night(history, options.baseline) if options.baseline else night
            found = compared_builds(
                history, (night, options.build), (other, options.against), known
            )
        else:
            found = compared(history, night, options.baseline, known)
    baseline, changes = found.baseline, found.changes
    if options.json:
        data = [to_plain(change) for change in changes]
        gathered = [[change.id for change in cause.changes] for cause in causes(changes)]
        facts = {"format": "lkltest-compare", "version": 1, "night": night, "baseline": baseline}
        echo(json.dumps({**facts, "changes": data, "causes": gathered}, indent=1))
    else:
        _print_changes(night, baseline, changes)
    failing = options.fail_on | {ChangeKind.EXPIRED}
    return FAILED if any(change.kind in failing for change in changes) else PASSED


def compared_builds(
    history: History, one: tuple[str, str], other: tuple[str, str], known: Known
) -> Comparison:
    """Compare one build with another: night and name of each.

    What counts as flaky or slow is the other build's history, then the last nights of this one.

    Raises HistoryError, queries.NoBaseline.
    """
    (night, build), (other_night, against) = one, other
    here = _of_build(history, night, build)
    there = _of_build(history, other_night, against)
    cells = queries.cells_of(history, night)
    before = queries.baseline_cells(history, other_night, there)
    mine = queries.histories_of(history, night, here)
    # Times are compared on the machine on which this build ran.
    like = {_renamed(cell, against): place for cell, place in here.items()}
    others = queries.histories_of(history, other_night, like)
    histories = {
        id_: joined(others.get(_renamed(id_, against)), found) for id_, found in mine.items()
    }
    changes = compare(
        {cell: cells[cell] for cell in here},
        {_renamed(cell, build): before[cell] for cell in there if cell in before},
        histories,
        known,
    )
    return Comparison(f"{against} of {other_night}", here, histories, changes)


def joined(other: PointHistory | None, mine: PointHistory) -> PointHistory:
    """The history of another build, followed by the last nights of this one.

    Of these it is the times that count, and the outcome of the last one.
    """
    tonight = mine.nights[-1]
    last = set(list(dict.fromkeys(mine.nights))[-_OWN_NIGHTS:])
    kept = [place for place, night in enumerate(mine.nights) if night in last]
    told = [mine.outcomes[n] if mine.nights[n] == tonight else Outcome.SKIPPED for n in kept]
    before = other or replace(mine, outcomes=(), seconds=(), nights=(), commits=())
    return replace(
        mine,
        outcomes=(*before.outcomes, *told),
        seconds=(*before.seconds, *(mine.seconds[place] for place in kept)),
        # Both were there in the same nights, which have to be told apart.
        nights=(
            *(f"{night} (other build)" for night in before.nights),
            *(mine.nights[place] for place in kept),
        ),
        commits=(*before.commits, *(mine.commits[place] for place in kept)),
    )


def _of_build(history: History, night: str, build: str) -> dict[str, queries.Platform]:
    """The platform of each cell of a build. Raises NoBaseline."""
    places = queries.platforms_of(history, night)
    found = {cell: place for cell, place in places.items() if cell.partition("#")[2] == build}
    if not found:
        names = sorted({cell.partition("#")[2] for cell in places})
        raise queries.NoBaseline(unknown(f"build of night {night}", build, names))
    return found


def _renamed(result_id: str, build: str) -> str:
    """The id with another build's name."""
    cell, point = split_id(result_id)
    name = f"{cell.partition('#')[0]}#{build}"
    return f"{name}/{point}" if point else name


def chosen_night(history: History, wanted: str | None) -> str:
    """The id of a night, by default of the last one that was finished. Raises NoBaseline."""
    if wanted is not None:
        return queries.named_night(history, wanted)
    found = history.rows(
        "SELECT night FROM nights WHERE finished IS NOT NULL ORDER BY started DESC LIMIT 1"
    )
    if not found:
        raise queries.NoBaseline(f"history {history.file}: has no finished night")
    return str(found[0][0])


def _print_changes(night: str, baseline: str | None, changes: Sequence[Change]) -> None:
    for line in lines(changes, shown=1000):
        echo(line)
    against = f"compared with {baseline}" if baseline else "nothing to compare with"
    echo(f"{night}: {against}: {summary(changes)}")
