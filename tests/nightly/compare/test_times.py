# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: S311
"""Slow-downs under the noise of real machines, with fixed seeds; and how they are told."""

import random
from dataclasses import replace
from datetime import date

import pytest

from lkltest.nightly.compare.causes import causes
from lkltest.nightly.compare.compare import EVENT
from lkltest.nightly.compare.known import Known, KnownFailure
from lkltest.nightly.model.cell import Cell
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
    assert sum(nights is not None for nights in third) >= 26
    little = [nights_to_find(rng, QUIET, 1.15) for _ in range(60)]
    assert sum(nights is not None for nights in little) >= 9


POINTS = tuple(f"p{number}" for number in range(EVENT))


def told(nights: int, after: float = 2.0, known: Known | None = None) -> list[Change]:
    """The changes of the last of the nights, of which the first 20 took a second, then `after`."""
    return all_after(
        *(
            record(
                tuple(
                    PointResult(
                        name,
                        Outcome.PASSED,
                        seconds=(1 if night < 20 else after) * (1 + night % 3 / 50),
                    )
                    for name in POINTS
                ),
                Cell("b", "native", "disk", "ext4", commit=f"{night:02x}" * 6),
                machine="vm-2",
            )
            for night in range(nights)
        ),
        known=known,
    )


def first_told(after: float = 2.0, known: Known | None = None) -> list[Change]:
    return next(found for nights in range(21, 25) if (found := told(nights, after, known)))


def test_a_slow_down_is_said_once_and_all_at_once_are_one_event() -> None:
    changes = first_told()
    assert {change.kind for change in changes} == {ChangeKind.SLOWER}
    (cause,) = causes(changes)
    extent = f"{EVENT} points in disk[ext4]@native#b on vm-2, about 2.00 times"
    assert cause.extent == extent
    assert "since n020" in cause.lead.reason
    assert cause.lead.commits == f"{'13' * 6}..{'14' * 6}"
    assert {change.kind for change in told(26)} == {ChangeKind.STILL_SLOWER}


def test_many_cells_at_once_ask_for_the_machine() -> None:
    changes = [
        Change(ChangeKind.SLOWER, f"{suite}@native#b/p", machine="vm-2", since="n020")
        for suite in ("boot", "net", "disk[ext4]", "disk[xfs]", "disk[vfat]")
    ]
    (cause,) = causes(changes)
    assert cause.extent == "5 points in 5 cells on vm-2: the machine?"
    assert len(causes([*changes[:4], replace(changes[4], machine="vm-1")])) == 3


def test_a_speed_up_is_told_once() -> None:
    changes = first_told(0.5)
    assert {change.kind for change in changes} == {ChangeKind.FASTER}
    assert "0.50 times as long since n020" in changes[0].reason
    assert told(26, 0.5) == []


def test_a_known_slow_down_is_no_news() -> None:
    entry = KnownFailure("disk@native/*", "checks more", slower=True)
    changes = first_told(known=Known((entry,), date(2026, 6, 1)))
    assert {change.kind for change in changes} == {ChangeKind.STILL_SLOWER}
    assert changes[0].reason.endswith("since n020: checks more")
    old = replace(entry, expires=date(2026, 1, 1))
    expired, *slow = told(24, known=Known((old,), date(2026, 6, 1)))
    assert expired.reason == "expired on 2026-01-01, and it is slower"
    assert {change.kind for change in slow} == {ChangeKind.STILL_SLOWER}
