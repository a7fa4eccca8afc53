# SPDX-License-Identifier: GPL-2.0-only
"""The verdict: events of one program's stream, and its end, into a tree of results. Pure.

A run passes only if the plan was there and was met, no point failed, the program ended with status
0 and the kernel's log holds no panic, oops, BUG, WARNING or sanitizer report. Everything else is a
named problem, tied to the point that was announced when it happened.

LKL's dialect: a stream holds several plans; a later plan of the same name continues that suite and
its numbers start at 1 again, so numbers are judged within one plan. `1..0 # name` skips, and its
reason is the plain line that follows.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

from lkltest.tap.grammar import decode
from lkltest.tap.parser import (
    BailOut,
    Comment,
    Diagnostic,
    Event,
    LastLine,
    Output,
    Plan,
    Point,
    Started,
)
from lkltest.verdict.collector import Collector, OnPassed, one_line
from lkltest.verdict.consequences import is_told_by
from lkltest.verdict.exit_status import SAID_WITHOUT_POINTS, exit_problem
from lkltest.verdict.results import Exit, Outcome, PointResult, Problem, ProblemKind, ProgramResult
from lkltest.verdict.stream_log import StreamLog
from lkltest.verdict.subtests import Announced, SubtestStack, bounded, subtest_problems


class RebootDetector:
    """Detection of a stream that starts anew: the points it had, by plan, number and name."""

    def __init__(self) -> None:
        self._reported: set[tuple[str, int, str]] = set()

    def note(self, plan: str, number: int, name: str) -> list[Problem]:
        """Remember a point. Return a problem if the stream had it before."""
        if not name:
            return []
        if (plan, number, name) in self._reported:
            reason = f"{name} came again: did the guest boot twice?"
            return [Problem(ProblemKind.REPEATED, reason)]
        self._reported.add((plan, number, name))
        return []


def stated_outcome(point: Point) -> Outcome:
    """The outcome by the line alone; `not ok # SKIP` is a skip in TAP 14, in KTAP and for bats."""
    if point.directive == "SKIP":
        return Outcome.SKIPPED
    if point.ok:
        return Outcome.PASSED
    return Outcome.TODO if point.directive == "TODO" else Outcome.FAILED


def seconds_taken(point: Point, announced: Announced | None, at: float | None) -> float | None:
    """Return a point's wall time, or what the program says where that is more or all there is.

    Upstream's programs report CPU time. Events that were read at once have one time, so the wall
    time of a short point can be 0 here.
    """
    said = point.seconds
    if at is None or announced is None or announced.at is None:
        return said
    return max(at - announced.at, said or 0.0)


_COMMENT_LIMIT = 8 * 1024
_EXPECTATION = re.compile(
    r"((?:EXPECTATION|ASSERTION) FAILED at \S+)\s*\n[ \t]*([^\n]*?)"
    r"(?:, but\b[^\n]*)?[ \t]*(?:\n|\Z)"
)


def _expectation(log: str) -> str:
    """KUnit's words for a failing case: `EXPECTATION FAILED at lib/x.c:59: Expected 1 == 2`."""
    found = _EXPECTATION.search(log)
    return ": ".join(filter(None, found.groups())) if found else ""


def _reason(event: Point, outcome: Outcome, log: str) -> str:
    """The reason of a failure or a skip that a point gives elsewhere than in its line."""
    if outcome is Outcome.FAILED:
        return event.message or _expectation(log)
    return log if outcome is Outcome.SKIPPED else ""  # LKL's tests say it there


_DIAGNOSTICS = {
    "yaml-open": ProblemKind.OPEN_YAML,
    "line-incomplete": ProblemKind.INCOMPLETE_LINE,
}

_DIED = re.compile(r"Looks like your test (?:exited with [1-9]|died\b)")
"""The last comment of Perl's Test::Builder on a program, whose exit status no file holds."""

_CONSEQUENCES = (ProblemKind.SIGNAL, ProblemKind.EXIT_STATUS)
"""The ends of a program whose kernel said that it ends: no failures of their own."""


