# SPDX-License-Identifier: GPL-2.0-only
"""The model of a night that every report shows; pure data.

All times are seconds; moments are seconds since the epoch. A *night* is one run of the matrix, a
*cell* one suite variant on one host with one build. Ids of points are result ids with the build:
`disk[ext4]@native#stable/readdir`.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

from lkltest.nightly.compare.coverage import CoverageRow
from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.model.change import Change, PointHistory
from lkltest.verdict.results import SuiteResult, suite_title


@dataclass(frozen=True, slots=True)
class CellModel:
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
        path: the build's, "" for the default one of the host.
        known: reasons of the points (by name) whose failure is known.
        options: hosts' options with which it was run.
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
    path: str = ""
    known: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()

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
class NightModel:
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
        flaky: the flakiest first.
        failed: whether the night failed by its `--fail-on`.
        notes: lines that a reader must see, such as a history that could not be written.
        notes_before: those of the night before.
        properties: facts about the run: version of lkltest, name, configuration file's name.
        coverage: the lines that each cell has run, of builds made for it.
    """

    night_id: str
    started: float
    baseline_id: str | None
    machine: str
    cells: tuple[CellModel, ...]
    changes: tuple[Change, ...] = ()
    histories: Mapping[str, PointHistory] = field(default_factory=dict)
    suite_trends: Mapping[tuple[str, str, str], tuple[TrendPoint, ...]] = field(
        default_factory=dict
    )
    flaky: tuple[FlakyPoint, ...] = ()
    seconds: float = 0.0
    failed: bool = False
    notes: tuple[str, ...] = ()
    notes_before: tuple[str, ...] = ()
    properties: Mapping[str, str] = field(default_factory=dict)
    coverage: tuple[CoverageRow, ...] = ()
