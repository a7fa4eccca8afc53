# SPDX-License-Identifier: GPL-2.0-only
"""The queries between a night's records and the history: the rows kept, the nights compared."""

from __future__ import annotations

import math
import re
import statistics
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from lkltest.errors import LkltestError
from lkltest.nightly.history.store import History, RunRow
from lkltest.nightly.model.cell import CellOutcome, CellRecord
from lkltest.nightly.model.change import CellState, PointHistory, PointState
from lkltest.nightly.model.rows import is_problem, point_rows
from lkltest.verdict.results import Outcome, SuiteResult

NIGHTS = 62
"""The number of nights that a point's history goes back."""

_IN_RELEASE = re.compile(r"-g([0-9a-f]{7,40})(?:-dirty)?\b")
_EARLIER = "SELECT night FROM nights WHERE started < ? AND finished IS NOT NULL AND night != ?"
_LAST = " ORDER BY started DESC LIMIT 1"
_DATE = re.compile(r"\d{4}-\d{2}-\d{2}")
_Result = tuple[Outcome | CellOutcome, float | None]
"""Outcome and seconds of one run."""

_OUTCOMES = {outcome.value: outcome for outcome in Outcome}
_WORST = (Outcome.FAILED, Outcome.PASSED, Outcome.TODO, Outcome.SKIPPED)


class NoBaseline(LkltestError):
    """A night to compare with that is not there; the message is one line."""


@dataclass(frozen=True, slots=True)
class Platform:
    """A cell's machine: outcomes are compared within `arch`, times within `machine` too."""

    arch: str
    machine: str


def run_rows(record: CellRecord) -> list[RunRow]:
    """The rows that are kept of a cell: one for each repeat, and one for an error."""
    found = [_row(record, number, result) for number, result in enumerate(record.results)]
    if record.error or not found:
        found.append(_row(record, len(found), None))
    return found


def _row(record: CellRecord, repeat: int, result: SuiteResult | None) -> RunRow:
    cell = record.cell
    facts: Mapping[str, str] = result.properties if result is not None else {}
    kernel = facts.get("kernel", "")
    return RunRow(
        cell=cell.id,
        build=cell.build,
        host=cell.host,
        suite=cell.suite,
        variant=cell.variant,
        repeat=repeat,
        outcome="error" if result is None else result.outcome.value,
        seconds=record.seconds if result is None else result.seconds,
        started=record.started if result is None else result.started,
        kernel=kernel,
        revision=record.commit or commit_of_release(kernel),
        compiler=facts.get("compiler", ""),
        machine=record.machine,
        arch=record.arch,
        reason=record.error if result is None else result.skip or "",
        results=[]
        if result is None
        else [(row.name, row.outcome.value, row.seconds, row.reason) for row in point_rows(result)],
    )


def commit_of_release(release: str) -> str:
    """Return the commit that a kernel's release names (`6.12.0-rc1-00012-g1234567`), or ""."""
    match = _IN_RELEASE.search(release)
    return match[1] if match else ""


def cells_of(history: History, night: str) -> dict[str, CellState]:
    """The cells of a night, in the order in which they were kept."""
    runs = history.rows(
        "SELECT runs.id FROM runs JOIN nights ON nights.id = runs.night WHERE nights.night = ?",
        (night,),
    )
    return _states(history, [run for (run,) in runs])


def platforms_of(history: History, night: str) -> dict[str, Platform]:
    """The platform of each cell of a night."""
    found = history.rows(
        "SELECT cells.cell, runs.arch, runs.machine FROM runs"
        " JOIN nights ON nights.id = runs.night JOIN cells ON cells.id = runs.cell"
        " WHERE nights.night = ? ORDER BY runs.repeat",
        (night,),
    )
    return {cell: Platform(arch, machine) for cell, arch, machine in found}


def commits_of(history: History, night: str) -> dict[tuple[str, str], str]:
    """The kernel's commits by cell and night, as far as they are known, up to `night`."""
    found = history.rows(
        "SELECT cells.cell, nights.night, runs.revision FROM runs"
        " JOIN nights ON nights.id = runs.night JOIN cells ON cells.id = runs.cell"
        " WHERE runs.revision != '' AND nights.id IN (SELECT id FROM nights WHERE started <="
        " (SELECT started FROM nights WHERE night = ?) ORDER BY started DESC LIMIT ?)",
        (night, NIGHTS),
    )
    return {(cell, name): revision for cell, name, revision in found}


