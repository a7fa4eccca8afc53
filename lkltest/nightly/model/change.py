# SPDX-License-Identifier: GPL-2.0-only
"""The points and cells of two nights, and how they differ; pure data."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum

from lkltest.nightly.model.cell import CellOutcome
from lkltest.verdict.results import Outcome


@dataclass(frozen=True, slots=True)
class PointState:
    """One point in one night: the worst outcome of its repeats, and why."""

    outcome: Outcome
    reason: str = ""
    seconds: float | None = None


@dataclass(frozen=True, slots=True)
class CellState:
    """One cell in one night; `points` by name."""

    outcome: CellOutcome
    reason: str = ""
    seconds: float | None = None
    commit: str = ""
    points: Mapping[str, PointState] = field(default_factory=dict)


class ChangeKind(StrEnum):
    """A point's difference from the baseline; the value is for people and for `--fail-on`.

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
    STILL_SLOWER = "still-slower"
    FLAKY = "flaky"
    OUTDATED = "outdated"
    FIXED = "fixed"
    FASTER = "faster"
    ADDED = "added"
    KNOWN = "known"


@dataclass(frozen=True, slots=True)
class PointHistory:
    """The nights of one point on one platform, oldest first; this night's is the last.

    The three tuples have one length. A cell that brought no result has CellOutcome.ERROR.
    """

    id: str
    outcomes: tuple[Outcome | CellOutcome, ...]
    seconds: tuple[float | None, ...]
    nights: tuple[str, ...]
    commits: tuple[str, ...] = ()
    """The kernel's, "" where unknown; empty when none is known."""
    machine: str = ""
    """The one whose times these are."""


@dataclass(frozen=True, slots=True)
class Change:
    """One point that is worth a line.

    Attributes:
        id: of the point, or of the cell for an ERROR.
        reason: one line: the failure, or by how much it is slower.
        before, after: outcome in the baseline and now; None where it was not there.
        seconds_before, seconds_after: the usual time and this night's.
        commit_before, commit_after: the kernel's commits, "" when unknown.
        culprit: what a search for the commit found, in words.
        reason_before: of what fails as it did, but for another reason: the baseline's.
        machine, since: of what became slower or faster: where, and the first night.
    """

    kind: ChangeKind
    id: str
    reason: str = ""
    before: Outcome | CellOutcome | None = None
    after: Outcome | CellOutcome | None = None
    seconds_before: float | None = None
    seconds_after: float | None = None
    commit_before: str = ""
    commit_after: str = ""
    machine: str = ""
    since: str = ""
    culprit: str = ""
    reason_before: str = ""

    @property
    def commits(self) -> str:
        """`1a2b3c4..5d6e7f8`, the range to look into; "" when unknown.

        Of what fails for longer, the range of its first night; of flaky points none.
        """
        kept = self.since or self.kind in (ChangeKind.STILL_FAILING, ChangeKind.NEW_FAILURE)
        if not kept and self.before == self.after:
            return ""
        if not (self.commit_before or self.commit_after):
            return ""
        return f"{self.commit_before[:12] or 'unknown'}..{self.commit_after[:12] or 'unknown'}"
