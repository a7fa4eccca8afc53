# SPDX-License-Identifier: GPL-2.0-only
"""Lines for people: one a suite, a summary, and the one that reproduces a failure."""

from __future__ import annotations

import os
import shlex
import sys
from collections import Counter
from collections.abc import Iterable, Sequence
from typing import TextIO

from lkltest.text import plural, printable
from lkltest.verdict.consequences import distinct
from lkltest.verdict.results import (
    TRIED_AGAIN,
    Outcome,
    PointResult,
    Problem,
    SuiteResult,
)

_COLOURS = {Outcome.PASSED: "32", Outcome.FAILED: "31", Outcome.SKIPPED: "33", Outcome.TODO: "33"}
_WORDS = {Outcome.PASSED: "ok", Outcome.FAILED: "FAILED", Outcome.SKIPPED: "skipped"}
_LOG_LINES = 5
_DETAIL_LINES = 12
SUITE_FILE = "suite file"
"""The property of a suite that is not one of lkltest's own: where it is."""


def echo(text: str, *, flush: bool = False) -> None:
    """Print text that somebody else may have written."""
    print(printable(text), flush=flush)


def echo_error(message: str, command: str = "lkltest") -> None:
    """Say to standard error what is wrong, or how far something is."""
    print(f"{command}: {printable(message)}", file=sys.stderr, flush=True)


def wants_colour(stream: TextIO) -> bool:
    """Colours only on a terminal that has them, and never with NO_COLOR (no-color.org)."""
    capable = stream.isatty() and os.environ.get("TERM") != "dumb"
    return capable and not os.environ.get("NO_COLOR")


def coloured(text: str, code: str) -> str:
    """`text` in a colour of ECMA-48, which ends with it."""
    return f"\x1b[{code}m{text}\x1b[0m"


def suite_line(result: SuiteResult, colour: bool = False) -> str:
    """One line: `disk[ext4]@native   ok   13 points, 12 ok, 1 skipped   0.4 s`."""
    word = f"{_WORDS.get(result.outcome, 'ok'):8}"
    shown = coloured(word, _COLOURS[result.outcome]) if colour else word
    return f"{printable(result.id):24} {shown}{result.seconds:7.2f} s  {_detail(result)}".rstrip()


def tried_again_lines(result: SuiteResult) -> list[str]:
    """One line of a suite that was run anew: why, and how that ended; none of any other."""
    said = result.properties.get(TRIED_AGAIN)
    return [printable(f"    {TRIED_AGAIN}: {said}")] if said else []


def failure_lines(result: SuiteResult) -> list[str]:
    """The reasons why a suite failed: failed points with the ends of their logs, then problems.

    A point that failed for a problem of its own (a crash in it) is shown as that problem.
    """
    explained = {problem.point for problem in result.problems if problem.point is not None}
    lines = []
    for point in result.points:
        if point.outcome is Outcome.FAILED and point.name not in explained:
            for name, culprit in point.culprits():
                lines.append(f"not ok {name}: {culprit.reason}".removesuffix(": "))
                log = (culprit.log or point.log).splitlines()
                lines.extend(f"    {line}" for line in [*filter(str.strip, log)][-_LOG_LINES:])
    return [*(printable(line) for line in lines), *problem_lines(result.problems)]


def problem_lines(problems: Iterable[Problem], *, whole: bool = False) -> list[str]:
    """Each problem in a line, followed by its detail, indented; `whole` where no file has it."""
    lines = []
    for problem in distinct(problems):
        where = f" (at {problem.point})" if problem.point else ""
        lines.append(f"{problem}{where}")
        detail = problem.detail.splitlines()
        shown = len(detail) if whole else _DETAIL_LINES
        lines.extend(f"    {line}" for line in detail[:shown])
        if len(detail) > shown:
            lines.append(f"    ... {len(detail) - shown} more lines in the JUnit file")
    return [printable(line) for line in lines]


def reproduce_line(
    result: SuiteResult,
    build: str | None = None,
    options: Sequence[str] = (),
    command: Sequence[str] = ("lkltest",),
) -> str:
    """The line that runs just this suite again, with `options` of its host and of the run.

    `command` is what starts lkltest where the line is pasted: `env A=b .venv/bin/lkltest`, say.
    """
    name = f"{result.suite}[{result.variant}]" if result.variant else result.suite
    file = result.properties.get(SUITE_FILE)
    words = [*command, "run", *filter(None, [file]), name, "--host", result.host]
    if build:
        words += ["--build", build]
    return shlex.join([*words, *options])


def summary_line(results: Sequence[SuiteResult], seconds: float, junit: str | None) -> str:
    """`9 suites: 9 ok; 150 points: 148 ok, 2 skipped; 6.1 s; JUnit in junit/`."""
    suites = Counter(result.outcome for result in results)
    points = Counter(point.outcome for result in results for point in result.points)
    parts = [
        f"{plural(len(results), 'suite')}: {_outcomes(suites)}",
        f"{plural(sum(points.values()), 'point')}: {_outcomes(points)}",
        f"{seconds:.1f} s",
    ]
    if junit:
        parts.append(printable(f"JUnit in {junit}"))
    return "; ".join(parts)


def count_text(points: Sequence[PointResult]) -> str:
    """`3 points: 2 ok, 1 skipped`."""
    outcomes = Counter(point.outcome for point in points)
    return f"{plural(len(points), 'point')}: {_outcomes(outcomes)}"


def mute_stdout() -> None:
    """Let what is still printed go nowhere: whoever read it has gone, or the disk is full."""
    os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _detail(result: SuiteResult) -> str:
    """The outcomes of the points in words, and all reasons where a suite is a skip."""
    if result.outcome is not Outcome.SKIPPED:
        return count_text(result.points)
    reasons = [point.reason for point in result.points if point.outcome is Outcome.SKIPPED]
    words = [" ".join(reason.split()) for reason in (*reasons, result.skip) if reason]
    text = printable("; ".join(dict.fromkeys(words)))
    return ": ".join(part for part in (result.points and count_text(result.points), text) if part)


def _outcomes(counts: Counter[Outcome]) -> str:
    words: Iterable[tuple[Outcome, str]] = (
        (Outcome.PASSED, "ok"),
        (Outcome.FAILED, "failed"),
        (Outcome.SKIPPED, "skipped"),
        (Outcome.TODO, "todo"),
    )
    return ", ".join(f"{counts[key]} {word}" for key, word in words if counts[key]) or "none"
