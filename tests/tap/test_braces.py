# SPDX-License-Identifier: GPL-2.0-only
"""Subtests in braces behind their result, as Test2 (Perl) and node-tap print them."""

import pytest

from lkltest.tap.parser import Parser
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit, Outcome, PointResult, ProblemKind, ProgramResult


def read(text: str) -> ProgramResult:
    recorder, parser = Recorder(is_file=True), Parser()
    for event in [*parser.feed(text.encode()), *parser.close()]:
        recorder.add(event)
    return recorder.finish(Exit(cause="ended"))


def tree(points: tuple[PointResult, ...]) -> dict[str, object]:
    return {
        point.name: tree(point.children) if point.children else point.outcome.value
        for point in points
    }


def test_they_belong_to_the_result_before_them() -> None:
    result = read(
        "ok 1 - outer {\n"
        "    # a comment of its own\n"
        "    ok 1 - a\n"
        "    ok 2 - inner {\n"
        "        ok 1 - deep\n"
        "        1..1\n"
        "    }\n"
        "    1..2\n"
        "}\n"
        "ok 2 - later # TODO not yet {\n"
        "    not ok 1 - t # TODO\n"
        "    1..1\n"
        "}\n"
        "ok 3 - timed # time=12ms {\n"
        "    1..1\n"
        "    ok 1 - x\n"
        "}\n"
        "ok 4 - nothing {\n"
        "}\n"
        "1..4\n"
    )
    assert result.passed, result.problems
    assert tree(result.points) == {
        "outer": {"a": "passed", "inner": {"deep": "passed"}},
        "later": {"t": "todo"},
        "timed": {"x": "passed"},
        "nothing": "passed",
    }
    assert result.points[2].seconds == 0.012


def test_a_failure_in_them_fails_their_result() -> None:
    result = read("ok 1 - a {\n    not ok 1 - b\n    1..1\n}\nok 2 - c\n1..2\n")
    assert [point.outcome for point in result.points] == [Outcome.FAILED, Outcome.PASSED]


@pytest.mark.parametrize(
    "text",
    [
        "ok 1 - parses {\nok 2 - b\n1..2\n",
        "ok 1 - parses {\n    text\nok 2 - b\n1..2\n",
        "ok 1 - parses {\n  ---\n  x: {\n  ...\nok 2 - b\n1..2\n",
    ],
)
def test_a_brace_that_nothing_follows_is_part_of_the_name(text: str) -> None:
    result = read(text)
    assert result.passed and [point.name for point in result.points] == ["parses {", "b"]


@pytest.mark.parametrize(
    "rest", ["ok 2 - c\n1..2\n", "", "    ok 2 - d {\n        ok 1 - e\n}\n1..1\n"]
)
def test_a_brace_that_is_never_closed_is_damage(rest: str) -> None:
    result = read("1..2\nok 1 - a {\n    ok 1 - b\n" + rest)
    damage = [one for one in result.problems if one.kind is ProblemKind.CONSOLE_DAMAGE]
    assert damage and "no } ended the subtests of" in damage[0].reason
