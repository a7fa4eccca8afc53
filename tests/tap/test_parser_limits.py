# SPDX-License-Identifier: GPL-2.0-only
"""Numbers, lines and logs of any size cost next to nothing, and what is cut is said."""

import time

import pytest

from lkltest.tap.parser import (
    LINE_LIMIT,
    LOG_LIMIT,
    Diagnostic,
    Output,
    Parser,
    Plan,
)
from tests.tap.parsing import diagnostics, parse, point, points


def test_nesting_of_any_depth() -> None:
    depth = 2000
    down = b"".join(b"  " * i + b"KTAP version 1\n" + b"  " * i + b"1..1\n" for i in range(depth))
    up = b"".join(b"  " * i + b"ok 1 x\n" for i in reversed(range(depth)))
    events = points(parse(down + up))
    assert [event.depth for event in events] == list(reversed(range(depth)))


@pytest.mark.parametrize("digits", [12, 5000])
def test_large_numbers_cost_nothing(digits: int) -> None:
    number = b"9" * digits
    began = time.process_time()
    events = parse(b"1.." + number + b"\nok " + number + b" name\nTAP version " + number + b"\n")
    assert time.process_time() - began < 1
    assert diagnostics(events) == ["number", "number", "version"]
    assert points(events) == [point(None, "name")]
    assert all(len(event.detail) < 300 for event in events if isinstance(event, Diagnostic))


def test_a_large_plan_costs_nothing() -> None:
    assert parse(b"1..999999999\n") == [Plan(999999999, "", None, 0)]


@pytest.mark.parametrize("extra", [0, 1, 100000])
@pytest.mark.parametrize("chunk", [1000, 10**9])
def test_a_line_is_cut_at_its_limit(extra: int, chunk: int) -> None:
    stream = b"1..2\n" + b"ok 1 ".ljust(LINE_LIMIT + extra, b"x") + b"\nok 2 b\n"
    parser = Parser()
    events = [e for i in range(0, len(stream), chunk) for e in parser.feed(stream[i : i + chunk])]
    events += parser.close()
    assert diagnostics(events) == (["line-cut"] if extra else [])
    assert [len(event.name) for event in points(events)] == [LINE_LIMIT - 5, 1]


def test_an_endless_line_is_not_kept() -> None:
    parser = Parser()
    for _ in range(100):
        assert parser.feed(b"x" * LINE_LIMIT) == []
    cut, output = parser.close()
    assert diagnostics([cut]) == ["line-cut"]
    assert output == Output(b"x" * LINE_LIMIT + b"\n")


@pytest.mark.parametrize("chunk", [10000, 10**9])
def test_a_log_is_cut_at_its_limit(chunk: int) -> None:
    log = b"  " + b"x" * 997 + b"\n"
    stream = b"ok 1 a\n ---\n log: |\n" + log * (LOG_LIMIT // 1000 + 10) + b" ...\nok 2 b\n"
    parser = Parser()
    events = [e for i in range(0, len(stream), chunk) for e in parser.feed(stream[i : i + chunk])]
    events += parser.close()
    assert diagnostics(events) == ["log-cut"]
    first, second = points(events)
    assert (len(first.block), second) == (LOG_LIMIT, point(2, "b"))


@pytest.mark.parametrize(
    ("result", "label"),
    [(b"ok 1 a", "1 a"), (b"ok 1", "1"), (b"ok - a", "a"), (b"ok", "a point")],
)
def test_a_log_that_is_cut_names_its_point(result: bytes, label: str) -> None:
    stream = result + b"\n ---\n log: |\n" + (b"  " + b"x" * 997 + b"\n") * (LOG_LIMIT // 1000 + 1)
    told = [
        event.detail for event in Parser().feed(stream + b" ...\n") if type(event) is Diagnostic
    ]
    assert [text.partition(" has ")[0] for text in told] == [f"the block of {label}"]


@pytest.mark.parametrize(
    "unit", [b"\\", b"#", b"# ", b"\r", b" ", b"\x1b[", b"\x1b[0", b"\x1b]", b"[", b"ok 1 \\"]
)
def test_no_pattern_is_slow_on_what_nearly_matches(unit: bytes) -> None:
    run = unit * (LINE_LIMIT // len(unit) - 20)
    began = time.process_time()
    for start in (b"", b"ok 1 ", b"* 1 ", b"1..0 # ", b"[ ", b"ok 1 a\n --- ", b"\x1b"):
        parse(start + run + b"\n" + run + b"x\n", printk=True)
    assert time.process_time() - began < 5
