# SPDX-License-Identifier: GPL-2.0-only
"""Recorded streams: LKL's own, and those that other TAP parsers are tested with.

The foreign ones lie beside the checkout, in ../shared; without them their tests are skipped. The
golden ones of the bundled kernel are part of the project.
"""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest

from lkltest.tap.parser import Diagnostic, Event, Output, Parser, Plan, Point, Started

ROOT = Path(__file__).resolve().parents[2]
SHARED = ROOT.parent / "shared"
GOLDEN = ROOT / "tests" / "golden"
PERL = SHARED / "tap" / "peers" / "perl-th"


def parse(path: Path, *, printk: bool = False) -> list[Event]:
    if not path.exists() and SHARED in path.parents:
        pytest.skip(f"{path.name} is not beside this checkout")
    parser = Parser(printk=printk)
    return parser.feed(path.read_bytes()) + parser.close()


def points(events: list[Event]) -> list[Point]:
    return [event for event in events if isinstance(event, Point)]


def plans(events: list[Event]) -> list[tuple[int, int]]:
    return [(event.count, event.depth) for event in events if isinstance(event, Plan)]


def diagnostics(events: list[Event]) -> list[str]:
    return [event.what for event in events if isinstance(event, Diagnostic)]


# LKL: passed, failed, skipped, plans

LKL = {
    "tap/lkl-6.1-failing/cptofs-xfs.tap": (2, 2, 0, [4]),
    "tap/lkl-6.1-failing/dlmopen.tap": (0, 1, 0, [1]),
    "tap/lkl-6.1-failing/kunit-boot.tap": (37, 0, 0, [37]),  # KUnit's failures are in a log
    "tap/lkl-6.1-failing/disk-ext4-nofs.tap": (3, 3, 0, [1, 10]),
    "tap/lkl-6.1-failing/killed.tap": (3, 0, 0, [35]),
    "tap/lkl-6.1-failing/net-nodev.tap": (9, 1, 1, [11]),
    "tap/lkl-6.1-failing/net-nopeer.tap": (4, 1, 6, [11]),
    "tap/lkl-6.1/boot.tap": (36, 0, 0, [1, 35]),
    "tap/lkl-6.1/cptofs-ext4.tap": (4, 0, 0, [4]),
    "tap/lkl-6.1/kunit-boot.tap": (37, 0, 0, [37]),
    "tap/lkl-6.1/lklfuse-vfat.tap": (4, 0, 0, [4]),
    "tap/lkl-6.1/lklfuse-xfs.tap": (4, 0, 0, [4]),
    "tap/lkl-6.1/config.tap": (0, 0, 1, [1]),
    "tap/lkl-6.1/disk-ext4.tap": (11, 0, 0, [1, 10]),
    "tap/lkl-6.1/disk-vfat.tap": (11, 0, 0, [1, 10]),
    "tap/lkl-6.1/hijack.tap": (4, 0, 4, [5, 2, 0, 0]),
    "tap/lkl-6.1/lklfuse-ext4.tap": (4, 0, 0, [4]),
    "tap/lkl-6.1/net-loopback.tap": (7, 0, 6, [1, 11, 1]),
    "tap/lkl-6.1/net-pipe.tap": (12, 0, 1, [1, 11, 1]),
    "tap/lkl-6.1/net-raw.tap": (0, 0, 1, [1]),
    "tap/lkl-6.1/net-tap.tap": (12, 0, 1, [1, 11, 1]),
    "tap/lkl-6.1/vfio.tap": (0, 0, 0, [0]),
    "console/wine/boot64.out": (33, 0, 0, [33]),
}


@pytest.mark.parametrize("name", LKL)
def test_lkl(name: str) -> None:
    events = parse(SHARED / name)
    results = points(events)
    passed = sum(point.ok and not point.directive for point in results)
    failed = sum(not point.ok for point in results)
    skipped = sum(point.directive == "SKIP" for point in results)
    assert (passed, failed, skipped, [count for count, _ in plans(events)]) == LKL[name]
    assert diagnostics(events) == []
    assert all(point.seconds is not None for point in results)
    announced = [(event.number, event.name) for event in events if isinstance(event, Started)]
    assert announced[: len(results)] == [(point.number, point.name) for point in results]


def test_no_stream_of_lkl_is_left_out() -> None:
    found = {str(path.relative_to(SHARED)) for path in SHARED.glob("tap/lkl-6.1*/*")}
    assert found <= set(LKL)


def test_the_kernel_log_of_lkl_is_whole() -> None:
    start = points(parse(SHARED / "tap/lkl-6.1/boot.tap"))[4]
    lines = start.log.splitlines()
    assert start.name == "start_kernel"
    assert lines[0].startswith("[    0.000000] Linux version 6.1.0")
    assert all(line.startswith("[") for line in lines[:20])


