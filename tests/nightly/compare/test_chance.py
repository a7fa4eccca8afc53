# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: S311
"""Flaky points, points that break and intermittent ones, with fixed seeds."""

import random

import pytest

from lkltest.nightly.compare.flaky import Health, evidence, health
from lkltest.verdict.results import Outcome
from tests.nightly.compare.chance import alarms, breaks, changes, flaky, found_in_time, intermittent

PASSED, FAILED = Outcome.PASSED, Outcome.FAILED


def outcomes(text: str) -> list[Outcome]:
    return [FAILED if letter == "F" else PASSED for letter in text]


FLAKY = {f"{rate}-{n}": flaky(rate) for rate in (0.05, 0.2, 0.5) for n in range(32)}


@pytest.mark.parametrize(("reruns", "most"), [(0, 1.2 * len(FLAKY)), (3, 20)])
def test_flaky_points_raise_few_alarms(reruns: int, most: int) -> None:
    assert sum(map(len, alarms(random.Random(1), FLAKY, reruns).values())) <= most


@pytest.mark.parametrize("reruns", [0, 3])
def test_a_flaky_point_that_breaks_is_a_new_failure(reruns: int) -> None:
    assert found_in_time(random.Random(1), breaks, 0.2, 16, 4, reruns=reruns) == 16


@pytest.mark.parametrize("reruns", [0, 3])
def test_what_passed_always_is_a_new_failure_at_once(reruns: int) -> None:
    assert found_in_time(random.Random(1), breaks, 0.0, 32, 1, reruns=reruns) == 32


@pytest.mark.parametrize(("reruns", "within"), [(0, 15), (3, 25)])
def test_what_starts_to_fail_now_and_then_is_found(reruns: int, within: int) -> None:
    assert found_in_time(random.Random(1), intermittent, 0.3, 32, within, reruns=reruns) >= 30


def test_what_becomes_flaky_is_new_once() -> None:
    nights = [[PASSED]] * 40
    nights += [[FAILED, PASSED], [PASSED], [FAILED, PASSED], [FAILED, PASSED], [PASSED]]
    told = [[(c.kind.value, c.reason) for c in changes({"a": nights}, n)] for n in range(40, 45)]
    assert told == [
        [("flaky", "failed 1 of 2 runs tonight: so")],
        [("flaky", "passes, before failed 1 of 42")],
        [("new", "failed in 2 of 3 nights, before in 0 of 40: so")],
        [("flaky", "failed 1 of 2 runs tonight: so")],
        [("flaky", "passes, before failed 3 of 47")],
    ]


def test_a_confirmed_failure_says_so() -> None:
    (change,) = changes({"a": [*[[PASSED]] * 9, [FAILED] * 4]}, 9)
    assert (change.kind.value, change.reason) == ("new", "failed 4 of 4 runs tonight: so")


def test_a_break_is_new_once_then_still_failing() -> None:
    point = outcomes(("P" * 9 + "F") * 6 + "F" * 30)
    series = [[outcome] for outcome in point]
    told = [changes({"a": series}, night)[0] for night in range(59, 66)]
    kinds = [change.kind.value for change in told]
    assert kinds == ["flaky", "flaky", "flaky", "new", "still", "still", "still"]
    assert told[3].reason == "failed 4 of 4, before 5 of 58: so"
    assert told[6].reason == "since n59: failed 7 of 7, before 5 of 55: so"


@pytest.mark.parametrize(
    ("text", "state", "row"),
    [
        ("", Health.PASSING, 0),
        ("F", Health.BROKEN, 1),
        ("PPPF", Health.BROKEN, 1),
        ("PPPFP", Health.FLAKY, 0),
        ("PPPFPF", Health.FLAKY, 1),
        ("P" * 30 + "F" * 9 + "P" * 9, Health.PASSING, 0),  # was mended
        ("P" * 30 + "F" * 9 + "P" * 9 + "F", Health.BROKEN, 1),
        ("PPFPF" + "P" * 60, Health.FLAKY, 0),
        ("PFPF" * 5 + "P" * 60, Health.PASSING, 0),
    ],
)
def test_health(text: str, state: Health, row: int) -> None:
    assert health(outcomes(text)) is state
    assert evidence(outcomes(text)).row == row
