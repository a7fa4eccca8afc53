# SPDX-License-Identifier: GPL-2.0-only
"""Test points as pytest's subtests, where they are neither passed nor failed.

To every other plugin a skipped subtest is a test that was skipped: pytest's own JUnit report,
pytest-html and allure-pytest all show the whole suite as skipped for one such point. So to them it
is a subtest that did not fail, and a mark on its report says to pytest's terminal what it is.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, cast

import pytest

from lkltest.plugin.item import record_key
from lkltest.text import printable
from lkltest.verdict.results import Outcome, PointResult

_MARK = "lkltest_point"
_FAILED = "lkltest_failed"
_NAMED = 5
_LOST = "rerun"
"""The outcome of a try that counts for nothing; pytest-rerunfailures has the same one."""
_YELLOW = {"yellow": True}


def mark_point(report: pytest.TestReport, item: pytest.Item) -> None:
    """Note on the report of a subtest that its point was skipped, or failed as expected."""
    record = item.stash.get(record_key, None)
    point = record.run.reporting if record is not None and record.run is not None else None
    if point is not None and point.outcome in (Outcome.SKIPPED, Outcome.TODO):
        reason = point.reason or "no reason given"
        setattr(report, _MARK, [point.outcome.value, printable(f"[{point.name}] ({reason})")])


def mark_lost(report: pytest.TestReport) -> None:
    """Note on the report of a suite that its connection was lost and that it is run anew."""
    report.outcome = cast(Any, _LOST)
    setattr(report, _MARK, [_LOST, ""])


def mark_failed(report: pytest.TestReport, points: Sequence[PointResult]) -> None:
    """Note on the report of a suite which of its points failed."""
    failed = [point.failure for point in points if point.outcome is Outcome.FAILED]
    if failed and report.passed:
        more = [f"and {len(failed) - _NAMED} more"] if len(failed) > _NAMED else []
        setattr(report, _FAILED, printable("; ".join([*failed[:_NAMED], *more])))


def name_failed(report: pytest.CollectReport | pytest.TestReport) -> None:
    """Name the failed points where pytest says that there are some.

    pytest-html and JUnit files of pytest's own show nothing else of them.
    """
    failed = getattr(report, _FAILED, None)
    if failed is not None and report.failed and isinstance(report.longrepr, str):
        report.longrepr = f"{report.longrepr}: {failed}"
        delattr(report, _FAILED)


def point_status(
    report: Any, verbosity: int
) -> tuple[str, str, tuple[str, Mapping[str, bool]]] | None:
    """Return category, letter and word of a marked report; None for any other one."""
    mark = getattr(report, _MARK, None)
    if mark is None:
        return None
    outcome, words = mark
    if outcome == _LOST:
        return "tried again", "L", ("CONNECTION LOST, TRIED AGAIN", _YELLOW)
    if verbosity == 0:  # pytest counts subtests only when they are shown
        return "", "", ("", {})
    if outcome == Outcome.TODO:
        return "subtests xfailed", "y", (f"SUBXFAIL{words}", _YELLOW)
    return "subtests skipped", "-", (f"SUBSKIPPED{words}", _YELLOW)


def all_skipped(points: Sequence[PointResult]) -> str:
    """Return why all of `points` were skipped; "" where one was not, or there are none."""
    if any(point.outcome is not Outcome.SKIPPED for point in points):
        return ""
    reasons = (" ".join(point.reason.split()) or "no reason given" for point in points)
    return "; ".join(dict.fromkeys(reasons))
