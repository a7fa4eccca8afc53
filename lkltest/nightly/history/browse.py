# SPDX-License-Identifier: GPL-2.0-only
"""The queries behind `lkltest history`. Every function may raise HistoryError.

Each query goes from an index to the few rows that it needs: a million results take no longer.
"""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from lkltest.nightly.compare.flaky import WINDOW, flips
from lkltest.nightly.history.store import History
from lkltest.nightly.model.ids import matches

_POINT = "cells.cell || '/' || points.name"


@dataclass(frozen=True, slots=True)
class OutcomeRow:
    """One outcome of one point or cell; `revision` is the kernel's commit."""

    night: str
    outcome: str
    seconds: float | None
    reason: str
    kernel: str
    revision: str
    machine: str


@dataclass(frozen=True, slots=True)
class Flakiness:
    """A point's record in the last `runs`."""

    id: str
    flips: int
    failures: int
    runs: int


@dataclass(frozen=True, slots=True)
class NightRow:
    """A night; cells by outcome are counts."""

    night: str
    finished: bool
    passed: int
    failed: int
    skipped: int
    errors: int
    name: str
    seconds: float
    """The time of all cells together."""


@dataclass(frozen=True, slots=True)
class Slow:
    """A point and the time that it took in a night."""

    id: str
    seconds: float


@dataclass(frozen=True, slots=True)
class CellRun:
    """One repeat of a cell in a night."""

    cell: str
    night: str
    outcome: str
    machine: str
    reason: str


def ids(history: History, pattern: str, limit: int = 1000) -> list[str]:
    """The points and cells that a pattern fits: shell wildcards, brackets stand for themselves.

    `disk[ext4]@native/readdir` is that of every build.
    """
    cell_part, slash, point_part = pattern.partition("/")
    cells = [
        (number, cell)
        for number, cell in history.rows("SELECT id, cell FROM cells ORDER BY id")
        if matches(cell_part, cell) or matches(cell_part, cell.partition("#")[0])
    ]
    if not slash:
        return [cell for _, cell in cells][:limit]
    found: list[str] = []
    for number, cell in cells:
        names = history.rows("SELECT name FROM points WHERE cell = ? ORDER BY id", (number,))
        found += [f"{cell}/{name}" for (name,) in names if matches(point_part, name)]
        if len(found) >= limit:
            break
    return found[:limit]


def outcomes(history: History, result_id: str, count: int) -> list[OutcomeRow]:
    """The last outcomes of a point or a cell, the newest first."""
    cell, _, name = result_id.partition("/")
    columns = "nights.night, {0}.outcome, {0}.seconds, {0}.reason, kernel, revision, machine"
    order = " ORDER BY nights.started DESC, runs.repeat DESC LIMIT ?"
    if not name:
        query = (
            f"SELECT {columns.format('runs')} FROM runs JOIN nights ON nights.id = runs.night"  # noqa: S608
            " WHERE runs.cell = (SELECT id FROM cells WHERE cell = ?)"
        )
        return _outcomes(history.rows(query + order, (cell, count)))
    query = (
        f"SELECT {columns.format('results')} FROM results"  # noqa: S608
        " JOIN runs ON runs.id = results.run JOIN nights ON nights.id = runs.night"
        " WHERE results.point = (SELECT points.id FROM points JOIN cells ON cells.id = points.cell"
        " WHERE cells.cell = ? AND points.name = ?)"
    )
    return _outcomes(history.rows(query + order, (cell, name, count)))


