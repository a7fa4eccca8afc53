# SPDX-License-Identifier: GPL-2.0-only
"""The changes from one night to another: each point in a class of its own. Pure.

Only what is alike is compared: ids hold host and build, and histories are of one architecture and
their times of one machine (see `lkltest.nightly.history.queries`).
"""

from __future__ import annotations

import itertools
import re
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace

from lkltest.nightly.compare.flaky import Evidence, Health, became_flaky, evidence, health
from lkltest.nightly.compare.known import Known, KnownFailure
from lkltest.nightly.compare.slowness import Step, step
from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.model.change import CellState, Change, ChangeKind, PointHistory, PointState
from lkltest.nightly.model.rows import ended_run, is_problem
from lkltest.verdict.results import Outcome

Cells = Mapping[str, CellState]
Histories = Mapping[str, PointHistory]

EVENT = 5
"""So many points that become slower in one night have one cause, which is mostly the machine."""

_VARYING = re.compile(r"0x[0-9a-f]+|[0-9]+(?:[.,:][0-9]+)*")
"""Numbers in a reason: times, addresses, processes, lines."""

_SLOWER = (ChangeKind.SLOWER, ChangeKind.STILL_SLOWER)

_QUIET = 5
"""Nights for which a slow-down that was told is not told again."""


def compare(now: Cells, before: Cells | None, histories: Histories, known: Known) -> list[Change]:
    """Return the changes in the order of `ChangeKind`, then as they come.

    Args:
        now, before: the nights, by cell id; None when there is nothing to compare with: then every
            failure is a new one.
        histories: by id of points (and of cells), this night's runs last.
    """
    changes: list[Change] = []
    for cell_id, cell in now.items():
        changes += _of_cell(cell_id, cell, before, histories, known)
    for cell_id in before or {}:
        if cell_id not in now:
            reason = "it is not in the matrix"
            was = _outcome(before, cell_id)
            changes.append(Change(ChangeKind.VANISHED, cell_id, reason, before=was))
    changes += _expired(now, changes, known)
    order = {kind: number for number, kind in enumerate(ChangeKind)}
    return sorted(_events_told_before(changes), key=lambda change: order[change.kind])


def counts(changes: list[Change]) -> Counter[ChangeKind]:
    """The number of changes of each kind."""
    return Counter(change.kind for change in changes)


def _of_cell(
    cell_id: str, cell: CellState, before: Cells | None, histories: Histories, known: Known
) -> Iterator[Change]:
    old = (before or {}).get(cell_id)
    if cell.outcome is CellOutcome.ERROR:
        yield _change(ChangeKind.ERROR, cell_id, cell.reason, old, cell)
        return
    if cell.outcome is CellOutcome.SKIPPED and not cell.points:
        if old is not None and (old.points or old.outcome is not CellOutcome.SKIPPED):
            yield _change(ChangeKind.NEWLY_SKIPPED, cell_id, cell.reason, old, cell)
        return
    if before is not None and old is None:
        yield _change(ChangeKind.ADDED, cell_id, f"{len(cell.points)} points", None, cell)
    names = dict.fromkeys([*cell.points, *(old.points if old is not None else ())])
    said = set()
    for name in names:
        point = _Point(f"{cell_id}/{name}", name, cell, old, histories.get(f"{cell_id}/{name}"))
        change = point.known_change(known) or point.change(known)
        if change is not None and change.id not in said:
            said.add(change.id)  # an entry for many points passes but once
            yield change
    change = _timed(cell_id, histories.get(cell_id), known)
    if change is not None:
        yield change