def baseline_of(history: History, night: str, wanted: str | None) -> str | None:
    """The night that `night` is to be compared with; None when there is no earlier one.

    Args:
        wanted: None for the previous one of the same name; the id of a night; a date, for the last
            one that began on that day or before; or a commit, for the last one that ran it.

    Raises:
        NoBaseline: for one that was asked for and is not there.
    """
    at, name = _night(history, night)
    if wanted is not None:
        return named_night(history, wanted, at, night)
    found = history.rows(f"{_EARLIER} AND name = ?{_LAST}", (at, night, name))
    return found[0][0] if found else None


def named_night(history: History, wanted: str, before: float = math.inf, but: str = "") -> str:
    """The night that an id means, or the last one that a date or a commit does. Raises NoBaseline.

    before: a moment; but: a night. A date or a commit means one before, and not that one.
    """
    if history.rows("SELECT 1 FROM nights WHERE night = ?", (wanted,)):
        return wanted
    if _DATE.fullmatch(wanted):
        where = " AND date(started, 'unixepoch', 'localtime') <= ?"
        found = history.rows(_EARLIER + where + _LAST, (before, but, wanted))
    else:
        where = (
            " AND id IN (SELECT night FROM runs WHERE revision != ''"
            " AND (revision = ? OR ? AND instr(revision, ?) = 1))"
        )
        shortened = re.fullmatch(r"[0-9a-f]{6,40}", wanted) is not None
        values = (before, but, wanted, shortened, wanted)
        found = history.rows(_EARLIER + where + _LAST, values)
    if not found:
        raise NoBaseline(f"no night {wanted!r}: neither the id, nor an earlier date or commit")
    return str(found[0][0])


def baseline_cells(
    history: History, night: str, platforms: Mapping[str, Platform]
) -> dict[str, CellState]:
    """The cells of a baseline, on the platforms of the night that is compared with it.

    A cell that brought nothing then, or ran on another platform, is that of the last night before
    which has it.
    """
    at, _ = _night(history, night)
    kept = {
        cell: (Platform(arch, ""), run_night)
        for cell, arch, run_night in history.rows(
            "SELECT cells.cell, runs.arch, runs.night FROM runs"
            " JOIN nights ON nights.id = runs.night JOIN cells ON cells.id = runs.cell"
            " WHERE nights.night = ?",
            (night,),
        )
    }
    runs: list[int] = []
    for cell in dict.fromkeys([*platforms, *kept]):
        arch = platforms[cell].arch if cell in platforms else kept[cell][0].arch
        runs += _last_runs(history, cell, arch, at)
    return _states(history, runs)


def _last_runs(history: History, cell: str, arch: str, until: float) -> list[int]:
    """The repeats of a cell in the last night that has a result of it."""
    found = history.rows(
        "SELECT runs.id, runs.night FROM runs JOIN cells ON cells.id = runs.cell"
        " JOIN nights ON nights.id = runs.night"
        " WHERE cells.cell = ? AND runs.arch = ? AND nights.started <= ?"
        " AND runs.outcome != 'error' ORDER BY nights.started DESC LIMIT 100",
        (cell, arch, until),
    )
    return [run for run, night in found if night == found[0][1]]


def histories_of(
    history: History, night: str, platforms: Mapping[str, Platform]
) -> dict[str, PointHistory]:
    """The last `NIGHTS` nights of every cell (by its id) and every point of it, `night` included.

    Times are those of passes on the same machine; others are None.
    """
    found: dict[str, PointHistory] = {}
    at, _ = _night(history, night)
    for cell, platform in platforms.items():
        found.update(_of_cell(history, cell, platform, at))
    return found


def _of_cell(
    history: History, cell: str, platform: Platform, until: float
) -> dict[str, PointHistory]:
    runs = history.rows(
        "SELECT runs.id, nights.night, runs.machine, runs.outcome, runs.seconds, runs.revision"
        " FROM runs JOIN cells ON cells.id = runs.cell JOIN nights ON nights.id = runs.night"
        " WHERE cells.cell = ? AND runs.arch = ? AND nights.started <= ?"
        " ORDER BY nights.started DESC, runs.repeat DESC LIMIT ?",
        (cell, platform.arch, until, NIGHTS * 10),
    )
    last = list(dict.fromkeys(run[1] for run in runs))[:NIGHTS]
    runs = [run for run in reversed(runs) if run[1] in last]
    points: dict[str, dict[int, _Result]] = {}
    for run, *_ in runs:
        for name, outcome, seconds in _results(history, run):
            points.setdefault(name, {})[run] = (_OUTCOMES[outcome], seconds)
    found = {
        cell: _history(
            cell, runs, platform, {run[0]: (CellOutcome(run[3]), run[4]) for run in runs}
        )
    }
    columns = tuple(zip(*runs, strict=True))
    for name, results in points.items():
        if len(results) == len(runs):  # mostly, and then it can be quick
            whole = _whole_history(f"{cell}/{name}", columns, platform, list(results.values()))
            found[whole.id] = whole
            continue
        absent = (Outcome.PASSED, None) if is_problem(name) else None
        point_id = f"{cell}/{name}"
        found[point_id] = _history(point_id, runs, platform, results, absent)
    return found


