# SPDX-License-Identifier: GPL-2.0-only
"""KUnit's KTAP: which case failed and why, in which suite the kernel died, counts."""

from collections import Counter
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lkltest.tap.parser import Parser
from lkltest.verdict.kernel_log import ktap_of
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit, Outcome, PointResult, ProblemKind, ProgramResult

SHARED = Path(__file__).resolve().parents[3] / "shared" / "tap"

FAILING = b"""\
[    0.060000] KTAP version 1
[    0.060000] 1..1
[    0.060000]     KTAP version 1
[    0.060000]     # Subtest: list-kunit-test
[    0.060000]     # module: list_test
[    0.060000]     1..2
[    0.060000]     ok 1 list_test_list_init
[    0.060000]     # list_test_list_add: EXPECTATION FAILED at lib/list-test.c:59
[    0.060000]     Expected 1 == 2, but
[    0.060000]         1 == 1 (0x1)
[    0.060000]     not ok 2 list_test_list_add
[    0.060000] # list-kunit-test: pass:1 fail:1 skip:0 total:2
[    0.060000] not ok 1 list-kunit-test
"""


def record(log: bytes, *, printk: bool | None = True) -> ProgramResult:
    recorder, parser = Recorder(is_file=True), Parser(printk=printk)
    for event in parser.feed(log) + parser.close():
        recorder.add(event)
    return recorder.finish(Exit(cause="ended"))


def test_a_failing_case_is_named_with_its_expectation() -> None:
    (suite,) = record(FAILING).points
    reason = "EXPECTATION FAILED at lib/list-test.c:59: Expected 1 == 2"
    assert suite.failure == f"list-kunit-test/list_test_list_add: {reason}"
    case = suite.children[1]
    assert case.reason == reason
    assert case.log.splitlines()[1:] == ["    Expected 1 == 2, but", "        1 == 1 (0x1)"]


def test_a_crash_names_suite_and_case() -> None:
    cut = FAILING[: FAILING.index(b"[    0.060000]     # list_test_list_add")]
    result = record(cut + b"[    0.070000] Kernel panic - not syncing: x\n")
    (suite,) = result.points
    assert suite.name == "list-kunit-test"
    assert "list-kunit-test, test point 2 of 2 (after list_test_list_init)" in suite.reason
    assert ProblemKind.PANIC in {problem.kind for problem in result.problems}
    assert {problem.point for problem in result.problems} <= {"list-kunit-test", None}


def test_a_crash_in_the_first_case_names_the_suite() -> None:
    cut = FAILING[: FAILING.index(b"[    0.060000]     ok 1")]
    (suite,) = record(cut).points
    assert suite.failure.startswith("list-kunit-test: never reported: in list-kunit-test, test")


def cases(points: Sequence[PointResult]) -> Iterator[PointResult]:
    for point in points:
        if point.children:
            yield from cases(point.children)
        else:
            yield point


# Passed, failed, skipped as kunit.py counts them.
COUNTS = {
    "peers/kunit/test_is_test_passed-all_passed.log": (10, 0, 0),
    "peers/kunit/test_is_test_passed-all_passed_nested.log": (7, 0, 0),
    "peers/kunit/test_is_test_passed-failure.log": (9, 1, 0),
    "peers/kunit/test_config_printk_time.log": (10, 0, 0),
    "peers/kunit/test_interrupted_tap_output.log": (10, 0, 0),
    "peers/kunit/test_multiple_prefixes.log": (10, 0, 0),
    "peers/kunit/test_pound_sign.log": (10, 0, 0),
    "peers/kunit/test_pound_no_prefix.log": (10, 0, 0),
    "peers/kunit/test_skip_tests.log": (4, 0, 1),
    "peers/kunit/test_skip_all_tests.log": (0, 0, 5),
    "peers/kunit/test_strip_hyphen.log": (2, 0, 0),
    "peers/kunit/test_parse_attributes.log": (1, 0, 0),
}


@pytest.mark.parametrize("name", COUNTS)
def test_counts(name: str) -> None:
    if not SHARED.exists():
        pytest.skip(f"{name} is not beside this checkout")
    for printk in (True, None):
        found = Counter(
            case.outcome
            for case in cases(record((SHARED / name).read_bytes(), printk=printk).points)
        )
        outcomes = (Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED)
        assert tuple(found[outcome] for outcome in outcomes) == COUNTS[name]


@pytest.mark.parametrize("folder", ["lkl-6.1", "lkl-6.1-failing"])
def test_the_kunit_of_a_boot_log(folder: str) -> None:
    path = SHARED / folder / "kunit-boot.tap"
    if not path.exists():
        pytest.skip(f"{path.name} is not beside this checkout")
    boot = record(path.read_bytes(), printk=False)
    assert boot.passed
    result = record(ktap_of(b"", [point.log for point in boot.points]))
    failures = [point.failure for point in result.points if point.outcome is Outcome.FAILED]
    assert result.problems == ()
    assert failures == (
        []
        if folder == "lkl-6.1"
        else [
            "bitfields/test_bitfields_variables: ASSERTION FAILED at lib/bitfield_kunit.c:126: "
            "Expected false to be true",
            "list-kunit-test/list_test_list_add: EXPECTATION FAILED at lib/list-test.c:59: "
            "Expected 1 == 2",
        ]
    )


def test_a_case_that_announced_subtests_and_had_none_fails() -> None:
    suite_of_one = b"KTAP version 1\n1..1\n    1..1\n%b    ok 1 - case\nok 1 - suite\n"
    assert record(suite_of_one % b"").passed
    (suite,) = record(suite_of_one % b"        # Subtest: case\n").points
    assert suite.failure.startswith("suite: ")
    assert suite.children[0].reason == "failed subtest: ok, but case reported nothing"
