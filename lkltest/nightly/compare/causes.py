# SPDX-License-Identifier: GPL-2.0-only
"""The changes of a night gathered by what most likely caused them: a line each. Pure.

A run that crashed brings its problems (`(signal)`, `(plan)`) and the points that it did not reach:
one cause. The same change of the same point on several hosts, builds or variants is one, too.
"""

from __future__ import annotations

import statistics
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass

from lkltest.nightly.compare.compare import EVENT
from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.nightly.model.ids import split_id
from lkltest.nightly.model.rows import ended_run, problem_name
from lkltest.verdict.results import ProblemKind

_ALONE = frozenset({ChangeKind.EXPIRED, ChangeKind.OUTDATED})
"""Kinds of which each change needs a look of its own."""

_TIMED = frozenset({ChangeKind.SLOWER, ChangeKind.STILL_SLOWER, ChangeKind.FASTER})

_CONSEQUENCES = frozenset(
    problem_name(kind)
    for kind in (ProblemKind.PLAN_NOT_MET, ProblemKind.NO_PLAN, ProblemKind.EXIT_STATUS)
)
"""Problems that mostly follow from another one."""


@dataclass(frozen=True, slots=True)
class Cause:
    """The changes with one cause; the first of them speaks for all."""

    changes: tuple[Change, ...]

    @property
    def lead(self) -> Change:
        """The change that is shown."""
        return self.changes[0]

    @property
    def cells(self) -> tuple[str, ...]:
        """The ids of the cells that are hit, the lead's first."""
        return tuple(dict.fromkeys(split_id(change.id)[0] for change in self.changes))

    @property
    def extent(self) -> str:
        """`13 points; also in disk[xfs]@native#b and 2 more cells`, "" for a single one."""
        if self.lead.kind in _TIMED and len(self.changes) >= EVENT:
            return self._event()
        others = self.cells[1:]
        parts = [f"{len(self.changes)} points"] if len(self.changes) > len(self.cells) else []
        if others:
            shown = others if len(others) < 4 else others[:2]
            more = f" and {len(others) - 2} more cells" if len(shown) < len(others) else ""
            parts.append(f"also in {', '.join(shown)}{more}")
        return "; ".join(parts)

    def _event(self) -> str:
        """`331 points in 12 cells on vm-2, about 1.40 times as slow: the machine?`."""
        factors = [
            change.seconds_after / change.seconds_before
            for change in self.changes
            if change.seconds_before and change.seconds_after
        ]
        several = len({cell.partition("@")[0] for cell in self.cells}) > 1
        cells = f"{len(self.cells)} cells" if len(self.cells) > 1 else self.cells[0]
        times = f", about {statistics.median(factors):.2f} times" if factors else ""
        machine = f" on {self.lead.machine}" if self.lead.machine else ""
        question = ": the machine?" if several else ""
        return f"{len(self.changes)} points in {cells}{machine}{times}{question}"


def causes(changes: Iterable[Change]) -> list[Cause]:
    """Gather the changes, in the order of the first of each cause."""
    groups: dict[tuple[str, ...], list[Change]] = {}
    ordered = list(changes)
    slow = Counter((change.kind, change.machine) for change in ordered if change.kind in _TIMED)
    for crash in _crashes(ordered):
        place = (crash[0].kind, crash[0].machine)
        key = place if slow[place] >= EVENT else _key(crash[0])
        groups.setdefault(key, []).extend(crash)
    return [Cause(tuple(sorted(group, key=_is_as_before))) for group in groups.values()]


def _is_as_before(change: Change) -> bool:
    """A sort key: the change that fails for another reason than before speaks for all."""
    return not change.reason_before


def _crashes(changes: Iterable[Change]) -> list[list[Change]]:
    """Each change alone, but the problems of a run with the points that it did not reach."""
    found: dict[tuple[str, ...], list[Change]] = {}
    crashed: dict[str, tuple[str, ...]] = {}
    ordered = list(changes)
    for change in ordered:
        cell, point = split_id(change.id)
        if ended_run(point, change.reason) and change.kind not in _ALONE:
            key = (cell, change.kind)
            found.setdefault(key, []).append(change)
            if change.after is not None:
                crashed[cell] = key
        else:
            found[change.id, change.kind] = [change]
    for change in ordered:
        cell, point = split_id(change.id)
        if _not_reached(change) and point and cell in crashed:
            found[crashed[cell]] += found.pop((change.id, change.kind))
    return [_lead_first(group) for group in found.values()]


def _not_reached(change: Change) -> bool:
    """Whether the point is not there, and was."""
    gone = change.after is None and change.before is not None
    return change.kind is ChangeKind.VANISHED or (change.kind is ChangeKind.KNOWN and gone)


def _lead_first(group: Sequence[Change]) -> list[Change]:
    def follows(change: Change) -> bool:
        return split_id(change.id)[1] in _CONSEQUENCES or _not_reached(change)

    return sorted(group, key=follows)


def _key(change: Change) -> tuple[str, ...]:
    """The properties that the same change has elsewhere, too."""
    cell, point = split_id(change.id)
    if change.kind in _ALONE:
        return (change.kind, change.id)
    suite = cell.partition("@")[0].partition("[")[0]
    return (change.kind, suite, point or change.reason)
