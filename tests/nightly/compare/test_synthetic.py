# SPDX-License-Identifier: GPL-2.0-only
# ruff: noqa: S311 - the noise has to be the same each time
"""60 nights with planted changes: how many are found, and how many false alarms there are."""

import random
from collections import Counter
from collections.abc import Iterator

import pytest

from lkltest.nightly.compare.slowness import step
from lkltest.nightly.model.change import ChangeKind
from tests.nightly.compare.synthetic import NIGHTS, outcomes, play
from tests.nightly.compare.times import is_slower

NOISE = 0.1


@pytest.mark.parametrize("seed", [1, 2, 3])
def test_every_planted_change_is_found_and_no_other(
    seed: int, capsys: pytest.CaptureFixture[str]
) -> None:
    truth = outcomes(seed)
    found: dict[tuple[int, str], ChangeKind] = {}
    for night, changes in play(truth, random.Random(seed)):
        for change in changes:
            name = change.id.partition("/")[2]
            told = change.kind is not ChangeKind.SLOWER  # of which the next test tells
            if told and (night, name) not in truth.open and night > 0:
                found[night, name] = change.kind
    with capsys.disabled():
        print(f"\nseed {seed}, {len(truth.series)} points x {NIGHTS} nights")
        for kind in sorted({*truth.changes.values(), *found.values()}):
            print(f"  {kind:9} {_precision_and_recall(truth.changes, found, kind)}")
    wrong = {key for key in truth.changes | found if truth.changes.get(key) != found.get(key)}
    assert {key for key in wrong if not key[1].startswith("flaky")} == set()
    # Four failures in a row are sometimes chance.
    assert len(wrong) <= 0.05 * sum(kind is ChangeKind.FLAKY for kind in truth.changes.values())


def _precision_and_recall(
    truth: dict[tuple[int, str], ChangeKind],
    found: dict[tuple[int, str], ChangeKind],
    kind: ChangeKind,
) -> str:
    real = {key for key, value in truth.items() if value is kind}
    said = {key for key, value in found.items() if value is kind}
    right = len(real & said)
    precision = 100 * right / len(said) if said else 100.0
    recall = 100 * right / len(real) if real else 100.0
    return f"precision {precision:5.1f} %, recall {recall:5.1f} % ({right} of {len(real)})"


def _times(rng: random.Random, before: int, factor: float, since: int) -> list[float]:
    usual = 10 ** rng.uniform(-1.3, 1.5)  # 50 ms to 30 s
    means = [usual] * before + [usual * factor] * since
    return [max(rng.gauss(mean, NOISE * mean), mean / 10) for mean in means]


def _nights_to_find(times: list[float], before: int) -> Iterator[int]:
    for night in range(before + 1, len(times) + 1):
        if is_slower(times[:night]):
            yield night - before


def test_slowdowns_are_found_and_hardly_anything_else(
    capsys: pytest.CaptureFixture[str],
) -> None:
    rng = random.Random(7)
    missed: Counter[float] = Counter()
    waits: dict[float, list[int]] = {}
    count, before, since = 300, 45, NIGHTS - 45
    for factor in (1.3, 1.5, 2.0):
        for _ in range(count):
            wait = next(_nights_to_find(_times(rng, before, factor, since), before), None)
            if wait is None:
                missed[factor] += 1
            else:
                waits.setdefault(factor, []).append(wait)
    stable = [_times(rng, NIGHTS, 1, 0) for _ in range(1000)]
    alarms = sum(is_slower(times) for times in stable)
    ever = sum(
        any(is_slower(times[:night]) for night in range(16, NIGHTS + 1, 4)) for times in stable
    )
    with capsys.disabled():
        print(f"\nnoise {NOISE:.0%}:")
        for factor, nights in waits.items():
            median = sorted(nights)[len(nights) // 2]
            recall = 100 * len(nights) / count
            print(f"  {factor - 1:4.0%} slower: recall {recall:.1f} %, after {median} nights")
        print(f"  false alarms in 1,000 points: {alarms} in the last night, {ever} in 12 nights")
    assert missed[1.3] <= 0.15 * count
    assert all(missed[factor] <= 0.05 * count for factor in (1.5, 2.0))
    assert alarms <= 1 and ever <= 1


@pytest.mark.parametrize("shape", ["spike", "faster", "drop", "tiny", "short", "constant"])
def test_what_is_no_slowdown(shape: str) -> None:
    rng = random.Random(3)
    times = {
        "spike": [rng.gauss(1, 0.1) for _ in range(40)] + [9.0],
        "faster": [rng.gauss(1, 0.1) for _ in range(40)] + [0.5] * 5,
        "drop": [rng.gauss(1, 0.1) for _ in range(20)] + [0.1] * 10 + [1.0] * 5,
        "tiny": [rng.uniform(1e-5, 2e-5) for _ in range(40)] + [1e-3] * 8,
        "short": [1.0] * 9 + [2.0] * 3,
        "constant": [1.0] * 60,
    }[shape]
    assert not is_slower(times)


def test_a_slowdown_says_how_much_and_since_when() -> None:
    found = step([1.0, 1.02, 0.98, 1.01] * 5 + [2.0, 2.0, 2.0])
    assert found is not None
    assert found.nights == 3 and round(found.factor, 1) == 2.0
