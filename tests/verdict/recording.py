# SPDX-License-Identifier: GPL-2.0-only
"""The means of the recorder's tests: a stream recorded, its tree checked and looked at."""

from typing import Any

from lkltest.tap.parser import Parser
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit, Outcome, PointResult, ProblemKind, ProgramResult

PASSED, FAILED = Outcome.PASSED, Outcome.FAILED
K = ProblemKind


EXITED = Exit(0)


def record(stream: str | bytes, ending: Exit = EXITED, **options: Any) -> ProgramResult:
    data = stream.encode() if isinstance(stream, str) else stream
    recorder, parser = Recorder(**options), Parser()
    returned: list[PointResult] = []
    for event in parser.feed(data) + parser.close():
        returned += recorder.add(event)
    result = recorder.finish(ending)
    assert list(result.points[: len(returned)]) == returned
    check_tree(result)
    return result


def check_tree(result: ProgramResult) -> None:
    failed = {point.name for point in result.points if point.outcome is FAILED}
    assert {problem.point for problem in result.problems} - {None} <= failed
    names = [point.name for point in result.points]
    assert len(set(names)) == len(names)
    assert all(names)


def problems(result: ProgramResult) -> list[tuple[ProblemKind, str | None]]:
    return [(problem.kind, problem.point) for problem in result.problems]


def outcomes(result: ProgramResult) -> dict[str, str]:
    return {point.name: point.outcome.value for point in result.points}


GOOD = "1..2 # boot\n* 1 mutex\nok 1 mutex\n* 2 semaphore\nok 2 semaphore\n"
