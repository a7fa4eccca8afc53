# SPDX-License-Identifier: GPL-2.0-only
"""The edges of the model of chance, one at a time."""

import math

import pytest

from lkltest.nightly.compare import flaky
from lkltest.nightly.compare.flaky import CLEAN, became_flaky, flips, is_flaky

WORDS = {"P": "passed", "F": "failed", "S": "skipped"}


def outcomes(text: str) -> list[str]:
    return [WORDS[letter] for letter in text]


def nights(text: str) -> list[list[str]]:
    """`30 FP P FP`: a number is so many nights that passed."""
    found: list[list[str]] = []
    for word in text.split():
        found += [outcomes("P")] * int(word) if word.isdecimal() else [outcomes(word)]
    return found


@pytest.mark.parametrize(
    ("text", "told"),
    [
        (f"{CLEAN} FP FP", f"failed in 2 of 2 nights, before in 0 of {CLEAN}"),
        (f"{CLEAN} FP 4 FP", f"failed in 2 of 6 nights, before in 0 of {CLEAN}"),
        (f"{CLEAN} FP 5 FP", ""),  # a coin might have done it
        (f"{CLEAN} FP 5 FP FP", f"failed in 3 of 8 nights, before in 0 of {CLEAN}"),
        (f"{CLEAN - 1} FP FP", ""),  # it had not passed for long
        (f"{CLEAN} F FP", ""),  # the first was told as a break
        (f"{CLEAN} FP", ""),
        (f"{CLEAN} FP FP P", ""),  # it was told the night before
        (f"{CLEAN} FP FP FP", ""),
        (f"{CLEAN + 10} FP {CLEAN} FP", ""),  # once in a month
        ("", ""),
    ],
)
def test_what_became_flaky_is_told_once(text: str, told: str) -> None:
    assert became_flaky(nights(text)) == told


def test_the_probability_of_failing_nights() -> None:
    """Against the Beta-binomial distribution in closed form."""
    assert math.isclose(flaky._at_least(2, 2, 40), 0.5 * 1.5 / (41 * 42))
    assert math.isclose(flaky._at_least(1, 1, 40), 0.5 / 41)
    assert math.isclose(flaky._at_least(0, 9, 40), 1)


@pytest.mark.parametrize(
    ("text", "found"),
    [
        ("PFPF", True),
        ("PFPFP", True),
        ("PFSPSF", True),
        ("PFP", False),  # once is no habit
        ("PPFFPP", False),
        ("PFP" + 50 * "P" + 9 * "F", False),  # broken now
        ("PPPP", False),
    ],
)
def test_flaky_is_now_and_then(text: str, found: bool) -> None:
    assert is_flaky(outcomes(text)) is found


@pytest.mark.parametrize(("text", "count"), [("", 0), ("P", 0), ("PSF", 1), ("PFFP", 2)])
def test_flips_are_between_passed_and_failed(text: str, count: int) -> None:
    assert flips(outcomes(text)) == count
