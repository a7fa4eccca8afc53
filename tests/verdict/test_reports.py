# SPDX-License-Identifier: GPL-2.0-only
"""Small streams after what people reported of other tools, and what should come of them.

They lie beside the checkout, in ../shared; without them there is nothing to test.
"""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lkltest.tap.parser import Parser
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit, Outcome, PointResult

REPORTS = Path(__file__).resolve().parents[3] / "shared" / "tap" / "reports"
COUNTED = (Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED)


def rows() -> list[list[str]]:
    """File, verdict, passed, failed, skipped of each stream."""
    table = REPORTS / "expected.tsv"
    lines = table.read_text().splitlines() if table.exists() else []
    return [line.split("\t")[:5] for line in lines if not line.startswith("#")]


def everywhere(points: Sequence[PointResult]) -> Iterator[PointResult]:
    for point in points:
        yield point
        yield from everywhere(point.children)


def counts(points: Iterator[PointResult]) -> list[str]:
    found = Counter(point.outcome for point in points)
    return [str(found[outcome]) for outcome in COUNTED]


@pytest.mark.parametrize("row", rows(), ids=lambda row: str(row[0]))
def test_report(row: list[str]) -> None:
    file, verdict, *expected = row
    recorder, parser = Recorder(is_file=True), Parser(printk=None)
    for event in parser.feed((REPORTS / file).read_bytes()) + parser.close():
        recorder.add(event)
    result = recorder.finish(Exit(cause="ended"))
    assert ("pass" if result.passed else "fail") == verdict, result.problems
    if expected[0] != "-":
        found = counts(iter(result.points)), counts(everywhere(result.points))
        assert expected in found
