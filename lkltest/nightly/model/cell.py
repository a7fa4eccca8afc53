# SPDX-License-Identifier: GPL-2.0-only
"""A cell of the matrix, and what came of it; pure data that travels as JSON."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lkltest.verdict.results import Outcome, SuiteResult, suite_title


class CellOutcome(StrEnum):
    """The outcome of a cell; ERROR is error of the harness or the machine, not of a test."""

    PASSED = "passed"
    FAILED = "failed"
    SKIPPED = "skipped"
    ERROR = "error"


@dataclass(frozen=True, slots=True)
class Cell:
    """One suite variant on one host with one build, and how it is to be run.

    Attributes:
        build: the name that the configuration gives; `path` its directory, None for the default
            build of the host.
        timeout: seconds for one program; `limit` for the whole process of one repeat.
        repeat: how many times it is run, each in a process of its own.
        environment: added to that process's.
        options: hosts' options (`--lkl-qemu-...`) for its command line.
        commit: the kernel's, "" to find it out.
        source: the suite's file, "" for one that is installed.
        coverage: the build was made for gcov, whose data is gathered.
    """

    build: str
    host: str
    suite: str
    variant: str = ""
    path: str | None = None
    timeout: float = 180.0
    limit: float = 780.0
    repeat: int = 1
    environment: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()
    commit: str = ""
    source: str = ""
    coverage: bool = False

    @property
    def title(self) -> str:
        """`disk[ext4]`."""
        return suite_title(self.suite, self.variant)

    @property
    def id(self) -> str:
        """`disk[ext4]@native#stable`."""
        return f"{self.title}@{self.host}#{self.build}"

    def run_words(self) -> list[str]:
        """The words after `lkltest` that run it once, for a process or for people."""
        words = ["run", *filter(None, [self.source]), self.title, "--host", self.host]
        if self.path is not None:
            words += ["--build", self.path]
        return [*words, *self.options]


@dataclass(frozen=True, slots=True)
class CellRecord:
    """The record of a cell that has ended.

    Attributes:
        results: a tree for each repeat that brought one.
        error: one line, when a repeat brought none: error of the harness or the machine.
        log: the end of what that process said.
        started, seconds: of the whole cell.
        machine, arch: where it ran: a name (the node's), `x86_64`.
        coverage: the lines of each folder of the kernel, and how many of them were run.
    """

    cell: Cell
    results: tuple[SuiteResult, ...] = ()
    error: str = ""
    log: str = ""
    started: float = 0.0
    seconds: float = 0.0
    machine: str = ""
    arch: str = ""
    coverage: Mapping[str, tuple[int, ...]] = field(default_factory=dict)

    @property
    def outcome(self) -> CellOutcome:
        """ERROR when a repeat brought nothing, else FAILED when one failed, ..."""
        if self.error or not self.results:
            return CellOutcome.ERROR
        outcomes = {result.outcome for result in self.results}
        if Outcome.FAILED in outcomes:
            return CellOutcome.FAILED
        return CellOutcome.SKIPPED if outcomes == {Outcome.SKIPPED} else CellOutcome.PASSED

    @property
    def commit(self) -> str:
        """The kernel's commit, "" when it is not known."""
        said = (result.properties.get("commit", "") for result in self.results)
        return self.cell.commit or next(filter(None, said), "")
