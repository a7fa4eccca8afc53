# SPDX-License-Identifier: GPL-2.0-only
import json
from dataclasses import FrozenInstanceError, replace

import pytest
from hypothesis import example, given
from hypothesis import strategies as st

from lkltest.plain import from_plain, to_plain
from lkltest.verdict.names import Names
from lkltest.verdict.results import (
    Exit,
    Outcome,
    PointResult,
    Problem,
    ProblemKind,
    ProgramResult,
    SuiteResult,
)

PASSED = PointResult("mount", Outcome.PASSED)
FAILED = PointResult("readdir", Outcome.FAILED)
SKIPPED = PointResult("gateway", Outcome.SKIPPED)
TODO = PointResult("later", Outcome.TODO)
LOOSE = Problem(ProblemKind.EXIT_STATUS, "exited with status 1")


def suite(*points: PointResult, **fields: object) -> SuiteResult:
    return replace(SuiteResult("disk", "ext4", "native", points), **fields)  # type: ignore[arg-type]


def test_id() -> None:
    assert suite().id == "disk[ext4]@native"
    assert SuiteResult("boot", "", "wine").id == "boot@wine"


@pytest.mark.parametrize(
    ("result", "outcome"),
    [
        (suite(PASSED), Outcome.PASSED),
        (suite(PASSED, SKIPPED, TODO), Outcome.PASSED),
        (suite(PASSED, FAILED), Outcome.FAILED),
        (suite(PASSED, problems=(LOOSE,)), Outcome.FAILED),
        (suite(SKIPPED, SKIPPED), Outcome.SKIPPED),
        (suite(skip="no tap device"), Outcome.SKIPPED),
        (suite(PASSED, skip="half-way"), Outcome.SKIPPED),
        (suite(skip="x", problems=(LOOSE,)), Outcome.FAILED),
        (suite(FAILED, skip="x"), Outcome.FAILED),
        (suite(), Outcome.FAILED),
    ],
)
def test_outcome(result: SuiteResult, outcome: Outcome) -> None:
    assert result.outcome is outcome


def test_counts_each_failure_once() -> None:
    tied = Problem(ProblemKind.SIGNAL, "killed by SIGSEGV", "readdir")
    counts = suite(PASSED, FAILED, SKIPPED, TODO, problems=(tied, LOOSE)).counts()
    assert counts == {
        Outcome.PASSED: 1,
        Outcome.FAILED: 2,
        Outcome.SKIPPED: 1,
        Outcome.TODO: 1,
    }


@pytest.mark.parametrize(
    ("points", "problems", "passed"),
    [
        ((PASSED, SKIPPED, TODO), (), True),
        ((PASSED, FAILED), (), False),
        ((PASSED,), (LOOSE,), False),
    ],
)
def test_program_passed(
    points: tuple[PointResult, ...], problems: tuple[Problem, ...], passed: bool
) -> None:
    assert ProgramResult(points, problems, {}, Exit(0), 0.1).passed is passed


def test_frozen() -> None:
    with pytest.raises(FrozenInstanceError):
        PASSED.name = "x"  # type: ignore[misc]


texts = st.text(max_size=8)
points = st.recursive(
    st.builds(PointResult, texts, st.sampled_from(Outcome)),
    lambda children: st.builds(
        PointResult,
        texts,
        st.sampled_from(Outcome),
        st.none() | st.integers(),
        texts,
        texts,
        texts,
        st.none() | st.floats(allow_nan=False),
        st.lists(children, max_size=3).map(tuple),
    ),
    max_leaves=6,
)
problems = st.builds(Problem, st.sampled_from(ProblemKind), texts, st.none() | texts, texts)


@given(
    st.builds(
        SuiteResult,
        texts,
        texts,
        texts,
        st.lists(points, max_size=4).map(tuple),
        st.lists(problems, max_size=3).map(tuple),
        st.dictionaries(texts, texts),
        st.floats(0, 1e6),
        st.none() | texts,
        texts,
        st.floats(0, 1e10),
    )
)
def test_trip_through_json(result: SuiteResult) -> None:
    assert from_plain(SuiteResult, json.loads(json.dumps(to_plain(result)))) == result


def test_names_are_kept_apart() -> None:
    names = Names(taken=["b#2"])
    claimed = [names.claim(name) for name in ("a", "b", "a", "b", "a", "a#2")]
    assert claimed == ["a", "b", "a#2", "b#3", "a#3", "a#2#2"]


@given(st.lists(st.sampled_from(["a", "a#2", "a#4", "b", "b#5", "a#2#6", ""]), max_size=40))
@example(["a#6"] * 6)  # ends like the ordinal of its last claim
def test_names_are_unique_beyond_the_limit_too(given_names: list[str]) -> None:
    names = Names(limit=4)
    claimed = [names.claim(name) for name in given_names]
    assert len(set(claimed)) == len(claimed)


@given(st.lists(st.sampled_from("abc"), max_size=40))
def test_unique_names_stay_when_claimed_again(given_names: list[str]) -> None:
    first, again = Names(limit=4), Names(limit=4)
    claimed = [first.claim(name) for name in given_names]
    assert [again.claim(name) for name in claimed] == claimed


@pytest.mark.parametrize(
    ("kind", "reason", "told"),
    [
        (ProblemKind.WARNING, "WARNING in f", "kernel WARNING in f"),
        (ProblemKind.WARNING, "possible deadlock in f", "kernel WARNING: possible deadlock in f"),
        (ProblemKind.BUG, "kernel BUG in f", "kernel BUG in f"),
        (ProblemKind.BUG, "BUG: bad page", "kernel BUG: bad page"),
        (ProblemKind.BUG, "out of memory: killed a", "kernel BUG: out of memory: killed a"),
        (ProblemKind.PANIC, "oh", "kernel panic: oh"),
    ],
)
def test_a_problem_says_each_word_once(kind: ProblemKind, reason: str, told: str) -> None:
    assert str(Problem(kind, reason)) == told