def _history(
    point_id: str,
    runs: Sequence[tuple[Any, ...]],
    platform: Platform,
    results: Mapping[int, _Result],
    absent: _Result | None = None,
) -> PointHistory:
    kept = []
    for run, night, machine, run_outcome, _, commit in runs:
        result = results.get(run, None if run_outcome == CellOutcome.ERROR else absent)
        if result is not None:
            timed = result[0] == Outcome.PASSED and machine == platform.machine
            kept.append((result[0], result[1] if timed else None, night, commit))
    outcomes, seconds, nights, commits = zip(*kept, strict=True) if kept else ((), (), (), ())
    return PointHistory(point_id, outcomes, seconds, nights, commits, platform.machine)


def _whole_history(
    point_id: str, runs: Sequence[tuple[Any, ...]], platform: Platform, results: Sequence[_Result]
) -> PointHistory:
    """The history of a point that was in every run, in their order; `runs` by columns."""
    _, nights, machines, _, _, commits = runs
    seconds = tuple(
        [
            took if outcome == Outcome.PASSED and machine == platform.machine else None
            for (outcome, took), machine in zip(results, machines, strict=True)
        ]
    )
    outcomes = tuple([outcome for outcome, _ in results])
    return PointHistory(point_id, outcomes, seconds, nights, commits, platform.machine)


def _results(history: History, run: int) -> list[tuple[Any, ...]]:
    return history.rows(
        "SELECT points.name, results.outcome, results.seconds FROM results"
        " JOIN points ON points.id = results.point WHERE results.run = ?",
        (run,),
    )


def _states(history: History, runs: Sequence[int]) -> dict[str, CellState]:
    found: dict[str, list[tuple[Any, ...]]] = {}
    for run in runs:
        found_runs = history.rows(
            "SELECT cells.cell, runs.outcome, runs.reason, runs.seconds, runs.revision, runs.id"
            " FROM runs JOIN cells ON cells.id = runs.cell WHERE runs.id = ?",
            (run,),
        )
        for row in found_runs:
            found.setdefault(row[0], []).append(row[1:])
    return {cell: _state(history, repeats) for cell, repeats in found.items()}


def _state(history: History, repeats: Sequence[tuple[Any, ...]]) -> CellState:
    outcomes = {repeat[0] for repeat in repeats}
    worst = next(o for o in (CellOutcome.ERROR, *_WORST) if o in outcomes)
    points: dict[str, list[tuple[Any, ...]]] = {}
    for *_, run in repeats:
        for name, *result in history.rows(
            "SELECT points.name, results.outcome, results.reason, results.seconds FROM results"
            " JOIN points ON points.id = results.point WHERE results.run = ?"
            " ORDER BY results.point",
            (run,),
        ):
            points.setdefault(name, []).append(tuple(result))
    return CellState(
        outcome=CellOutcome(worst),
        reason=next((r[1] for r in repeats if r[0] == worst and r[1]), ""),
        seconds=_median(repeat[2] for repeat in repeats),
        commit=next((r[3] for r in repeats if r[3]), ""),
        points={name: _point(results) for name, results in points.items()},
    )


def _point(results: Sequence[tuple[Any, ...]]) -> PointState:
    worst = next(o for o in _WORST if any(result[0] == o for result in results))
    reason = next((r[1] for r in results if r[0] == worst and r[1]), "")
    return PointState(worst, reason, _median(result[2] for result in results))


def _median(values: Iterable[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return statistics.median(known) if known else None


def _night(history: History, night: str) -> tuple[float, str]:
    found = history.rows("SELECT started, name FROM nights WHERE night = ?", (night,))
    if not found:
        raise NoBaseline(f"the history has no night {night}")
    return found[0][0], found[0][1]
