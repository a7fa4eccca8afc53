# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: S311
"""Searches for the commit since which a point fails now and then, with fixed seeds."""

import math
import random

import pytest

from lkltest.nightly.compare.sequential import Rates, is_bad, rates
from lkltest.verdict.results import Outcome

PASSED, FAILED = Outcome.PASSED, Outcome.FAILED
COMMITS = 1000


def search(rng: random.Random, expected: Rates, rate: float) -> bool:
    """Whether a search by halves finds the commit since which it fails so often."""
    first_bad = rng.randrange(1, COMMITS)
    good, bad = 0, COMMITS
    risk = 0.01 / math.ceil(math.log2(COMMITS))
    while bad - good > 1:
        middle = (good + bad) // 2
        passed = failed = 0
        while (found := is_bad(passed, failed, expected, risk)) is None:
            fails = middle >= first_bad and rng.random() < rate
            passed, failed = passed + (not fails), failed + fails
        good, bad = (good, middle) if found else (middle, bad)
    return bad == first_bad


def test_a_search_is_as_sure_as_was_asked_for() -> None:
    rng = random.Random(1)
    assert sum(search(rng, Rates(0.005, 0.2), 0.2) for _ in range(500)) >= 495


def test_rates_of_the_history_are_good_enough() -> None:
    rng = random.Random(2)
    found = 0
    for _ in range(300):
        told = [FAILED if rng.random() < 0.2 else PASSED for _ in range(20)]
        if told.count(FAILED) >= 2:  # else nobody would search
            found += search(rng, rates([PASSED] * 60 + told), 0.2)
        else:
            found += 1
    assert found >= 285


def test_it_stops_early_when_it_is_clear() -> None:
    always = rates([PASSED] * 60 + [FAILED] * 12)
    assert is_bad(0, 2, always, 0.001) and is_bad(5, 0, always, 0.001) is False


@pytest.mark.parametrize("text", ["P" * 30, "PF" * 15, "F" * 30])
def test_what_did_not_become_worse_cannot_be_searched_for(text: str) -> None:
    told = [FAILED if letter == "F" else PASSED for letter in text]
    assert not rates(told).differ


@pytest.mark.parametrize("text", ["PF", "PFF", "PPF", "PPPF"])
def test_the_second_night_of_a_history_can_tell_of_a_break(text: str) -> None:
    expected = rates([FAILED if letter == "F" else PASSED for letter in text])
    assert expected.differ
    assert is_bad(0, 5, expected, 0.003) and is_bad(18, 0, expected, 0.003) is False
    assert is_bad(0, 2, expected, 0.003) is None, "so little known wants more runs"
