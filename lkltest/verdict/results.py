# SPDX-License-Identifier: GPL-2.0-only
"""The tree of results that every report reads; pure data, no I/O.

A program's console stream and its end become a `ProgramResult` (see `lkltest.verdict.recorder`); a
suite run, which is one or more programs and the points that the suite adds itself, becomes a
`SuiteResult`. Everything here is immutable and turns into plain JSON types and back.

One invariant holds in every tree: a `Problem` whose `point` is set names a FAILED `PointResult` of
that tree, and a `Problem` without a point is a failure of its own. So nobody who counts failed
points and problems without a point can miss a failure or count one twice.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from types import MappingProxyType
from typing import Literal

Cause = Literal["exited", "signalled", "deadline", "stall", "hung", "ended"]
NO_PROPERTIES: Mapping[str, str] = MappingProxyType({})
TRIED_AGAIN = "tried again"
"""The property of a suite that was run anew: why, and how that ended."""


def suite_title(suite: str, variant: str) -> str:
    """The title of a suite's variant: `disk[ext4]`; `boot` where there are no variants."""
    return f"{suite}[{variant}]" if variant else suite


class Outcome(StrEnum):
    """The outcome of a test point, or of a whole suite run."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    TODO = "todo"  # `not ok # TODO`: an expected failure, which fails nothing


class ProblemKind(StrEnum):
    """The named failures of a run; the value is the text that people read."""

    EXIT_STATUS = "exit status"
    SIGNAL = "signal"
    DEADLINE = "deadline"
    STALL = "stall"
    NO_PLAN = "no plan"
    PLAN_NOT_MET = "plan not met"
    TOO_MANY_POINTS = "more points than planned"
    DUPLICATE_NUMBER = "duplicate number"
    OUT_OF_ORDER = "number out of order"  # in nights of old: any order is right
    NEVER_REPORTED = "never reported"
    SUBTEST = "failed subtest"
    BAIL_OUT = "bail out"
    OPEN_YAML = "YAML block left open"
    INCOMPLETE_LINE = "incomplete last line"
    CONSOLE_DAMAGE = "damaged console"
    REPEATED = "stream repeated"
    PANIC = "kernel panic"
    OOPS = "kernel oops"
    BUG = "kernel BUG"
    WARNING = "kernel WARNING"
    SANITIZER = "sanitizer report"
    LAUNCH = "launch"
    NO_BOOT = "no boot"
    CRASH = "crash"
    GUEST = "guest"
    SETUP = "set-up"
    CONNECTION = "connection lost"  # to where the program ran: nothing is known of it
    HELPER = "helper"
    CLEANUP = "cleanup"
    INTERRUPTED = "interrupted"
    SUITE_ERROR = "suite error"  # the suite's own code raised


@dataclass(frozen=True, slots=True)
class Problem:
    """A reason why a run failed, beyond a test point that said `not ok`.

    Attributes:
        kind: the name of the failure.
        reason: one line that says what happened.
        point: name of the point that it is tied to, which is FAILED; None when it is tied to none.
        detail: whatever helps to understand it: a kernel stack, a backtrace; several lines.
    """

    kind: ProblemKind
    reason: str
    point: str | None = None
    detail: str = ""

    def __str__(self) -> str:
        """Kind and reason, each word once: `kernel WARNING in f`, `kernel BUG: x`."""
        if self.reason.startswith(f"{self.kind} "):
            return self.reason
        if self.kind in (ProblemKind.BUG, ProblemKind.WARNING):
            word = self.kind.removeprefix("kernel ")
            if self.reason.startswith((f"{word} ", f"{word}: ")):
                return f"kernel {self.reason}"
        return f"{self.kind}: {self.reason}"


@dataclass(frozen=True, slots=True)
class PointResult:
    """One test point.

    Attributes:
        name: unique among its siblings (`name#2` for a duplicate), never empty.
        outcome: all things considered: an `ok` whose log holds a kernel WARNING is FAILED.
        number: as the stream counted it, within its plan.
        suite: name of the plan that it was counted in.
        reason: of a skip, an expected failure or a failure; one line.
        log: what the point logged.
        seconds: how long it took, if known.
        children: subtests.
    """

    name: str
    outcome: Outcome
    number: int | None = None
    suite: str = ""
    reason: str = ""
    log: str = ""
    seconds: float | None = None
    children: tuple[PointResult, ...] = ()

    @property
    def failure(self) -> str:
        """The failure down to its subtest: `list/add: Expected 1 == 2`."""
        if not self.reason:
            failed = (child for child in self.children if child.outcome is Outcome.FAILED)
            if (child := next(failed, None)) is not None:
                return f"{self.name}/{child.failure}"
        return f"{self.name}: {self.reason}" if self.reason else self.name

    def culprits(self, above: str = "") -> Iterator[tuple[str, PointResult]]:
        """The innermost subtests that failed, or itself, each with its whole name."""
        name = f"{above}{self.name}"
        failed = [child for child in self.children if child.outcome is Outcome.FAILED]
        if self.reason or not failed:
            yield name, self
            return
        for child in failed:
            yield from child.culprits(f"{name}/")


@dataclass(frozen=True, slots=True)
class Exit:
    """A program's end.

    Attributes:
        status: exit status, when it exited.
        signal: number of the signal that killed it.
        cause: `exited` and `signalled` by itself; `deadline` and `stall` when killed for that;
            `ended` when lkltest ended it on purpose because it was done, which is no failure.
        note: for people: "core dumped", the limit that passed ("60 s").
    """

    status: int | None = None
    signal: int | None = None
    cause: Cause = "exited"
    note: str = ""


@dataclass(frozen=True, slots=True)
class ProgramResult:
    """One program's result: its console and its end in points and problems.

    Attributes:
        points: in the order of the stream.
        problems: every named failure.
        properties: `kernel` (release) and `compiler`, when the kernel's banner was seen.
        exit: how it ended.
        seconds: wall time.
        output_tail: console output that was no TAP; head and tail, when it was long.
    """

    points: tuple[PointResult, ...]
    problems: tuple[Problem, ...]
    properties: Mapping[str, str]
    exit: Exit
    seconds: float
    output_tail: str = ""

    @property
    def passed(self) -> bool:
        """Whether nothing failed; skipped points do not."""
        return not self.problems and all(p.outcome is not Outcome.FAILED for p in self.points)


@dataclass(frozen=True, slots=True)
class SuiteResult:
    """One run of a suite with a variant on a host.

    Attributes:
        suite, variant, host: `disk`, `ext4` (or empty), `native`.
        points, problems: of all its programs and of the suite itself.
        properties: for people: host, build, kernel, compiler, command line, ...
        seconds: wall time.
        skip: why the whole suite was skipped, or None.
        output: console output that was no TAP.
        started: seconds since the epoch, 0 when unknown.
    """

    suite: str
    variant: str
    host: str
    points: tuple[PointResult, ...] = ()
    problems: tuple[Problem, ...] = ()
    properties: Mapping[str, str] = field(default_factory=lambda: NO_PROPERTIES)
    seconds: float = 0.0
    skip: str | None = None
    output: str = ""
    started: float = 0.0

    @property
    def title(self) -> str:
        """Suite and variant: `disk[ext4]`, `boot`."""
        return suite_title(self.suite, self.variant)

    @property
    def id(self) -> str:
        """Stable id, `disk[ext4]@native`; a test point's is this, a slash and its name."""
        return f"{self.title}@{self.host}"

    @property
    def outcome(self) -> Outcome:
        """FAILED if anything failed or nothing at all is known; SKIPPED if nothing ran."""
        if self.problems or any(point.outcome is Outcome.FAILED for point in self.points):
            return Outcome.FAILED
        if self.skip is not None:
            return Outcome.SKIPPED
        if not self.points:  # a suite that tested nothing is not green
            return Outcome.FAILED
        skipped = all(point.outcome is Outcome.SKIPPED for point in self.points)
        return Outcome.SKIPPED if skipped else Outcome.PASSED

    def counts(self) -> dict[Outcome, int]:
        """Count points by outcome; a problem that is tied to no point counts as one FAILED."""
        counts = dict.fromkeys(Outcome, 0)
        for point in self.points:
            counts[point.outcome] += 1
        counts[Outcome.FAILED] += sum(problem.point is None for problem in self.problems)
        return counts
