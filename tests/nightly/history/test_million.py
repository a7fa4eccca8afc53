# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: S608 - queries of constants
"""A history of a million results: every question is answered from an index."""

import sqlite3
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lkltest.nightly.history import browse
from lkltest.nightly.history.schema import connect
from lkltest.nightly.history.store import History

DAY = 86_400.0


def a_million(file: Path) -> None:
    """100 nights of 10 cells of 1,000 points; one point in 500 fails now and then."""
    connect(file).close()
    series = "WITH RECURSIVE n(i) AS (SELECT {0} UNION ALL SELECT i + 1 FROM n WHERE i < {1}) "
    with sqlite3.connect(file) as db:
        for statement in (
            series.format(1, 100)
            + f"INSERT INTO nights SELECT i, 'n' || i, i * {DAY}, i * {DAY} + 1, 'x', 'y' FROM n",
            series.format(0, 9)
            + "INSERT INTO cells SELECT i, 's' || i || '@h#b', 'b', 'h', 's' || i, '' FROM n",
            series.format(0, 9999) + "INSERT INTO points SELECT i, i / 1000, 'p' || i FROM n",
            "INSERT INTO runs SELECT nights.id * 10 + cells.id, nights.id, cells.id, 0, 'passed',"
            " 1, 1, '6.1', 'abc', 'gcc', 'm', 'a', '' FROM nights CROSS JOIN cells",
            "INSERT INTO results SELECT points.id, runs.id, CASE WHEN points.id % 500 = 0"
            " AND runs.night % 3 = 0 THEN 'failed' ELSE 'passed' END, points.id / 1000.0, NULL"
            " FROM points CROSS JOIN runs ON runs.cell = points.cell",
        ):
            db.execute(statement)
    db.close()


def test_a_million_rows(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "h.sqlite"
    a_million(file)
    asked: dict[str, Callable[[History], object]] = {
        "last 20 outcomes of a point": lambda h: browse.outcomes(h, "s4@h#b/p4321", 20),
        "ids of a pattern": lambda h: browse.ids(h, "s*@h/p43*"),
        "flakiest points": lambda h: browse.flakiest(h, 20),
        "slowest points": lambda h: browse.slowest(h, "n100", 20),
        "added": lambda h: browse.only_in(h, "n100", "n99"),
        "vanished": lambda h: browse.only_in(h, "n99", "n100"),
        "nights": lambda h: browse.last_nights(h, 20),
    }
    with History(file) as history, capsys.disabled():
        assert history.rows("SELECT count(*) FROM results") == [(1_000_000,)]
        print(f"\na million rows ({file.stat().st_size >> 20} MB):")
        for what, ask in asked.items():
            begun = time.perf_counter()
            answer = ask(history)
            print(f"  {what:28} {1000 * (time.perf_counter() - begun):7.1f} ms")
            assert isinstance(answer, list)
            assert bool(answer) is (what not in {"added", "vanished"})
        begun = time.perf_counter()
        assert history.prune(51 * DAY) == 50
        print(f"  {'prune half of them':28} {1000 * (time.perf_counter() - begun):7.1f} ms")
    # No test fails on a clock; that no question reads all rows is what makes them quick.
    with History(file) as history:
        assert _scans(history) == []


def _scans(history: History) -> list[str]:
    """Questions whose plan reads the whole table of results."""
    seen: list[str] = []
    history.connection.set_trace_callback(seen.append)
    browse.outcomes(history, "s4@h#b/p4321", 20)
    browse.flakiest(history, 20)
    browse.slowest(history, "n100", 20)
    browse.only_in(history, "n100", "n99")
    history.connection.set_trace_callback(None)
    plans = {query: history.rows(f"EXPLAIN QUERY PLAN {query}") for query in seen}
    return [
        query
        for query, plan in plans.items()
        for *_, step in plan
        if step.startswith("SCAN results") and "INDEX results_failed" not in step
    ]
