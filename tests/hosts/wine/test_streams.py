# SPDX-License-Identifier: GPL-2.0-only
"""The output of real LKL programs under Wine 8, through the parser and the verdict."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkltest.tap.parser import Parser
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit, Outcome, ProblemKind, ProgramResult

RECORDED = Path(__file__).parents[2] / "golden" / "wine"


def judge(name: str, status: int = 0) -> ProgramResult:
    """The verdict over a recorded stdout, read in pieces as a pipe gives it."""
    parser, recorder = Parser(), Recorder(exit_status_matters=False)
    data = (RECORDED / name).read_bytes()
    for at in range(0, len(data), 1000):
        for event in parser.feed(data[at : at + 1000]):
            recorder.add(event)
    for event in parser.close():
        recorder.add(event)
    return recorder.finish(Exit(status=status))


@pytest.mark.parametrize(
    ("name", "points", "skipped"),
    [("boot64.out", 33, 0), ("disk64-ext4.out", 10, 0), ("net64-loop.out", 11, None)],
)
def test_a_good_run_passes(name: str, points: int, skipped: int | None) -> None:
    result = judge(name)
    assert result.passed and len(result.points) == points
    assert result.properties["kernel"].startswith("6.1")
    if skipped is not None:
        assert sum(point.outcome is Outcome.SKIPPED for point in result.points) == skipped


def test_a_crash_leaves_a_plan_unmet_whatever_the_status() -> None:
    result = judge("disk64-nofile.out", status=0)
    assert not result.passed
    assert ProblemKind.PLAN_NOT_MET in {problem.kind for problem in result.problems}
    assert result.points[-1].outcome is Outcome.FAILED


def test_a_back_end_that_is_not_there_bails_out() -> None:
    result = judge("net64-tap.out")
    assert ProblemKind.BAIL_OUT in {problem.kind for problem in result.problems}