@pytest.mark.parametrize("path", sorted(GOLDEN.glob("lkl-4.9/*.tap")), ids=lambda path: path.name)
def test_golden(path: Path) -> None:
    events = parse(path)
    assert points(events)
    assert diagnostics(events) == []
    assert sum(count for count, _ in plans(events)) == len(points(events))


# perl's Test::Harness: its test data with the results that perl expects of its own parser

PERL_EXCEPTIONS = {
    # The expected results are those of running the script; its output was not recorded as TAP.
    "inc_taint": "no recorded output",
    "taint": "no recorded output",
    "switches": "expects the result of another command line than the recorded one",
    # perl applies `1..5 todo 3 2;` to points by number. It was gone before TAP 12.
    "todo": "the todo list of Test.pm's plans is read over",
    # TAP 14 and most harnesses take `# skipped ...`; perl wants SKIP as a word.
    "sequence_misparse": "`# skipped on` is a SKIP",
    # perl judges the stream here; this parser does not judge.
    "strict": "its first unexpected line is a result of perl's own",
}


def _true(value: Any) -> bool:
    return bool(value) and value != "__FALSE__"


def _expected(path: Path) -> Iterator[tuple[bool, int, str | None, str, str]]:
    """ok, number, description, directive, reason of the points."""
    for result in json.loads(path.read_text())["results"]:
        if result.get("is_test"):
            directive = "SKIP" if _true(result["has_skip"]) else ""
            directive = "TODO" if _true(result["has_todo"]) else directive
            ok = _true(result.get("is_actual_ok", result.get("actual_passed")))
            reason = result.get("explanation") or ""
            yield ok, result["number"], result.get("description"), directive, reason


@pytest.mark.parametrize(
    "path",
    [path for path in sorted(PERL.glob("expected/*.json")) if path.stem not in PERL_EXCEPTIONS],
    ids=lambda path: path.stem,
)
def test_perl(path: Path) -> None:
    events = parse(PERL / f"{path.stem}.tap")
    expected = list(_expected(path))
    results = points(events)
    assert len(results) == len(expected)
    for point, (ok, number, description, directive, reason) in zip(results, expected, strict=True):
        assert (point.ok, point.directive, point.reason) == (ok, directive, reason)
        if point.number is not None:  # perl counts on where there is none
            assert point.number == number
        if description is not None:
            # perl keeps the dash and the backslashes, which are no part of the name.
            name = description.removeprefix("- ").replace("\\#", "#").replace("\\\\", "\\")
            assert point.name == name
    plan = json.loads(path.read_text())["plan"]
    if path.stem != "skipall_v13":  # where perl forgets the plan
        assert [f"1..{count}" for count, _ in plans(events)] == ([plan] if plan else [])


@pytest.mark.parametrize("path", sorted(PERL.glob("*.tap")), ids=lambda path: path.stem)
def test_perl_without_damage(path: Path) -> None:
    assert diagnostics(parse(path)) == []


# KTAP, kselftest, KUnit: points as (depth, ok, how many), plans as (count, depth)

