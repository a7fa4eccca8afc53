# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: S311
"""Slow-downs under the noise of real machines, with fixed seeds; and how they are told."""

import random

import pytest

from lkltest.nightly.compare.causes import EVENT, causes
from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.verdict.results import Outcome, PointResult
from tests.nightly.compare.synthetic import record
from tests.nightly.compare.test_compare import all_after
from tests.nightly.compare.times import Noise, episodes, nights_to_find

QUIET = Noise(0.1, outliers=0.02)


@pytest.mark.parametrize(
    ("noise", "most"),
    [
        (Noise(0.1), 1),
        (QUIET, 1),
        (Noise(0.1, outliers=0.02, weekday=0.05), 1),
        (Noise(0.1, inherited=0.5), 5),
    ],
)
def test_noise_is_no_slow_down(noise: Noise, most: int) -> None:
    rng = random.Random(5)
    assert sum(len(episodes(noise.times(rng), 13)) for _ in range(150)) <= most


def test_slow_downs_are_found() -> None:
    rng = random.Random(9)
    twice = [nights_to_find(rng, QUIET, 2.0) for _ in range(30)]
    assert all(nights is not None for nights in twice)
    assert sum(nights is not None and nights <= 3 for nights in twice) >= 28
    third = [nights_to_find(rng, QUIET, 1.3) for _ in range(30)]
    assert sum(nights is not None for nights in third) >= 17


def told(nights: int) -> list[Change]:
    """The changes of the last of the nights, of which the first 20 took a second, others two."""
    return all_after(
        *(
            record(
                tuple(
                    PointResult(
                        f"p{n}", Outcome.PASSED, seconds=(1 if night < 20 else 2) + night % 3 / 50
                    )
                    for n in range(EVENT)
                )
            )
            for night in range(nights)
        )
    )


def test_a_slow_down_is_said_once_and_all_at_once_are_one_event() -> None:
    changes = next(found for nights in range(21, 25) if (found := told(nights)))
    assert {change.kind for change in changes} == {ChangeKind.SLOWER}
    (cause,) = causes(changes)
    assert cause.extent == f"{EVENT} points in 1 cells in one night: the machine?"
    assert "since n020" in cause.lead.reason
    assert {change.kind for change in told(26)} == {ChangeKind.STILL_SLOWER}
