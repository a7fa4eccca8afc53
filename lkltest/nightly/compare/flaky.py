# SPDX-License-Identifier: GPL-2.0-only
"""Whether a point's outcome is a matter of chance, judged by its own history. Pure.

A regression and its fix are two flips of the outcome; what flips more often within a month of
nights is flaky. When it then fails on and on, longer than chance explains, it is no longer flaky
but broken.
"""

from __future__ import annotations

import itertools
from collections.abc import Sequence

WINDOW = 30
"""Runs that are looked at."""

FLIPS = 4
"""How many flips make a point flaky; two regressions with their fixes need as many."""

CHANCE = 0.001
"""A run of failures that is less likely than this, at the point's own rate, is no accident."""

_TOLD = ("passed", "failed")


def flips(outcomes: Sequence[str]) -> int:
    """Return how often the outcome changed between passed and failed; others do not count."""
    told = [outcome for outcome in outcomes if outcome in _TOLD]
    return sum(one != other for one, other in itertools.pairwise(told))


def is_flaky(outcomes: Sequence[str]) -> bool:
    """Whether a point with these outcomes, oldest first, is flaky."""
    told = [outcome for outcome in outcomes if outcome in _TOLD][-WINDOW:]
    return flips(told) >= FLIPS and not _has_settled(told)


def failing_runs(outcomes: Sequence[str]) -> int:
    """Return how many of the last outcomes in a row are failures."""
    count = 0
    for outcome in reversed(outcomes):
        if outcome == "failed":
            count += 1
        elif outcome == "passed":
            break
    return count


def _has_settled(told: Sequence[str]) -> bool:
    last = told[-1]
    run = 0
    while run < len(told) and told[-1 - run] == last:
        run += 1
    before = told[: len(told) - run]
    share = (before.count(last) + 1) / (len(before) + 2)  # Laplace's rule of succession
    return bool(share**run < CHANCE)
