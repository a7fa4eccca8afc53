# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest compare`: what changed between two nights of the history."""

from __future__ import annotations

import argparse
import json
from collections.abc import Sequence
from dataclasses import asdict
from pathlib import Path

from lkltest.command_line import FAILED, PASSED
from lkltest.nightly.commands.night import compared
from lkltest.nightly.commands.options import (
    FAIL_ON_KINDS,
    fail_on,
    load_known,
    one_line_errors,
    sources,
)
from lkltest.nightly.compare.causes import causes
from lkltest.nightly.config.config import DEFAULT_FAIL_ON
from lkltest.nightly.history import queries
from lkltest.nightly.history.store import History
from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.nightly.report.text import lines, summary
from lkltest.report.terminal import echo


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
        found = compared(history, night, options.baseline, known)
    baseline, changes = found.baseline, found.changes
    if options.json:
        data = [asdict(change) for change in changes]
        gathered = [[change.id for change in cause.changes] for cause in causes(changes)]
        facts = {"format": "lkltest-compare", "version": 1, "night": night, "baseline": baseline}
        echo(json.dumps({**facts, "changes": data, "causes": gathered}, indent=1))
    else:
        _print_changes(night, baseline, changes)
    failing = options.fail_on | {ChangeKind.EXPIRED}
    return FAILED if any(change.kind in failing for change in changes) else PASSED


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
