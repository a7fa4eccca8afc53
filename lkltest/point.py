# SPDX-License-Identifier: GPL-2.0-only
"""What a test point says of itself, before anything else is considered. Pure."""

from __future__ import annotations

from lkltest.tap.parser import Point
from lkltest.verdict.results import Outcome
from lkltest.verdict.subtests import Announced


def outcome_said(point: Point, ktap: bool) -> Outcome:
    """Return the outcome by the line alone.

    Args:
        point: the event.
        ktap: whether the stream is KTAP, where `not ok # SKIP` is a skip; in TAP it is a failure.
    """
    if point.directive == "SKIP" and (point.ok or ktap):
        return Outcome.SKIPPED
    if point.ok:
        return Outcome.PASSED
    return Outcome.TODO if point.directive == "TODO" else Outcome.FAILED


def seconds_taken(point: Point, announced: Announced | None, at: float | None) -> float | None:
    """Return a point's wall time, or what the program says where that is more or all there is.

    Upstream's programs report CPU time. Events that were read at once have one time, so the wall
    time of a short point can be 0 here.
    """
    said = point.seconds if point.block else None
    if at is None or announced is None or announced.at is None:
        return said
    return max(at - announced.at, said or 0.0)
