# SPDX-License-Identifier: GPL-2.0-only
"""What the reports of a night are made from; pure data.

All times are seconds; moments are seconds since the epoch. A *night* is one run of the matrix, a
*cell* one suite variant on one host with one build. Ids of points are result ids with the build:
`disk[ext4]@native#stable/readdir`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lkltest.verdict.results import SuiteResult, suite_title


class ChangeKind(StrEnum):
    """How a point differs from the baseline; the value is what people read and `--fail-on` takes.

    In the order in which a person wants to read them. `OUTDATED` is a known failure that passes,
    `EXPIRED` one whose date has passed.
    """

    NEW_FAILURE = "new"
    VANISHED = "vanished"
    ERROR = "error"  # a cell that brought no result at all
    EXPIRED = "expired"
    SLOWER = "slower"
    NEWLY_SKIPPED = "skipped"
    STILL_FAILING = "still"
    FLAKY = "flaky"
    OUTDATED = "outdated"
    FIXED = "fixed"
    ADDED = "added"
    KNOWN = "known"


class CellOutcome(StrEnum):
    """What became of a cell; ERROR is trouble of the harness or the machine, not of a test."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class PointHistory:
    """The nights of one point on one platform, oldest first; this night's is the last.

    `outcomes` are values of `Outcome` plus `known`; the three tuples have one length.
    """

    id: str
    outcomes: tuple[str, ...]
    seconds: tuple[float | None, ...]
    nights: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Change:
    """One point that is worth a line.

    Attributes:
        id: of the point, or of the cell for an ERROR.
        reason: one line: the failure, or by how much it is slower.
        before, after: outcome in the baseline and now; None where it was not there.
        seconds_before, seconds_after: the usual time and this night's.
        commit_before, commit_after: the kernel's commits, "" when unknown.
    """

    kind: ChangeKind
    id: str
    reason: str = ""
    before: str | None = None
    after: str | None = None
    seconds_before: float | None = None
    seconds_after: float | None = None
    commit_before: str = ""
    commit_after: str = ""

    @property
    def commits(self) -> str:
        """`1a2b3c4..5d6e7f8`, the range to look into; "" when unknown.

        Also when the outcome is as it was: what is slow or fails for longer began elsewhere.
        """
        if self.before == self.after or not (self.commit_before or self.commit_after):
            return ""
        return f"{self.commit_before[:12] or 'unknown'}..{self.commit_after[:12] or 'unknown'}"


@dataclass(frozen=True, slots=True)
class CellView:
    """One cell of the matrix.

    Attributes:
        build, host, suite, variant: what it is; `build` is the name that the configuration gives.
        outcome: of all its repeats together: a failed one counts.
        result: the tree; of the first repeat that failed, else of the first. None without one.
        error: one line, for an ERROR.
        seconds: wall time of the whole cell.
        reproduce: the command that runs it again.
        log: the end of what its process said, for an ERROR.
        results: of every repeat.
        commit: the kernel's, "" when unknown.
        known: reasons of the points (by name) whose failure is known.
    """

    build: str
    host: str
    suite: str
    variant: str
    outcome: CellOutcome
    result: SuiteResult | None
    error: str
    seconds: float
    reproduce: str
    log: str = ""
    results: tuple[SuiteResult, ...] = ()
    commit: str = ""
    known: Mapping[str, str] = field(default_factory=dict)

    @property
    def title(self) -> str:
        """`disk[ext4]`."""
        return suite_title(self.suite, self.variant)

    @property
    def id(self) -> str:
        """`disk[ext4]@native#stable`."""
        return f"{self.title}@{self.host}#{self.build}"


@dataclass(frozen=True, slots=True)
class FlakyPoint:
    """A point whose outcome changes from night to night.

    `flips` of `nights` - 1 possible ones; `failures` of `nights` failed.
    """

    id: str
    flips: int
    failures: int
    nights: int


@dataclass(frozen=True, slots=True)
class TrendPoint:
    """One night of a trend; `regressed` when it was slower than its own history allows."""

    night: str
    seconds: float
    commit: str = ""
    regressed: bool = False


@dataclass(frozen=True, slots=True)
class NightView:
    """A whole night, ready to be shown.

    Attributes:
        night_id: `2026-11-21T02-00-00`, unique and sortable.
        started, seconds: when, and how long it took.
        baseline_id: the night it was compared with, None when there was none.
        machine: what the night ran on (`x86_64 Linux 6.1.0`), for people.
        cells: in the order of the matrix.
        changes: in the order of `ChangeKind`.
        histories: of failing, flaky and slower points, by id.
        suite_trends: by suite title, host and build.
        boot_trends: by host and build; time of the whole `boot` suite.
        flaky: the flakiest first.
        failed: whether the night failed by its `--fail-on`.
        notes: lines that a reader must see, such as a history that could not be written.
        properties: facts about the run: version of lkltest, name, configuration file's name.
    """

    night_id: str
    started: float
    baseline_id: str | None
    machine: str
    cells: tuple[CellView, ...]
    changes: tuple[Change, ...] = ()
    histories: Mapping[str, PointHistory] = field(default_factory=dict)
    suite_trends: Mapping[tuple[str, str, str], tuple[TrendPoint, ...]] = field(
        default_factory=dict
    )
    boot_trends: Mapping[tuple[str, str], tuple[TrendPoint, ...]] = field(default_factory=dict)
    flaky: tuple[FlakyPoint, ...] = ()
    seconds: float = 0.0
    failed: bool = False
    notes: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