def flakiest(history: History, count: int) -> list[Flakiness]:
    """The points whose outcome changed most often in their last `WINDOW` runs."""
    failed = history.rows(
        f"SELECT points.id, {_POINT} FROM points JOIN cells ON cells.id = points.cell"  # noqa: S608
        " WHERE points.id IN (SELECT DISTINCT point FROM results INDEXED BY results_failed"
        " WHERE outcome = 'failed')"
    )
    found = []
    for point, name in failed:
        last = history.rows(
            "SELECT results.outcome FROM results JOIN runs ON runs.id = results.run"
            " JOIN nights ON nights.id = runs.night WHERE results.point = ?"
            " ORDER BY nights.started DESC, runs.repeat DESC LIMIT ?",
            (point, WINDOW),
        )
        words = [word for (word,) in last]
        if flips(words) > 1:
            found.append(Flakiness(name, flips(words), words.count("failed"), len(words)))
    return sorted(found, key=lambda f: (-f.flips, f.id))[:count]


def slowest(history: History, night: str, count: int) -> list[Slow]:
    """The slowest points of a night."""
    return [
        Slow(name, seconds)
        for name, seconds in history.rows(
            f"SELECT {_POINT}, max(results.seconds) AS took FROM results"  # noqa: S608
            " JOIN runs ON runs.id = results.run JOIN points ON points.id = results.point"
            " JOIN cells ON cells.id = points.cell"
            " WHERE runs.night = (SELECT id FROM nights WHERE night = ?)"
            " AND results.seconds IS NOT NULL GROUP BY results.point ORDER BY took DESC LIMIT ?",
            (night, count),
        )
    ]


def only_in(history: History, night: str, other: str) -> list[str]:
    """The points that `night` has and `other` has not: added, or the other way round, vanished."""
    of_night = (
        "SELECT results.point FROM results JOIN runs ON runs.id = results.run"
        " WHERE runs.night = (SELECT id FROM nights WHERE night = ?)"
    )
    return [
        name
        for (name,) in history.rows(
            f"SELECT {_POINT} FROM points JOIN cells ON cells.id = points.cell"  # noqa: S608
            f" WHERE points.id IN ({of_night} EXCEPT {of_night}) ORDER BY points.id",
            (night, other),
        )
    ]


def last_nights(history: History, count: int) -> list[NightRow]:
    """The last nights, the newest first, with their cells counted."""
    rows = history.rows(
        "SELECT night, finished IS NOT NULL,"
        " (SELECT count(*) FROM runs WHERE night = nights.id AND outcome = 'passed'),"
        " (SELECT count(*) FROM runs WHERE night = nights.id AND outcome = 'failed'),"
        " (SELECT count(*) FROM runs WHERE night = nights.id AND outcome = 'skipped'),"
        " (SELECT count(*) FROM runs WHERE night = nights.id AND outcome = 'error'),"
        " name, (SELECT total(seconds) FROM runs WHERE night = nights.id)"
        " FROM nights ORDER BY started DESC LIMIT ?",
        (count,),
    )
    return [NightRow(row[0], bool(row[1]), *row[2:]) for row in rows]


def runs_of(history: History, nights: Sequence[str]) -> list[CellRun]:
    """All runs of some nights, by cell."""
    query = (
        "SELECT cells.cell, nights.night, runs.outcome, runs.machine, runs.reason FROM runs"
        " JOIN nights ON nights.id = runs.night JOIN cells ON cells.id = runs.cell"
        " WHERE nights.night IN (SELECT value FROM json_each(?)) ORDER BY cells.id, runs.repeat"
    )
    return [CellRun(*row) for row in history.rows(query, (json.dumps(list(nights)),))]


def failures_by_night(history: History) -> dict[str, int]:
    """The number of points that failed in each night that has any."""
    return dict(
        history.rows(
            "SELECT nights.night, count(DISTINCT results.point)"
            " FROM results INDEXED BY results_failed"
            " JOIN runs ON runs.id = results.run JOIN nights ON nights.id = runs.night"
            " WHERE results.outcome = 'failed' GROUP BY nights.id"
        )
    )


def _outcomes(rows: list[tuple[Any, ...]]) -> list[OutcomeRow]:
    return [OutcomeRow(row[0], row[1], row[2], row[3] or "", *row[4:]) for row in rows]
