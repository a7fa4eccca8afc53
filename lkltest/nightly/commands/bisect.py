# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest bisect`: one step of `git bisect run` in a kernel tree.

    git bisect start BAD GOOD
    git bisect run lkltest bisect 'disk[ext4]@native/readdir' --build tools/lkl \\
        --make 'make -j8 -C tools/lkl' --confidence 0.99 --history nightly/history.sqlite

git-bisect(1): 0 is good, 125 cannot be told, 1 to 127 are bad, and anything else ends the search.
So a mistake on the command line ends with 255 and not with lkltest's usual 2, which would call a
commit bad.
"""

from __future__ import annotations

import argparse
import math
import shlex
import subprocess
from collections import Counter
from collections.abc import Sequence
from dataclasses import replace
from enum import IntEnum
from pathlib import Path

from lkltest.command_line import count, spellings
from lkltest.deadline import DEFAULT_TIMEOUT, timeout
from lkltest.errors import LkltestError
from lkltest.host.error_boundary import BUGS, one_line
from lkltest.host.registry import host_names, is_host
from lkltest.nightly.compare.sequential import Rates, is_bad, rates
from lkltest.nightly.history import browse
from lkltest.nightly.history.store import History, HistoryError
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.nightly.model.ids import CellName, parse_id
from lkltest.nightly.model.rows import is_problem, point_rows
from lkltest.nightly.run.runner import run_cell
from lkltest.plugin.discover import NoSuites, variants
from lkltest.report.terminal import echo, echo_error
from lkltest.text import unknown
from lkltest.verdict.results import Outcome, ProblemKind, SuiteResult, suite_title

_SKIPS = 3  # so many runs without an answer, and a commit is skipped
_GOOD_RATE = 0.005  # of commits that are taken to pass
_NIGHTS = 200
_TOTAL = 4  # how many single limits the whole process of a run may take


class Answer(IntEnum):
    """The answer to git; the value is the exit status."""

    GOOD = 0
    BAD = 1
    SKIP = 125
    STOP = 255


_NOT_THE_KERNEL = frozenset(
    {
        *(ProblemKind.LAUNCH, ProblemKind.SETUP),
        *(ProblemKind.CONNECTION, ProblemKind.SUITE_ERROR),
    }
)


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.description = __doc__
    parser.formatter_class = argparse.RawDescriptionHelpFormatter
    parser.add_argument("id", metavar="ID", help="result id: SUITE[VARIANT]@HOST or .../POINT")
    parser.add_argument("--make", metavar="COMMAND", help="builds the commit; run without a shell")
    parser.add_argument(*spellings("--build"), metavar="DIR", help="the build that COMMAND makes")
    parser.add_argument(
        "--times", type=count, default=1, metavar="N", help="runs, which must agree (1)"
    )
    parser.add_argument(
        "--confidence",
        type=_share,
        metavar="SHARE",
        help="run each commit until the whole search is right with this probability, such as 0.99; "
        "needs --history or --rate",
    )
    parser.add_argument(
        "--history",
        metavar="FILE",
        help="history of the nights, which tells how often the point fails",
    )
    parser.add_argument(
        "--rate", type=_share, metavar="SHARE", help="share of runs that fail on bad commits"
    )
    parser.add_argument(
        "--any", action="store_true", help="one failure is enough: find what made it flaky"
    )
    parser.add_argument(
        "--option",
        action="append",
        default=[],
        metavar="OPTION",
        help="option of the host's, such as --option=--lkl-ssh-targets=FILE; may be repeated",
    )
    parser.add_argument(
        *spellings("--timeout"),
        type=timeout,
        default=DEFAULT_TIMEOUT,
        metavar="SECONDS",
        help=f"limit for one program ({DEFAULT_TIMEOUT:g})",
    )


def _share(text: str) -> float:
    """Read a share between 0 and 1; for `type=` of argparse."""
    share = float(text)
    if not 0 < share < 1:
        raise argparse.ArgumentTypeError(f"{text} is not between 0 and 1")
    return share


class Mistake(LkltestError):
    """A mistake that no commit can be blamed for; the message is one line."""


def run(options: argparse.Namespace) -> int:
    """Build, run, and answer git. Returns the exit status."""
    try:
        cell, point = _wanted(options)
        if options.make is not None and not _builds(options.make):
            return _print_answer(Answer.SKIP, "cannot be built")
        if options.confidence is None:
            return _print_answer(*_run(cell, point, options.times, options.any))
        expected = _expected(options)
        return _print_answer(*_run_until_sure(cell, point, expected, _risk(options.confidence)))
    except Mistake as error:
        message = str(error)
    except BUGS as error:  # a full disk, a bug of ours
        message = one_line(error)
    echo_error(message, "lkltest bisect")
    return int(Answer.STOP)


def _wanted(options: argparse.Namespace) -> tuple[Cell, str]:
    """The cell and the point of the command line. Raises Mistake."""
    # The name of a build in it, as reports have, is a night's: here the commit's own is run.
    name, _, point = options.id.partition("/")
    wanted = parse_id(name)
    if wanted is None:
        raise Mistake(f"{options.id!r} is no result id; disk[ext4]@native/readdir is one")
    if not is_host(wanted.host):
        raise Mistake(unknown("host", wanted.host, host_names()))
    _check_suite(wanted)
    path = str(Path(options.build).expanduser().absolute()) if options.build else None
    limit = options.timeout * _TOTAL + 60
    cell = Cell("", wanted.host, wanted.suite, wanted.variant, path, options.timeout, limit)
    return replace(cell, options=tuple(options.option)), point


def _check_suite(wanted: CellName) -> None:
    """Raises Mistake for a suite that no commit could run."""
    try:
        known = [suite_title(one.suite, one.variant) for one in variants()]
    except NoSuites as error:
        raise Mistake(str(error)) from None
    title = suite_title(wanted.suite, wanted.variant)
    if title not in known:
        raise Mistake(unknown("suite", title, known))


def _builds(command: str) -> bool:
    """Run the command in the current directory, its output passed through. Raises Mistake."""
    try:
        words = shlex.split(command)
        if not words:
            raise Mistake("--make names no command")
        echo(f"lkltest bisect: {shlex.join(words)}", flush=True)
        return subprocess.run(words, stdin=subprocess.DEVNULL, check=False).returncode == 0
    except ValueError as error:
        raise Mistake(f"--make {command!r}: {error}") from None
    except OSError as error:  # none would be built
        raise Mistake(f"{error.filename or command}: {error.strerror}") from None


def _run(cell: Cell, point: str, times: int, any_failure: bool) -> tuple[Answer, str]:
    seen: list[Answer] = []
    while len(seen) < times and not (any_failure and Answer.BAD in seen):
        record = run_cell(cell)
        seen.append(answer_for(record, point))
        echo(f"lkltest bisect: {seen[-1].name.lower()}{_reason(record, point)}", flush=True)
    return verdict(seen, any_failure=any_failure)


def _run_until_sure(cell: Cell, point: str, expected: Rates, risk: float) -> tuple[Answer, str]:
    counts: Counter[Answer] = Counter()
    while counts[Answer.SKIP] < _SKIPS:
        record = run_cell(cell)
        seen = answer_for(record, point)
        counts[seen] += 1
        echo(f"lkltest bisect: {seen.name.lower()}{_reason(record, point)}", flush=True)
        bad = is_bad(counts[Answer.GOOD], counts[Answer.BAD], expected, risk)
        if bad is not None:
            text = f"passed {counts[Answer.GOOD]}, failed {counts[Answer.BAD]} times"
            return (Answer.BAD if bad else Answer.GOOD), text
    return Answer.SKIP, f"did not run {_SKIPS} times"


def _expected(options: argparse.Namespace) -> Rates:
    """The rates at which good and bad commits fail. Raises Mistake."""
    if options.rate is not None:
        return Rates(min(_GOOD_RATE, options.rate / 10), options.rate)
    if options.history is None:
        raise Mistake("--confidence needs --history or --rate")
    where = f"history {options.history}: {options.id}"
    try:
        with History(Path(options.history), must_exist=True) as history:
            found = [
                [row.outcome for row in browse.outcomes(history, name, _NIGHTS)][::-1]
                for name in browse.ids(history, options.id)
            ]
    except HistoryError as error:
        raise Mistake(str(error)) from None
    outcomes = max(found, key=lambda told: told.count(Outcome.FAILED), default=[])
    if Outcome.FAILED not in outcomes:
        raise Mistake(f"{where} never failed; give a --rate")
    expected = rates(outcomes)
    if not expected.differ:
        raise Mistake(
            f"{where} fails no more often than it did ({expected.good:.0%}); give a --rate"
        )
    text = f"good commits fail {expected.good:.1%} of the time, bad ones {expected.bad:.1%} or more"
    echo(f"lkltest bisect: {text}")
    return expected


def _risk(confidence: float) -> float:
    """The share of one commit's answers that may be wrong, for the whole search to be right."""
    try:
        done = sum(
            line.startswith(("git bisect good", "git bisect bad"))
            for line in _git("bisect", "log").splitlines()
        )
        good = _git("for-each-ref", "--format=%(objectname)", "refs/bisect/good-*").split()
        left = int(_git("rev-list", "--count", "refs/bisect/bad", "--not", *good))
    except (OSError, subprocess.CalledProcessError):  # no search is under way
        done, left = 0, 1
    return (1 - confidence) / max(done + math.ceil(math.log2(max(left, 1))), 1)


