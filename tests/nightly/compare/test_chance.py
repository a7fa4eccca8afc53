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


@pytest.mark.parametrize("seed", [1, 2])
def test_flaky_points_raise_few_alarms(seed: int) -> None:
    rng = random.Random(seed)
    points = {f"{rate}-{n}": flaky(rng, rate) for rate in (0.05, 0.2, 0.5) for n in range(32)}
    told = sum(map(len, alarms(points).values()))
    assert told <= 1.2 * len(points)


@pytest.mark.parametrize("seed", [1, 2])
def test_a_flaky_point_that_breaks_is_a_new_failure(seed: int) -> None:
    assert found_in_time(random.Random(seed), breaks, 0.2, 16, within=4) == 16


def test_what_passed_always_is_a_new_failure_at_once() -> None:
    assert found_in_time(random.Random(1), breaks, 0.0, 32, within=1) == 32


def test_what_starts_to_fail_now_and_then_is_found() -> None:
    assert found_in_time(random.Random(1), intermittent, 0.3, 32, within=15) >= 30


def test_a_break_is_new_once_then_still_failing() -> None:
    point = outcomes(("P" * 9 + "F") * 6 + "F" * 30)
    told = [changes({"a": point}, night)[0] for night in range(59, 66)]
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