PEERS: dict[str, tuple[dict[tuple[int, bool], int], list[tuple[int, int]]]] = {
    "ktap/ktap_rst_0.tap": (
        {(0, False): 1, (1, True): 1, (1, False): 1},
        [(1, 0), (2, 1)],
    ),
    "ktap/ktap_rst_1.tap": (
        {(0, False): 1, (0, True): 1, (1, False): 1, (1, True): 1, (2, False): 1, (2, True): 1},
        [(2, 0), (2, 1), (2, 2)],
    ),
    "ktap/ktap_rst_2.tap": (
        {(0, False): 1, (1, True): 2, (1, False): 1, (2, True): 5, (2, False): 1},
        [(1, 0), (3, 1), (1, 2), (2, 2), (3, 2)],
    ),
    "kselftest/cpufreq.log": ({(0, True): 1}, [(1, 0)]),
    "kselftest/mlock.log": ({(0, False): 1}, [(1, 0)]),
    "kselftest/netcons_skip.log": ({(0, True): 1}, [(1, 0)]),
    # The nested results stand in comments; the parent's says the same.
    "kselftest/packetdrill.log": ({(0, True): 2}, [(2, 0)]),
    "kselftest/so_txtime.log": ({(0, False): 1}, [(1, 0)]),
    "kselftest/timeout.log": ({(0, False): 1}, [(1, 0)]),
    "kunit/test_config_printk_time.log": (
        {(0, True): 3, (1, True): 10},
        [(3, 0), (5, 1), (2, 1), (3, 1)],
    ),
    "kunit/test_insufficient_memory.log": ({}, []),
    "kunit/test_interrupted_tap_output.log": (
        {(0, True): 3, (1, True): 10},
        [(3, 0), (5, 1), (2, 1), (3, 1)],
    ),
    "kunit/test_is_test_passed-all_passed.log": (
        {(0, True): 2, (1, True): 10},
        [(2, 0), (8, 1), (2, 1)],
    ),
    "kunit/test_is_test_passed-all_passed_nested.log": (
        {(0, True): 2, (1, True): 6, (2, True): 2},
        [(2, 0), (4, 1), (2, 2), (2, 1)],
    ),
    "kunit/test_is_test_passed-failure-nested.log": (
        {(0, False): 2, (2, False): 1},
        [(2, 0), (1, 1)],
    ),
    "kunit/test_is_test_passed-failure.log": (
        {(0, True): 1, (0, False): 1, (1, True): 9, (1, False): 1},
        [(2, 0), (8, 1), (2, 1)],
    ),
    "kunit/test_is_test_passed-kselftest.log": ({(0, True): 2}, [(2, 0)]),
    "kunit/test_is_test_passed-missing_plan.log": ({(0, True): 2, (1, True): 10}, [(2, 1)]),
    "kunit/test_is_test_passed-no_tests_no_plan.log": (
        {(0, True): 1, (1, True): 1},
        [(1, 0), (1, 1)],
    ),
    "kunit/test_is_test_passed-no_tests_run_no_header.log": ({}, []),
    "kunit/test_is_test_passed-no_tests_run_with_header.log": ({}, [(0, 0)]),
    "kunit/test_kernel_panic_interrupt.log": (
        {(0, True): 2, (1, True): 8},
        [(3, 0), (5, 1), (2, 1), (3, 1)],
    ),
    "kunit/test_multiple_prefixes.log": (
        {(0, True): 3, (1, True): 10},
        [(3, 0), (5, 1), (2, 1), (3, 1)],
    ),
    "kunit/test_output_isolated_correctly.log": ({(0, True): 1, (1, True): 2}, [(2, 1)]),
    "kunit/test_output_with_prefix_isolated_correctly.log": (
        {(0, True): 3, (1, True): 10},
        [(5, 1), (2, 1), (3, 1)],
    ),
    # These two end without a newline: whether their last line counts is not known here.
    "kunit/test_parse_attributes.log": ({(1, True): 1}, [(1, 0), (1, 1)]),
    "kunit/test_parse_subtest_header.log": ({(1, True): 1}, [(1, 0), (1, 1)]),
    "kunit/test_pound_no_prefix.log": (
        {(0, True): 3, (1, True): 10},
        [(3, 0), (5, 1), (2, 1), (3, 1)],
    ),
    "kunit/test_pound_sign.log": (
        {(0, True): 3, (1, True): 10},
        [(3, 0), (5, 1), (2, 1), (3, 1)],
    ),
    "kunit/test_skip_all_tests.log": (
        {(0, True): 2, (1, True): 5},
        [(2, 0), (3, 1), (2, 1)],
    ),
    "kunit/test_skip_tests.log": ({(0, True): 2, (1, True): 5}, [(2, 0), (3, 1), (2, 1)]),
    "kunit/test_strip_hyphen.log": ({(0, True): 2, (1, True): 2}, [(2, 0), (1, 1), (1, 1)]),
}


@pytest.mark.parametrize("name", PEERS)
def test_kernel_streams(name: str) -> None:
    events = parse(SHARED / "tap" / "peers" / name, printk=True)
    counts: dict[tuple[int, bool], int] = {}
    for point in points(events):
        counts[point.depth, point.ok] = counts.get((point.depth, point.ok), 0) + 1
    assert (counts, plans(events)) == PEERS[name]
    assert set(diagnostics(events)) <= {"line-incomplete"}


def test_no_kernel_stream_is_left_out() -> None:
    peers = SHARED / "tap" / "peers"
    assert {str(path.relative_to(peers)) for path in peers.glob("k*/*")} <= set(PEERS)


def test_kunit_in_a_boot_log_is_output_unless_asked_for() -> None:
    events = parse(SHARED / "tap/peers/kunit/test_config_printk_time.log")
    assert events and all(isinstance(event, Output) for event in events)


def test_kunit_skips() -> None:
    results = points(parse(SHARED / "tap/peers/kunit/test_skip_all_tests.log"))
    assert [point.directive for point in results] == ["SKIP"] * 3 + ["SKIP"] + ["SKIP"] * 3
    assert results[0].reason == "all tests skipped"
