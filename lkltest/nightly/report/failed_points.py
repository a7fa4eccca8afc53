# SPDX-License-Identifier: GPL-2.0-only
"""The failures of a night, each with its log, in the order in which a person wants them. Pure."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator
from dataclasses import dataclass

from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.model.change import Change, ChangeKind, PointHistory
from lkltest.nightly.model.rows import problem_name
from lkltest.nightly.report.model import CellModel, NightModel
from lkltest.text import head_and_tail
from lkltest.verdict.results import Outcome, PointResult, Problem, SuiteResult

_TELLING = 6  # characters of a reason that may be looked for in a log
_CONTEXT = 5  # lines before the one that matters
_WORTH = 10  # so many lines are worth being folded
_ALARMING = re.compile(r"Kernel panic|\bBUG\b|\bOops\b|WARNING:|Assertion|[Ee]rror\b|not ok\b")
_ORDER = {kind: number for number, kind in enumerate(ChangeKind)}


@dataclass(frozen=True, slots=True)
class FailedPoint:
    """A failed test point, a problem that is tied to none, or a cell without a result.

    Attributes:
        id: result id with the build; of the cell alone for an error.
        cell: id of its cell.
        kind: what the comparison says of it, None when it says nothing.
        reason: one line.
        log: what it logged, with the details of its problems; cut when it is long.
        reproduce: the command that runs it again.
        bisect: the lines that find the commit, "" where its range is not known.
        known: why it is known to fail, "" when it is not.
        history: its earlier nights, when they are known.
    """

    id: str
    cell: str
    kind: ChangeKind | None
    reason: str
    log: str
    reproduce: str
    bisect: str = ""
    known: str = ""
    history: PointHistory | None = None

    @property
    def earlier(self) -> str:
        """The part of the log before the line that matters."""
        return self.log[: self._begin()]

    @property
    def matter(self) -> str:
        """The log from shortly before the line that matters, to its end."""
        return self.log[self._begin() :]

    def _begin(self) -> int:
        """The place a few lines before the first that says what the reason does, or is alarming."""
        lines = self.log.splitlines(keepends=True)
        words = [part for part in self.reason.split(": ") if len(part) >= _TELLING]
        for said in sorted(words, key=len, reverse=True):
            place = next((n for n, line in enumerate(lines) if said in line), None)
            if place is not None:
                break
        else:
            place = next((n for n, line in enumerate(lines) if _ALARMING.search(line)), 0)
        before = max(place - _CONTEXT, 0)
        return sum(map(len, lines[:before])) if before >= _WORTH else 0


def failed_points(night: NightModel, log_limit: int = 32_000) -> tuple[FailedPoint, ...]:
    """Return the failures of all cells, new ones first.

    Args:
        night: what to look through.
        log_limit: bytes that are kept of one log; of a longer one its head and tail.
    """
    changes = {change.id: change for change in night.changes}
    found: dict[str, FailedPoint] = {}
    for cell in night.cells:
        for point in _of_cell(cell, night, changes, log_limit):
            found.setdefault(point.id, point)
    return tuple(sorted(found.values(), key=_rank))


def _rank(point: FailedPoint) -> int:
    return _ORDER[ChangeKind.STILL_FAILING if point.kind is None else point.kind]


def _of_cell(
    cell: CellModel, night: NightModel, changes: dict[str, Change], limit: int
) -> Iterator[FailedPoint]:
    for name, reason, log in _failures(cell):
        id_ = f"{cell.id}/{name}" if name else cell.id
        change = changes.get(id_)
        yield FailedPoint(
            id_,
            cell.id,
            change.kind if change else None,
            reason,
            head_and_tail(log, limit),
            cell.reproduce,
            _bisect(cell, change, night.properties.get("history", "")),
            cell.known.get(name, ""),
            night.histories.get(id_),
        )


def _bisect(cell: CellModel, change: Change | None, history: str) -> str:
    """`git bisect start ...` and `git bisect run ...`, for the tree that holds the build."""
    if change is None or not (change.commits and change.commit_before and cell.path and history):
        return ""
    words = ["git", "bisect", "run", "lkltest", "bisect", change.id, "--confidence", "0.99"]
    words += ["--history", history, "--build", cell.path, "--make", f"make -C {cell.path}"]
    words += [f"--option={option}" for option in cell.options]
    start = ["git", "bisect", "start", change.commit_after, change.commit_before]
    return f"{shlex.join(start)}\n{shlex.join(words)}"


def _failures(cell: CellModel) -> Iterator[tuple[str, str, str]]:
    """Name, reason and log of each."""
    if cell.outcome is CellOutcome.ERROR:
        yield "", cell.error, cell.log
    for result in cell.results or ((cell.result,) if cell.result else ()):
        yield from _of_result(result)


def _of_result(result: SuiteResult) -> Iterator[tuple[str, str, str]]:
    for point in result.points:
        if point.outcome is Outcome.FAILED:
            tied = [problem for problem in result.problems if problem.point == point.name]
            reason = "; ".join([point.reason, *map(str, tied)] if point.reason else map(str, tied))
            yield point.name, reason or "not ok", _joined(point.log, *map(_detail, tied))
        yield from _subtests(point, f"{point.name}/")
    for problem in result.problems:
        if problem.point is None:
            log = _joined(problem.detail, result.output)
            yield problem_name(problem.kind), problem.reason, log


def _subtests(point: PointResult, prefix: str) -> Iterator[tuple[str, str, str]]:
    for child in point.children:
        name = prefix + child.name
        if child.outcome is Outcome.FAILED:
            yield name, child.reason or "not ok", child.log
        yield from _subtests(child, f"{name}/")


def _detail(problem: Problem) -> str:
    return f"{problem}\n{problem.detail}" if problem.detail else ""


def _joined(*texts: str) -> str:
    return "\n\n".join(text.strip("\n") for text in texts if text.strip())