def _git(*words: str) -> str:
    command = ["git", *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def answer_for(record: CellRecord, point: str) -> Answer:
    """Tell what one run says of a point (`""`: of the whole suite)."""
    if not record.results:
        return Answer.SKIP
    result = record.results[0]
    if not point:
        return _suite(result)
    found = {row.name: row.outcome for row in point_rows(result)}
    # A problem that is not there did not happen, provided that the suite came that far.
    absent = Outcome.PASSED if is_problem(point) and result.points else None
    outcome = found.get(point, absent)
    if outcome is Outcome.PASSED:
        return Answer.GOOD
    return Answer.BAD if outcome is Outcome.FAILED else Answer.SKIP


def _reason(record: CellRecord, point: str) -> str:
    """The reason why it was no pass, for people: `: not ok ...`."""
    said = record.error
    for result in record.results:
        said = said or result.skip or ""
        found = [row for row in point_rows(result) if row.name == point or not point]
        said = said or next((row.reason for row in found if row.reason), "")
        said = said or ("" if found else f"there is no point {point!r}")
    return f": {said}" if said else ""


def _suite(result: SuiteResult) -> Answer:
    if any(problem.kind in _NOT_THE_KERNEL for problem in result.problems):
        return Answer.SKIP
    answers = {Outcome.PASSED: Answer.GOOD, Outcome.FAILED: Answer.BAD}
    return answers.get(result.outcome, Answer.SKIP)


def verdict(seen: Sequence[Answer], *, any_failure: bool = False) -> tuple[Answer, str]:
    """The verdict of several runs together, and the reason, for people.

    Runs that disagree tell nothing, so that a flaky point does not mislead the search; unless it
    is the flakiness that is searched for.
    """
    counts = Counter(seen)
    if any_failure and counts[Answer.BAD]:
        return Answer.BAD, "failed at least once"
    if len(counts) == 1:
        answer = seen[0]
        reasons = {Answer.GOOD: "passed", Answer.BAD: "failed", Answer.SKIP: "did not run"}
        times = f" {len(seen)} times of {len(seen)}" if len(seen) > 1 else ""
        return answer, reasons[answer] + times
    text = f"passed {counts[Answer.GOOD]}, failed {counts[Answer.BAD]} of {len(seen)} times"
    return Answer.SKIP, f"cannot be told: {text}"


def _print_answer(answer: Answer, reason: str) -> int:
    echo(f"lkltest bisect: {answer.name.lower()}: {reason}", flush=True)
    return int(answer)
