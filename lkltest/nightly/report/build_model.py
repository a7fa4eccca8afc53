# SPDX-License-Identifier: GPL-2.0-only
"""The builder of the reports' model from records, histories and changes. Pure."""

from __future__ import annotations

import shlex
from collections.abc import Iterable, Iterator, Mapping, Sequence

from lkltest.nightly.compare.flaky import flips, is_flaky
from lkltest.nightly.compare.known import Known, all_known, known_points
from lkltest.nightly.compare.slowness import step
from lkltest.nightly.model.cell import Cell, CellOutcome, CellRecord
from lkltest.nightly.model.change import Change, ChangeKind, PointHistory
from lkltest.nightly.model.ids import parse_id
from lkltest.nightly.report.model import CellModel, FlakyPoint, TrendPoint
from lkltest.verdict.results import Outcome, suite_title

_WITH_HISTORY = (
    ChangeKind.NEW_FAILURE,
    ChangeKind.STILL_FAILING,
    ChangeKind.FLAKY,
    ChangeKind.SLOWER,
    ChangeKind.STILL_SLOWER,
    ChangeKind.FASTER,
    ChangeKind.KNOWN,
    ChangeKind.EXPIRED,
    ChangeKind.FIXED,
)


def cell_model(record: CellRecord, known: Known) -> CellModel:
    """Return a cell as reports show it; a cell whose failures are all known has passed."""
    cell = record.cell
    expected = {
        name: said
        for result in record.results
        for name, said in known_points(result, cell.id, known).items()
    }
    outcome = record.outcome
    if outcome is CellOutcome.FAILED and all(all_known(r, expected) for r in record.results):
        outcome = CellOutcome.PASSED
    failed = (result for result in record.results if result.outcome is Outcome.FAILED)
    return CellModel(
        build=cell.build,
        host=cell.host,
        suite=cell.suite,
        variant=cell.variant,
        outcome=outcome,
        result=next(failed, record.results[0] if record.results else None),
        error=record.error or ("" if record.results else "no result"),
        seconds=record.seconds,
        reproduce=reproduce_line(cell),
        log=record.log,
        results=record.results,
        commit=record.commit,
        path=cell.path or "",
        known=expected,
        options=cell.options,
    )


def reproduce_line(cell: Cell) -> str:
    """The command that runs a cell again, once."""
    words = ["lkltest", *cell.run_words(), f"--timeout={cell.timeout:g}"]
    if cell.environment:
        words = ["env", *(f"{name}={value}" for name, value in cell.environment.items()), *words]
    return shlex.join(words)


def shown_histories(
    changes: Iterable[Change], histories: Mapping[str, PointHistory]
) -> dict[str, PointHistory]:
    """The histories of the points that a reader will want to look into."""
    ids = [change.id for change in changes if change.kind in _WITH_HISTORY]
    return {name: histories[name] for name in ids if name in histories}


def flaky_points(histories: Mapping[str, PointHistory]) -> tuple[FlakyPoint, ...]:
    """The flaky points, not cells, the flakiest first."""
    found = [
        FlakyPoint(
            name,
            flips(history.outcomes),
            history.outcomes.count(Outcome.FAILED),
            len(history.outcomes),
        )
        for name, history in histories.items()
        if "/" in name and is_flaky(history.outcomes)
    ]
    return tuple(sorted(found, key=lambda point: (-point.flips / point.nights, point.id)))


def suite_trends(
    histories: Mapping[str, PointHistory], commits: Mapping[tuple[str, str], str]
) -> dict[tuple[str, str, str], tuple[TrendPoint, ...]]:
    """The time of each suite's passing runs, by title, host and build.

    Args:
        commits: the kernel's, by cell id and night.
    """
    found = {}
    for cell_id, history in histories.items():
        name = parse_id(cell_id)
        points = tuple(_trend(history, commits)) if name is not None else ()
        if name is not None and points:
            found[suite_title(name.suite, name.variant), name.host, name.build] = points
    return found


def machine_text(records: Sequence[CellRecord]) -> str:
    """`lab-3 (x86_64), lab-4 (aarch64)`."""
    return ", ".join(dict.fromkeys(f"{r.machine} ({r.arch})" for r in records)) or "none"


def _trend(history: PointHistory, commits: Mapping[tuple[str, str], str]) -> Iterator[TrendPoint]:
    nights: dict[str, list[float]] = {}
    for night, seconds in zip(history.nights, history.seconds, strict=True):
        if seconds is not None:
            nights.setdefault(night, []).append(seconds)
    names = list(nights)
    times = [sorted(values)[len(values) // 2] for values in nights.values()]
    regressed = _regressions(times)
    for number, (night, seconds) in enumerate(zip(names, times, strict=True)):
        commit = commits.get((history.id, night), "")
        yield TrendPoint(night, seconds, commit, number in regressed)


def _regressions(times: Sequence[float]) -> set[int]:
    """The night in which each slow-down began: who finds it first knows how long ago that was."""
    found = set()
    slow = False
    for length in range(1, len(times) + 1):
        changed = step(times[:length])
        slower = changed is not None and changed.slower
        if changed is not None and slower and not slow:
            found.add(length - changed.nights)
        slow = slower
    return found