@dataclass(frozen=True, slots=True)
class _Point:
    """A point that is there now, or was."""

    id: str
    name: str
    cell: CellState
    old_cell: CellState | None
    history: PointHistory | None

    @property
    def now(self) -> PointState | None:
        return self.cell.points.get(self.name)

    @property
    def old(self) -> PointState | None:
        return self.old_cell.points.get(self.name) if self.old_cell is not None else None

    def known_change(self, known: Known) -> Change | None:
        found = known.find(self.id)
        if found is None or (self.now is None and not is_problem(self.name)):
            return None
        if self.now is None or self.now.outcome is Outcome.PASSED:
            return self._outdated(found)
        if self.now.outcome is not Outcome.FAILED:
            return None
        if found.expired(known.today):
            return self._change(ChangeKind.EXPIRED, f"expired on {found.expires}: {found.text()}")
        return self._change(ChangeKind.KNOWN, _joined(found.text(), self.now.reason))

    def _outdated(self, found: KnownFailure) -> Change | None:
        """The change of a pass; None if the same entry is about something here that still fails."""
        cell_id = self.id.removesuffix(f"/{self.name}")
        for name, point in self.cell.points.items():
            if point.outcome is Outcome.FAILED and found.fits(f"{cell_id}/{name}"):
                return None
        reason = f"no longer fails, remove it: {found.text()}"
        return replace(self._change(ChangeKind.OUTDATED, reason), id=f"{cell_id}/{found.point}")

    def change(self, known: Known) -> Change | None:
        now, old = self.now, self.old
        if now is None or now.outcome is Outcome.FAILED:
            return self._absent(known) if now is None else self._failing(now)
        if old is not None and old.outcome is Outcome.FAILED and now.outcome is not Outcome.SKIPPED:
            return self._recovered(old.reason)
        if (
            now.outcome is Outcome.SKIPPED
            and old is not None
            and old.outcome is not Outcome.SKIPPED
        ):
            return self._change(ChangeKind.NEWLY_SKIPPED, now.reason)
        if old is None and self.old_cell is not None and self.old_cell.points:
            return None if self._returns() else self._change(ChangeKind.ADDED, "")
        return _timed(self.id, self.history, known)

    def _absent(self, known: Known) -> Change | None:
        """The change of a point that is absent: as known, where a known crash came before it."""
        if is_problem(self.name):
            return self._recovered("")
        cell_id = self.id.removesuffix(f"/{self.name}")
        ends = [name for name, p in self.cell.points.items() if ended_run(name, p.reason)]
        entries = [known.find(f"{cell_id}/{name}") for name in ends]
        expected = ends and all(e is not None and not e.expired(known.today) for e in entries)
        return self._change(
            ChangeKind.KNOWN if expected else ChangeKind.VANISHED,
            f"the run ended with {ends[0]}" if ends else "it is not in this run",
        )

    def _returns(self) -> bool:
        """Whether it was only missing because the last run crashed before it."""
        before = self.old_cell.points if self.old_cell is not None else {}
        crashed = any(ended_run(name, point.reason) for name, point in before.items())
        return crashed and bool(self._earlier())

    def _recovered(self, reason: str) -> Change:
        if health(self._earlier()) is Health.FLAKY:
            found = evidence(self._earlier())
            return self._change(ChangeKind.FLAKY, f"passes, before failed {found.all_failures}")
        return self._change(ChangeKind.FIXED, reason)

    def _failing(self, now: PointState) -> Change:
        """New when it is first known to be broken, whatever the night before said of chance."""
        outcomes = self.history.outcomes if self.history is not None else (Outcome.FAILED,)
        found, why = evidence(outcomes), now.reason or "not ok"
        tonight = self._tonight()
        if found.failures and not found.broken:
            since = became_flaky(self._by_night())
            kind = ChangeKind.NEW_FAILURE if since else ChangeKind.FLAKY
            return self._change(kind, _joined(since or tonight or str(found), why))
        said = str(found) if found.failures else tonight
        failed_before = self.old is not None and self.old.outcome is Outcome.FAILED
        known = health(self._earlier()) is Health.BROKEN if self._earlier() else failed_before
        if known and (failed_before or self._returns()):
            since = f"since {self._first_night(found)}" if found.row > 1 else ""
            before = self.old.reason if self.old is not None and failed_before else ""
            if before and not _alike(before, why):
                why = f"now {why}, before {before}"
            else:
                before = ""
            change = self._change(ChangeKind.STILL_FAILING, _joined(since, said, why))
            change = replace(change, reason_before=before)
        else:
            change = self._change(ChangeKind.NEW_FAILURE, _joined(said, why))
        return self._with_first_range(change, found)

    def _earlier(self) -> tuple[Outcome | CellOutcome, ...]:
        """The outcomes of the nights before this one."""
        if self.history is None or not self.history.nights:
            return ()
        tonight = self.history.nights[-1]
        return self.history.outcomes[: self.history.nights.index(tonight)]

    def _by_night(self) -> list[tuple[Outcome | CellOutcome, ...]]:
        """The outcomes of each night's runs."""
        if self.history is None:
            return []
        runs = zip(self.history.nights, self.history.outcomes, strict=True)
        nights = itertools.groupby(runs, key=lambda run: run[0])
        return [tuple(outcome for _, outcome in night) for _, night in nights]

    def _tonight(self) -> str:
        """`failed 1 of 4 runs tonight`, "" where there was one."""
        runs = self._by_night()[-1:]
        if not runs or len(runs[0]) < 2:
            return ""
        return f"failed {runs[0].count(Outcome.FAILED)} of {len(runs[0])} runs tonight"

    def _first_night(self, found: Evidence) -> str:
        places = self._failing_places(found)
        return self.history.nights[places[0]] if self.history is not None and places else ""

    def _failing_places(self, found: Evidence) -> list[int]:
        """The places in the history of the failures in a row at its end."""
        outcomes = self.history.outcomes if self.history is not None else ()
        failed = [n for n, outcome in enumerate(outcomes) if outcome == Outcome.FAILED]
        return failed[len(failed) - found.row :]

    def _with_first_range(self, change: Change, found: Evidence) -> Change:
        """The change with the commits between which the failures in a row began."""
        places = self._failing_places(found)
        if self.history is None or len(self.history.commits) <= 1 or len(places) < 2:
            return change
        commits = self.history.commits
        before = commits[places[0] - 1] if places[0] else ""
        return replace(change, commit_before=before, commit_after=commits[places[0]])

    def _change(self, kind: ChangeKind, reason: str) -> Change:
        now, old = self.now, self.old
        return Change(
            kind,
            self.id,
            reason,
            before=old.outcome if old else None,
            after=now.outcome if now else None,
            seconds_before=old.seconds if old else None,
            seconds_after=now.seconds if now else None,
            commit_before=self.old_cell.commit if self.old_cell else "",
            commit_after=self.cell.commit,
        )


