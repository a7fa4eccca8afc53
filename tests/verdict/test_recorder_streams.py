# SPDX-License-Identifier: GPL-2.0-only
"""Recorded streams through the verdict: whole, and cut off anywhere.

The oracle for cut streams was written from what LKL prints, as `lkltest.tap.parser` documents it,
and shares nothing with the parser.
"""

import re
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from lkltest.tap.parser import Parser
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit, Outcome, ProblemKind, ProgramResult

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = ROOT / "tests" / "golden" / "lkl-4.9"
SHARED = ROOT.parent / "shared" / "tap"

PASSING = sorted([*GOLDEN.glob("*.tap"), *SHARED.glob("lkl-6.1/*.tap")])
FAILING = sorted([*GOLDEN.glob("failing/*.tap"), *SHARED.glob("lkl-6.1-failing/*.tap")])
SMALL = [path for path in PASSING if path.name != "hijack.tap"]

# What fails besides test points that say `not ok`, by the file's name.
PROBLEMS = {
    "killed.tap": {ProblemKind.NEVER_REPORTED, ProblemKind.PLAN_NOT_MET},
    "segfault.tap": {ProblemKind.NEVER_REPORTED, ProblemKind.PLAN_NOT_MET},
    "terminated.tap": {ProblemKind.NEVER_REPORTED, ProblemKind.PLAN_NOT_MET},
    "cptofs-xfs.tap": {ProblemKind.BUG},  # I/O errors of its disk
    "disk-ext4-nofs.tap": {ProblemKind.NEVER_REPORTED, ProblemKind.PLAN_NOT_MET},
}


def record(data: bytes, ending: Exit) -> ProgramResult:
    recorder, parser = Recorder(), Parser()
    for event in parser.feed(data) + parser.close():
        recorder.add(event)
    return recorder.finish(ending)


def name(path: Path) -> str:
    return f"{path.parent.name}-{path.stem}"


@pytest.mark.parametrize("path", PASSING, ids=name)
def test_passing(path: Path) -> None:
    result = record(path.read_bytes(), Exit(0))
    if path.name == "hijack.tap":  # upstream's own mistake: 1..5 with six points
        assert [problem.kind for problem in result.problems] == [ProblemKind.TOO_MANY_POINTS]
        return
    assert result.passed, result.problems
    if any("start_kernel" in point.name for point in result.points):
        assert re.fullmatch(r"4\.9\.0|6\.1\.0", result.properties["kernel"])
        assert result.properties["compiler"].startswith("gcc")


@pytest.mark.parametrize("path", FAILING, ids=name)
def test_failing(path: Path) -> None:
    data = path.read_bytes()
    result = record(data, Exit(0))
    if path.name == "kunit-boot.tap":  # what failed stands in a log, for the kunit suite to find
        assert result.passed
        return
    assert not result.passed
    assert {problem.kind for problem in result.problems} == PROBLEMS.get(path.name, set())
    said = {line.split(b" ", 3)[3].decode() for line in re.findall(rb"^not ok .*", data, re.M)}
    failed = {point.name for point in result.points if point.outcome is Outcome.FAILED}
    in_flight = {problem.point for problem in result.problems} - {None}
    assert failed == said | in_flight


def test_crash_is_pinned_to_the_announced_point() -> None:
    data = (GOLDEN / "failing" / "segfault.tap").read_bytes()
    result = record(data, Exit(None, 11, "signalled", "core dumped"))
    assert [(problem.kind, problem.point) for problem in result.problems] == [
        (ProblemKind.SIGNAL, "icmp"),
    ]
    assert result.points[-1].reason == "never reported: killed by SIGSEGV, core dumped"


def is_complete(data: bytes) -> bool:
    """Whether a passing stream that was cut is still whole: the oracle."""
    *lines, tail = data.split(b"\n")
    if re.match(rb"1\.\.\d", tail):  # it may have been longer
        return False
    planned: int | None = None
    reported = 0
    announced = in_block = False
    for line in [*lines, tail]:
        if in_block:
            in_block = line != b" ..."
        elif match := re.match(rb"1\.\.(\d+)", line):
            planned, reported = int(match[1]), 0
        elif line.startswith(b"* "):
            announced = True
        elif match := re.match(rb"ok(?: (\d+))?(?= |$)", line):
            reported += 1
            if line is tail and match[1] not in (None, b"%d" % reported):
                return False
            announced = False
        elif line == b" ---":
            in_block = True
    return reported == planned and not announced and not in_block


@pytest.mark.parametrize("path", SMALL, ids=name)
def test_cut_after_any_line(path: Path) -> None:
    data = path.read_bytes()
    cuts = [match.end() for match in re.finditer(rb"\n", data)]
    complete = 0
    for cut in cuts:
        expected = is_complete(data[:cut])
        complete += expected
        assert record(data[:cut], Exit(0)).passed is expected, data[:cut][-200:]
    assert 0 < complete < len(cuts) or path.name == "vfio.tap"


@pytest.mark.parametrize("path", SMALL, ids=name)
@given(data=st.data())
@settings(max_examples=60)
def test_cut_anywhere(path: Path, data: st.DataObject) -> None:
    stream = path.read_bytes()
    cut = data.draw(st.integers(0, len(stream)))
    assert record(stream[:cut], Exit(0)).passed is is_complete(stream[:cut])


@pytest.mark.parametrize("path", SMALL[:1], ids=name)
def test_cut_at_every_byte_near_the_end(path: Path) -> None:
    stream = path.read_bytes()
    for cut in range(len(stream) - 300, len(stream) + 1):
        assert record(stream[:cut], Exit(0)).passed is is_complete(stream[:cut])
