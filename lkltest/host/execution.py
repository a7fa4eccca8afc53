# SPDX-License-Identifier: GPL-2.0-only
"""One program from its first byte to its verdict: console ▶ parser ▶ recorder."""

from __future__ import annotations

import itertools
import time
from collections.abc import Callable, Generator, Iterable, Iterator
from dataclasses import replace

from lkltest.host.api import Host, Process
from lkltest.tap.parser import Event, LastLine, Parser, Point, Started
from lkltest.verdict.consequences import is_told_by, only_cut_off
from lkltest.verdict.recorder import Recorder, stated_outcome
from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind, ProgramResult

_ENDS = {
    *(ProblemKind.SIGNAL, ProblemKind.DEADLINE, ProblemKind.STALL),
    *(ProblemKind.PANIC, ProblemKind.BUG, ProblemKind.OOPS),
}
"""The problems that end a program while somebody looks."""
_GIVING_UP = ("panic", "lkl_bug")
"""LKL's host library's (lib/posix-host.c, lib/utils.c)."""


class Execution:
    """Drives a launched program. Iterate `points` to run it; then `result` is its verdict.

    `listen` is called with each chunk of the console as it arrives.

    Attributes:
        on_started: called with the name of each test point that is announced.
    """

    def __init__(
        self, host: Host, process: Process, listen: Callable[[bytes], object] | None = None
    ) -> None:
        self.process = process
        self.result: ProgramResult | None = None
        self.on_started: Callable[[str], object] | None = None
        self._recorder = Recorder(
            host.exit_status_matters, reboot_is_failure=host.reboot_is_failure
        )
        self._listen = listen
        self._said_not_ok = False
        self._started = time.monotonic()

    @property
    def failed(self) -> bool:
        """Whether the program has failed by itself, as far as it has been heard."""
        return self._said_not_ok or not only_cut_off(self._problems())

    @property
    def lost(self) -> str:
        """The reason why its connection was lost, so that it may be run anew; "" when it was not.

        Nor is it one of a program that had failed before.
        """
        lost = (one for one in self._problems() if one.kind is ProblemKind.CONNECTION)
        return "" if self.failed else next((one.reason for one in lost), "")

    def _problems(self) -> tuple[Problem, ...]:
        return self.result.problems if self.result else self._recorder.problems

    @property
    def complete(self) -> bool:
        """Whether the stream has come to its end: its plan is met."""
        return self._recorder.done

    def points(self) -> Generator[PointResult]:
        """Yield every test point as it is reported, at last those that never were.

        The program is ended when the caller stops iterating, for whatever reason.
        """
        parser = Parser()
        reported = 0
        try:
            for chunk in self.process.chunks():
                if self._listen is not None:
                    self._listen(chunk)
                for event in parser.feed(chunk) if chunk else parser.settle():
                    if self.on_started is not None and isinstance(event, Started):
                        self.on_started(event.name)
                    self._said_not_ok |= _is_not_ok(event)
                    for point in self._recorder.add(event, time.monotonic()):
                        reported += 1
                        yield point
                if self._recorder.bailed_out:
                    self.process.bailed_out()
                elif self._recorder.done:
                    self.process.stream_done()
            for event in parser.close():
                self._said_not_ok |= _is_not_ok(event)
                for point in self._recorder.add(event, time.monotonic()):
                    reported += 1
                    yield point
            if self._recorder.done:
                self.process.stream_done()
        finally:
            self.process.close()
        seconds = time.monotonic() - self._started
        problems = _tied(self.process.problems(), self._recorder.in_flight)
        verdict = self._recorder.finish(self.process.exit, problems, seconds)
        verdict = replace(
            verdict,
            points=(*verdict.points, *self.process.more_points()),
            properties={**verdict.properties, **self.process.properties},
        )
        self.result = _with_causes(_with_hang_report(verdict, self.process.hang_report))
        yield from self.result.points[reported:]

    def run(self) -> ProgramResult:
        """Run to the end without looking at single points."""
        for _ in self.points():
            pass
        if self.result is None:  # pragma: no cover - points() either raises or sets it
            raise RuntimeError("the execution ended without a result")
        return self.result


def _is_not_ok(event: Event) -> bool:
    """Whether a test point says that it failed, be it in a line that was cut off."""
    if isinstance(event, LastLine):
        return any(map(_is_not_ok, (*event.whole, *event.cut)))
    return isinstance(event, Point) and stated_outcome(event) is Outcome.FAILED


def _tied(problems: list[Problem], point: str | None) -> list[Problem]:
    """Tie a crash that the host saw to the point that was announced when the program ended."""
    return [
        replace(problem, point=point)
        if problem.kind in (ProblemKind.CRASH, ProblemKind.PANIC) and problem.point is None
        else problem
        for problem in problems
    ]


def _with_hang_report(result: ProgramResult, report: str) -> ProgramResult:
    """Attach what the program was doing to the failure that ended it.

    That is the signal or the deadline; a kernel that died by it has said so in a report of its own.
    Where the kernel's watchdog has reported the hang, it is that report.
    """
    if not report:
        return result
    ends = [index for index, problem in enumerate(result.problems) if problem.kind in _ENDS]
    if not ends:
        return result
    problems = list(result.problems)
    if result.exit.cause == "hung" and len(ends) > 1:
        cause = problems[ends[-2]]
        problems[ends[-2]] = replace(cause, detail=f"{cause.detail}\n\n{report}".strip())
    else:
        last = problems[ends[-1]]
        reason = f"{last.reason}{_place(report) if last.kind is ProblemKind.SIGNAL else ''}"
        detail = f"{report}\n\n{last.detail}".strip()
        problems[ends[-1]] = replace(last, reason=reason, detail=detail)
        result = replace(result, points=tuple(_renamed(result.points, last.reason, reason)))
    return replace(result, problems=tuple(problems))


def _with_causes(result: ProgramResult) -> ProgramResult:
    """The result whose point that never reported says what ended it, not what followed from that.

    A kernel that dies while it prints a warning is one that warned.
    """
    points = result.points
    for problem in result.problems:
        causes = [one for one in result.problems if one.point and is_told_by(problem, one)]
        if problem.kind in _ENDS and causes:
            points = tuple(_renamed(points, problem.reason, str(causes[0])))
    return replace(result, points=points)


def _place(report: str) -> str:
    """` in FUNCTION (lkl_bug)`, by the outline before a debugger's stacks; "" without one.

    A function that gives up is the program's way to die, and who called it is the place.
    """
    outline, found, _ = report.partition("\n\nThread ")
    names = [line.split()[0] for line in outline.splitlines()] if found else []
    gave_up = list(itertools.takewhile(lambda name: name in _GIVING_UP, names))
    culprit = next(iter(names[len(gave_up) :]), "")
    by = f" ({gave_up[-1]})" if gave_up else ""
    return f" in {culprit}{by}" if culprit.isidentifier() else ""


def _renamed(points: Iterable[PointResult], old: str, new: str) -> Iterator[PointResult]:
    """The points, of which the one that never reported gives the end as its reason."""
    for point in points:
        same = point.reason == f"{ProblemKind.NEVER_REPORTED}: {old}"
        reason = f"{ProblemKind.NEVER_REPORTED}: {new}"
        yield replace(point, reason=reason) if same else point