def _timed(result_id: str, history: PointHistory | None, known: Known) -> Change | None:
    """Changes of speed, each told once; as long as a slow-down lasts, it is "still slower"."""
    times = nightly_seconds(history) if history is not None else []
    found = step(times)
    if found is None or history is None:
        return None
    said = any(_same(found, step(times[:-nights])) for nights in range(1, _QUIET + 1))
    if said and not found.slower:
        return None
    nights = _nights_with_times(history)
    since, before = nights[-found.nights], nights[-found.nights - 1]
    commits = dict(zip(history.nights, history.commits, strict=False))
    reason = f"{found.factor:.2f} times as {'slow' if found.slower else 'long'} since {since}"
    change = Change(
        ChangeKind.SLOWER if found.slower else ChangeKind.FASTER,
        result_id,
        reason,
        before=Outcome.PASSED,
        after=Outcome.PASSED,
        seconds_before=found.before,
        seconds_after=found.after,
        commit_before=commits.get(before, ""),
        commit_after=commits.get(since, ""),
        machine=history.machine,
        since=since,
    )
    entry = known.slower(result_id) if found.slower else None
    if entry is not None:
        return replace(change, kind=ChangeKind.STILL_SLOWER, reason=f"{reason}: {entry.text()}")
    return replace(change, kind=ChangeKind.STILL_SLOWER) if said else change


def _same(one: Step, other: Step | None) -> bool:
    return other is not None and one.slower is other.slower


def _events_told_before(changes: list[Change]) -> Iterator[Change]:
    """The changes without slow-downs that an event on their machine told of before."""
    slow = [change for change in changes if change.kind is ChangeKind.STILL_SLOWER]
    events = Counter((change.machine, change.since) for change in slow)
    for change in changes:
        place = (change.machine, change.since)
        told = change.kind is ChangeKind.SLOWER and events[place] >= EVENT
        yield replace(change, kind=ChangeKind.STILL_SLOWER) if told else change


def _nights_with_times(history: PointHistory) -> list[str]:
    timed = zip(history.nights, history.seconds, strict=True)
    return list(dict.fromkeys(night for night, seconds in timed if seconds is not None))


def nightly_seconds(history: PointHistory) -> list[float]:
    """Return a time for each night that has one, empty when the last has none: the median."""
    if len(set(history.nights)) == len(history.nights):
        told = [seconds for seconds in history.seconds if seconds is not None]
        return told if told and history.seconds[-1] is not None else []
    nights: dict[str, list[float]] = {}
    for night, seconds in zip(history.nights, history.seconds, strict=True):
        if seconds is not None:
            nights.setdefault(night, []).append(seconds)
    if not history.nights or history.nights[-1] not in nights:
        return []
    return [sorted(times)[len(times) // 2] for times in nights.values()]


def _change(
    kind: ChangeKind, cell_id: str, reason: str, old: CellState | None, now: CellState
) -> Change:
    return Change(
        kind,
        cell_id,
        reason,
        before=old.outcome if old else None,
        after=now.outcome,
        seconds_before=old.seconds if old else None,
        seconds_after=now.seconds,
        commit_before=old.commit if old else "",
        commit_after=now.commit,
    )


def _alike(one: str, other: str) -> bool:
    """Whether two reasons say the same, whatever their numbers."""
    return _VARYING.sub("0", one) == _VARYING.sub("0", other)


def _joined(*parts: str) -> str:
    return ": ".join(part for part in parts if part)


def _outcome(cells: Cells | None, cell_id: str) -> CellOutcome | None:
    return cells[cell_id].outcome if cells else None


def _expired(now: Cells, changes: list[Change], known: Known) -> list[Change]:
    """The expired entries to be looked at: those of failing points say it themselves."""
    failing = [
        f"{cell_id}/{name}"
        for cell_id, cell in now.items()
        for name, point in cell.points.items()
        if point.outcome is Outcome.FAILED
    ]
    slow = [change.id for change in changes if change.kind in _SLOWER]
    found = []
    for entry in known.failures:
        fits = any(map(entry.fits, slow if entry.slower else failing))
        if entry.expired(known.today) and (entry.slower or not fits):
            nothing = f"nothing {'is slower' if entry.slower else 'fails'}: remove it"
            reason = f"expired on {entry.expires}, and {'it is slower' if fits else nothing}"
            found.append(Change(ChangeKind.EXPIRED, entry.pattern, reason))
    return found
