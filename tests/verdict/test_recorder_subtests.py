# SPDX-License-Identifier: GPL-2.0-only
"""Subtests: their points go to their parent, and so does what is wrong with them."""

import pytest

from lkltest.verdict.results import ProblemKind
from tests.verdict.recording import (
    FAILED,
    K,
    outcomes,
    problems,
    record,
)

SUBTESTS = """TAP version 14
1..2
# Subtest: group
    1..2
    ok 1 - one
    {} 2 - two
{} 1 - group
ok 2 - other
"""


def test_subtests() -> None:
    result = record(SUBTESTS.format("ok", "ok"))
    assert result.passed
    assert [child.name for child in result.points[0].children] == ["one", "two"]
    lying = record(SUBTESTS.format("not ok", "ok"))
    assert problems(lying) == [(K.SUBTEST, "group")]
    assert "two" in lying.points[0].reason
    honest = record(SUBTESTS.format("not ok", "not ok"))
    assert problems(honest) == []
    assert not honest.passed


@pytest.mark.parametrize(
    ("inner", "kind"),
    [
        ("    1..3\n    ok 1 a\n", K.PLAN_NOT_MET),
        ("    1..1\n    ok 1 a\n    ok 2 b\n", K.TOO_MANY_POINTS),
        ("    1..2\n    ok 1 a\n    ok 1 b\n    ok 2 c\n", K.DUPLICATE_NUMBER),
        ("    1..1\n    ok 1 a\n      ---\n      log: |\n        BUG: x\n      ...\n", K.BUG),
        ("    1..1\n    * 1 a\n", K.NEVER_REPORTED),
        ("    1..1\n    ok 1 a\nBUG: x\n", K.BUG),
    ],
)
def test_trouble_in_subtests_fails_the_parent(inner: str, kind: ProblemKind) -> None:
    result = record(f"TAP version 14\n1..1\n# Subtest: g\n{inner}ok 1 g\n")
    assert kind in [problem.kind for problem in result.problems]
    assert outcomes(result) == {"g": "failed"}


def test_subtests_without_their_parent() -> None:
    result = record("TAP version 14\n1..1\n# Subtest: g\n    1..1\n    ok 1 a\n")
    assert not result.passed
    (point,) = result.points
    assert point.outcome is FAILED
    assert [child.name for child in point.children] == ["a"]


def test_deep_nesting_is_a_failure_not_a_crash() -> None:
    lines = ["TAP version 14", "1..1"]
    for depth in range(1, 1500):
        lines.append("    " * depth + "1..1")
    for depth in reversed(range(1500)):
        lines.append("    " * depth + "ok 1 x")
    result = record("\n".join(lines) + "\n")
    assert not result.passed


def test_ktap_comments_say_why() -> None:
    stream = "KTAP version 1\n1..1\n    # EXPECTATION FAILED at a.c:3\nnot ok 1 a\n"
    assert "EXPECTATION" in record(stream.replace("    #", "#")).points[0].log


def test_a_point_without_a_name_has_that_of_its_subtests() -> None:
    stream = "1..2\n# Subtest: sub\n    1..0 # SKIP x\nok 1 # skip x\nok 2\n"
    assert outcomes(record(stream)) == {"sub": "skipped", "(unnamed 2)": "passed"}
