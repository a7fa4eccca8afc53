# SPDX-License-Identifier: GPL-2.0-only
import tracemalloc
from collections.abc import Sequence

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkltest.verdict.plan import _MAX_RANGES, PlanLedger
from lkltest.verdict.results import Problem, ProblemKind

MANY, TWICE = ProblemKind.TOO_MANY_POINTS, ProblemKind.DUPLICATE_NUMBER
UNMET = ProblemKind.PLAN_NOT_MET


def count_points(count: int | None, numbers: Sequence[int | None]) -> list[list[ProblemKind]]:
    ledger = PlanLedger("x", count)
    problems = [[problem.kind for problem in ledger.record(number)] for number in numbers]
    return [*problems, [problem.kind for problem in ledger.close()]]


@pytest.mark.parametrize(
    ("count", "numbers", "problems"),
    [
        (3, [1, 2, 3], [[], [], [], []]),
        (3, [None, None, None], [[], [], [], []]),
        (3, [1, None, 3], [[], [], [], []]),
        (0, [], [[]]),
        (0, [1], [[MANY], []]),
        (2, [1, 2, 3], [[], [], [MANY], []]),
        (2, [1, 2, 2], [[], [], [TWICE], []]),
        (3, [2, 1, 2, 3], [[], [], [TWICE], [], []]),
        (3, [1, 2, 2], [[], [], [TWICE], [UNMET]]),
        (3, [1, 2, 2, 3], [[], [], [TWICE], [], []]),
        (3, [1, 3, 2], [[], [], [], []]),
        (3, [2, 3], [[], [], [UNMET]]),
        (4, [1, 4, 2, 3, 4], [[], [], [], [], [TWICE], []]),
        (3, [1, 2], [[], [], [UNMET]]),
        (3, [0, 1, 2], [[MANY], [], [], [UNMET]]),
        (3, [999_999_999], [[MANY], [UNMET]]),
        (None, [1, 2], [[], [], [ProblemKind.NO_PLAN]]),
        (None, [], [[]]),
    ],
)
def test_numbers(
    count: int | None, numbers: list[int | None], problems: list[list[ProblemKind]]
) -> None:
    assert count_points(count, numbers) == problems


def test_plan_after_its_points() -> None:
    ledger = PlanLedger()
    for _ in range(3):
        assert not ledger.record(None)
    assert not ledger.met
    assert ledger.announce("late", 3) == []
    assert ledger.met
    assert ledger.close() == []


def test_late_plan_that_is_too_short() -> None:
    ledger = PlanLedger()
    ledger.record(1)
    ledger.record(2)
    assert ledger.announce("late", 1) == [Problem(MANY, "2 points came before plan 1..1 # late")]


def test_a_plan_between_its_points_is_met_by_nothing() -> None:
    ledger = PlanLedger()
    ledger.record(1)
    assert ledger.announce("late", 3) == []
    reason = "plan 1..3 # late came between its points, before point 2"
    assert ledger.record(2) == [Problem(UNMET, reason)]
    assert ledger.record(3) == ()
    assert ledger.met


def test_missing_numbers_are_named_in_short() -> None:
    ledger = PlanLedger("big", 100)
    for number in (1, 3, 5, 7, 9, 11, 13, 50):
        ledger.record(number)
    (problem,) = ledger.close()
    assert problem.reason == "plan 1..100 # big: 92 of 100 points never came: 2, 4, 6, 8, 10, ..."


@pytest.mark.parametrize(
    ("numbers", "listed"),
    [
        ((6,), "1-5"),
        ((2, 4, 6), "1, 3, 5"),
        ((4, 6), "1-3, 5"),
        ((4, 6, 5), "1-3"),  # what closes a gap joins the ranges on both sides
        ((5, 6, 4), "1-3"),
    ],
)
def test_ranges_of_missing_numbers(numbers: tuple[int, ...], listed: str) -> None:
    ledger = PlanLedger("", 6)
    for number in numbers:
        ledger.record(number)
    (problem,) = ledger.close()
    assert problem.reason.endswith(f"points never came: {listed}")


@pytest.mark.parametrize(("count", "listed"), [(10, "1, 3, 5, 7, 9"), (12, "1, 3, 5, 7, 9, ...")])
def test_five_ranges_are_named(count: int, listed: str) -> None:
    ledger = PlanLedger("", count)
    for number in range(2, count + 1, 2):
        ledger.record(number)
    (problem,) = ledger.close()
    assert problem.reason.endswith(f"points never came: {listed}")


def test_a_plan_is_met_by_whatever_closes_its_last_gap() -> None:
    ledger = PlanLedger("", 4)
    for number in (1, 4, 2):
        ledger.record(number)
    assert not ledger.met
    ledger.record(3)
    assert ledger.met


def test_numbers_beyond_the_most_ranges_are_forgotten() -> None:
    ledger = PlanLedger("", 10 * _MAX_RANGES)
    for number in range(2, 2 * _MAX_RANGES + 3, 2):
        ledger.record(number)
    assert ledger.record(2 * _MAX_RANGES) != []  # the last one that is kept came twice
    assert ledger.record(2 * _MAX_RANGES + 2) == []  # and of the next nothing is known
    assert ledger.record(1) == []  # the first gap is closed all the same
    assert ledger.missing()[0] == (3, 3)


@given(st.integers(0, 12), st.lists(st.integers(0, 14), max_size=16))
def test_against_plain_sets(count: int, numbers: list[int]) -> None:
    ledger = PlanLedger("", count)
    seen: set[int] = set()
    for number in numbers:
        kinds = {problem.kind for problem in ledger.record(number)}
        expected = set() if 1 <= number <= count else {MANY}
        if number in seen and number > 0:
            expected.add(TWICE)
        assert kinds == expected
        seen.add(number)
    missing = {n for start, stop in ledger.missing() for n in range(start, stop + 1)}
    assert missing == set(range(1, count + 1)) - seen
    assert ledger.met == (not missing)


@pytest.mark.parametrize("step", [1, 2])
def test_constant_memory(step: int) -> None:
    tracemalloc.start()
    ledger = PlanLedger("", 999_999_999)
    for number in range(2, 60_000, step):
        ledger.record(number)
    assert ledger.close()
    assert tracemalloc.get_traced_memory()[1] < 3_000_000
    tracemalloc.stop()