class Recorder:
    """The verdict on one program's stream: takes its events, returns points as they finish.

    Args:
        exit_status_matters: False where it proves nothing (Wine) or is not known.
        is_file: True where the stream is a file, which somebody may have ended without a newline.
        reboot_is_failure: True where a guest that reboots repeats its stream: a point that comes
            again under a plan of the same name is then a problem.
        keep: False to forget every point that `add` has returned, for constant memory.
        on_passed: called with name, seconds and log of each passed top-level point without
            subtests, in place of a PointResult, whose making costs more than all the rest.
    """

    def __init__(
        self,
        exit_status_matters: bool = True,
        *,
        is_file: bool = False,
        reboot_is_failure: bool = False,
        keep: bool = True,
        on_passed: OnPassed | None = None,
    ) -> None:
        self._exit_status_matters = exit_status_matters
        self._is_file = is_file
        self._reboots = RebootDetector() if reboot_is_failure else None
        self._stack = SubtestStack()
        self._collector = Collector(keep, on_passed)
        self._stream_log = StreamLog()
        self._diagnostics: list[Problem] = []  # about the event that follows
        self._skip: str | None = None  # name of a `1..0` whose reason may follow
        self._skip_reason = ""
        self._unsettled = False  # output, diagnostic or skip that wait for the event that follows
        self._last_line: tuple[LastLine, float | None] | None = None
        self.bailed_out = False
        """Whether the program has given up."""

    @property
    def in_flight(self) -> str | None:
        """Name of the announced point that has not reported, or None."""
        announced = self._stack.top.announced
        return announced.name if announced else None

    @property
    def done(self) -> bool:
        """Whether the program may be ended now: it gave up, or its plan is met, none in flight."""
        return self.bailed_out or (self._stack.top.ledger.met and not self._stack.busy)

    @property
    def problems(self) -> tuple[Problem, ...]:
        """The problems found so far."""
        return self._collector.kept_problems()

    def add(self, event: Event, at: float | None = None) -> list[PointResult]:
        """Take the next event; return the top-level points that are finished by it, in order.

        Args:
            event: from `lkltest.tap.parser.Parser`.
            at: when it was read, in seconds of any steady clock; gives announced points their wall
                time. Without it a point's time is what the program says.
        """
        if isinstance(event, Output):
            self._take_output(event)
            return []
        fresh = self._collector.fresh = []
        if self._unsettled:
            self._settle(before_point=isinstance(event, Point))
        if isinstance(event, Point):
            self._take_point(event, at)
        elif isinstance(event, Started):
            self._take_started(event, at)
        elif isinstance(event, Plan):
            self._take_plan(event)
        elif isinstance(event, Comment):
            self._overhear(self._stream_log.comment(event.text))
            if event.text.startswith("Subtest: "):
                self._stack.title(event.depth, event.text[9:])
            elif self._is_file and event.depth == 0 and _DIED.match(event.text):
                self._attribute(Problem(ProblemKind.EXIT_STATUS, event.text))
        elif isinstance(event, Diagnostic):
            self._unsettled = True
            kind = _DIAGNOSTICS.get(event.what, ProblemKind.CONSOLE_DAMAGE)
            self._diagnostics.append(Problem(kind, event.detail or event.what))
        elif isinstance(event, BailOut):
            self.bailed_out = True
            self._attribute(Problem(ProblemKind.BAIL_OUT, event.reason or "no reason given"))
        elif isinstance(event, LastLine):
            self._last_line = (event, at)
        return fresh

    def finish(
        self, exit: Exit, problems: Iterable[Problem] = (), seconds: float = 0.0
    ) -> ProgramResult:
        """Say what the stream and the program's end came to.

        Args:
            exit: how the program ended.
            problems: what the caller saw besides; each may be tied to a point by its name.
            seconds: wall time of the program.

        Returns:
            The result. Its points may be more than `add` returned (the one in flight, a trailing
            `1..0`); with `keep=False` they are only those.
        """
        collector = self._collector
        collector.fresh = self._take_last_line(exit)
        self._settle(before_point=False)
        given = list(problems)
        if self._stream_log.dead:  # the kernel has told of it, with a title
            given = [problem for problem in given if problem.kind is not ProblemKind.PANIC]
        if self.bailed_out:  # nobody waited for the rest
            given = [problem for problem in given if problem.kind is not ProblemKind.PLAN_NOT_MET]
        ledger = self._stack.top.ledger
        said = self._said_without_points(exit)
        if said and not collector.points:
            reason = f"exited with status {exit.status}"
            collector.report(PointResult("exit status", said, reason=reason), [])
        self._settle_exit(Exit(status=0, cause="exited") if said else exit, given)
        unmet = ledger.close()
        if not said and ledger.count is None and not ledger.seen:
            unmet = [Problem(ProblemKind.NO_PLAN, "the stream has no plan and no test point")]
        causes = [*collector.all_problems(), *given]
        for problem in unmet:
            if not any(is_told_by(problem, cause) for cause in causes):
                collector.add(problem)
        for problem in given:
            collector.add_given(problem)
        return ProgramResult(
            points=tuple(collector.points),
            problems=collector.all_problems(),
            properties=self._stream_log.properties(),
            exit=exit,
            seconds=seconds,
            output_tail=self._stream_log.text(),
        )

    # Events

    def _take_output(self, event: Output) -> None:
        self._unsettled = True
        comments = self._stream_log.comments
        if 0 < len(comments) < _COMMENT_LIMIT:  # KUnit's go on without `#`
            comments += event.data
        if self._stream_log.add(event.data) or self._diagnostics:
            self._settle_output()
        if self._skip is not None and not self._skip_reason:
            self._skip_reason = one_line(decode(event.data))

    def _take_started(self, event: Started, at: float | None) -> None:
        number, raw, depth = event
        level = self._stack.level(depth)
        if level is None:
            return
        if level.announced is not None or self._stack.depth > depth:
            self._abandon(depth, "the next test point began")
        level.announce(number, raw, at)
        self._stream_log.begin_point()
        self._overhear(raw)

    def _take_plan(self, event: Plan) -> None:
        level = self._stack.level(event.depth)
        if level is None:
            return
        self._abandon(event.depth, "the next plan began")
        for problem in level.begin_plan(event.name, event.count):
            if event.depth:
                self._stack.levels[event.depth - 1].defer(problem)
            else:
                self._collector.add(problem)
        self._overhear(event.name, event.skip or "")
        if event.count == 0 and event.depth == 0:
            self._skip = bounded(event.name) or "(skipped)"
            self._skip_reason = one_line(event.skip or "")
            self._unsettled = True

    def _take_point(self, event: Point, at: float | None) -> None:
        _, number, raw, _, reason, _, depth, _ = event
        level = self._stack.level(depth)
        if level is None:
            return
        announced = level.announced
        due = level.ledger.last + 1 if number is None else number
        if announced is not None and due != announced.number:
            self._abandon(depth, f"test point {due} reported instead")
            announced = None
        level.announced = None
        children: tuple[PointResult, ...] = ()
        if self._stack.depth > depth:
            children = self._stack.fold(depth + 1, "its parent reported first")
        problems = level.take_deferred() if level.deferred else []
        if "[" in raw or "[" in reason:
            problems += self._stream_log.overhear(raw, reason)
        ledger = level.ledger
        problems += ledger.record(number)
        if self._reboots is not None and depth == 0:
            problems += self._reboots.note(ledger.name, ledger.last, raw)
        titles = self._stack.titles
        name = level.name_of(raw or titles.get(depth, ""), announced)
        log = self._log(event, problems) if event.block or self._stream_log.comments else ""
        outcome = stated_outcome(event)
        if outcome is Outcome.FAILED and announced and not problems:
            log = self._with_meanwhile(log)
        if children or titles:
            problems += subtest_problems(outcome, children, titles.get(depth + 1, ""))
            self._stack.forget_titles(depth)
        reason = reason or _reason(event, outcome, log)
        if problems:
            outcome = Outcome.FAILED
            reason = "\n".join(str(problem) for problem in problems)
        reason = reason and one_line(reason)
        seconds = seconds_taken(event, announced, at)
        plain = outcome is Outcome.PASSED and not (depth or children)
        if plain and self._collector.hand_out(name, seconds, log):
            return
        log = self._collector.within_budget(log, outcome, depth)
        point = PointResult(name, outcome, ledger.last, ledger.name, reason, log, seconds, children)
        if depth:
            self._stack.lift(depth, point, problems)
        else:
            self._collector.report(point, problems)

    # Parts of a point

    def _overhear(self, *texts: str) -> None:
        """Find what the kernel said in the midst of a line."""
        for problem in self._stream_log.overhear(*texts):
            self._attribute(problem)

    def _log(self, event: Point, problems: list[Problem]) -> str:
        """Return the point's log; add to `problems` what the kernel says in it."""
        if event.block:
            problems += self._stream_log.search(event.block)
        log = event.log if event.block else ""
        comments = self._stream_log.take_comments()  # KTAP says there why a test failed
        return log or ("" if event.ok else comments)

    def _with_meanwhile(self, log: str) -> str:
        """A failed point's log, after what the kernel and others said while it was in flight."""
        meanwhile = self._stream_log.meanwhile().strip("\n")
        if meanwhile.endswith(log.strip("\n")):  # a comment is both
            return meanwhile
        return "\n".join(filter(None, (meanwhile, log)))

    # Ends

    def _abandon(self, depth: int, why: str, ending: Problem | None = None) -> None:
        """Report the point in flight at `depth`, if there is one, as failed."""
        point = self._stack.abandon(depth, why)
        if point is None:
            return
        problems = self._stack.levels[depth].take_deferred()
        if not (problems and self._stream_log.dead):  # the kernel's own report says why
            problems.append(ending or Problem(ProblemKind.NEVER_REPORTED, why))
        if depth:
            self._stack.lift(depth, point, problems)
        else:
            self._collector.report(point, problems)

    def _attribute(self, problem: Problem) -> None:
        """Tie a problem to the point in flight, or else let it stand for itself."""
        if self._stack.busy:
            self._stack.top.defer(problem)
        else:
            self._collector.add_loose(problem)

    def _settle(self, before_point: bool) -> None:
        """Deal with what was left open until it was clear which event follows."""
        self._unsettled = False
        if before_point:
            for problem in self._diagnostics:  # they are about that point
                self._stack.top.defer(problem)
            self._diagnostics = []
        self._settle_output()
        if self._skip is not None:
            top = self._stack.top
            name = top.names.claim(self._skip)
            self._skip = None
            point = PointResult(name, Outcome.SKIPPED, None, top.ledger.name, self._skip_reason)
            self._collector.report(point, [])

    def _settle_output(self) -> None:
        """Report what the diagnostics and the output say since the last event."""
        for problem in (*self._diagnostics, *self._stream_log.search_pending()):
            self._attribute(problem)
        self._diagnostics = []

    def _take_last_line(self, exit: Exit) -> list[PointResult]:
        """Take the line without newline: whole where nobody can have cut it."""
        if self._last_line is None:
            return []
        line, at = self._last_line
        ended = exit.cause == "exited" and exit.status == 0 and self._exit_status_matters
        events = line.whole if self._is_file or ended else line.cut
        return [point for event in events for point in self.add(event, at)]

    def _said_without_points(self, exit: Exit) -> Outcome | None:
        ledger = self._stack.top.ledger
        silent = not ledger.seen and not ledger.count and not self._stack.busy
        known = exit.cause == "exited" and self._exit_status_matters and silent
        return SAID_WITHOUT_POINTS.get(exit.status or 0) if known else None

    def _settle_exit(self, exit: Exit, given: list[Problem]) -> None:
        """Report how the program ended, and fail what was in flight then."""
        ending = exit_problem(exit, self._exit_status_matters)
        if ending and self._stream_log.dead and ending.kind in _CONSEQUENCES:
            ending = None
        if self._stack.busy:
            causes = [str(problem) for problem in given if problem.point == self.in_flight]
            if self._stream_log.dead:
                causes += [str(problem) for problem in self._stack.top.deferred[-1:]]
            self._abandon(0, [*causes, ending.reason if ending else "the stream ended"][0], ending)
        elif ending:
            self._collector.add_loose(ending)
        for waiting in self._stack.top.take_deferred():
            self._collector.add_loose(waiting)
