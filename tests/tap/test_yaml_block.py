# SPDX-License-Identifier: GPL-2.0-only
"""YAML blocks: to which result they belong, where they end, what stands in their midst."""

import pytest

from lkltest.tap.parser import (
    BailOut,
    Comment,
    LastLine,
    Output,
    Parser,
    Plan,
    Point,
    Started,
)
from tests.tap.parsing import diagnostics, parse, point, points

LKL = b"""\
1..2 # boot
* 1 mutex
ok 1 mutex
 ---
 time_us: 67881
 log: |
  [    0.000000] Linux version
  ok 3
  not ok 1 forged
  1..5
  ...
  ---
  --- 127.0.0.1 ping statistics ---
  Bail out!
  * 2 forged
    deeper
  \x20
  last
 ...
* 2 join
not ok 2 join
 ---
 time_us: 3
 log: |
 ...
"""


def test_block_of_lkl() -> None:
    plan, started, first, next_started, second = parse(LKL)
    assert (plan, started) == (Plan(2, "boot", None, 0), Started(1, "mutex", 0))
    assert next_started == Started(2, "join", 0)
    assert isinstance(first, Point)
    assert isinstance(second, Point)
    assert first.seconds == pytest.approx(0.067881)
    lines = first.log.split("\n")
    assert lines[:2] == ["[    0.000000] Linux version", "ok 3"]
    assert lines[4:7] == ["...", "---", "--- 127.0.0.1 ping statistics ---"]
    assert lines[-3:] == ["  deeper", " ", "last"]
    assert (second.ok, second.log, second.seconds) == (False, "", pytest.approx(3e-6))


def test_block_with_carriage_returns() -> None:
    assert parse(LKL.replace(b"\n", b"\r\n")) == parse(LKL)


@pytest.mark.parametrize("indent", [b" ", b"  ", b"    ", b"\t"])
def test_block_at_any_indentation(indent: bytes) -> None:
    body = indent + b"message: x\n" + indent + b" ...\n" + indent + b"....\n"
    stream = b"ok 1 a\n" + indent + b"---\n" + body + indent + b"...\nok 2 b\n"
    assert parse(stream) == [point(1, "a", block=body), point(2, "b")]


def test_block_that_is_empty() -> None:
    assert parse(b"ok 1 a\n ---\n ...\n ---\n") == [point(1, "a"), Output(b" ---\n")]


def test_block_ends_at_its_own_indentation_only() -> None:
    body = b"  a: 1\n   ...\n    ...\n"
    assert parse(b"ok 1 a\n  ---\n" + body + b"  ...\n") == [point(1, "a", block=body)]


def test_white_space_after_the_marks_of_a_block() -> None:
    assert parse(b"ok 1 a\n --- \n x: 1\n ...  \nok 2\n") == [
        point(1, "a", block=b" x: 1\n"),
        point(2),
    ]


def test_stray_output_in_a_block_is_told_apart() -> None:
    events = parse(b"ok 1 a\n ---\n x: 1\nstderr says\n\n# so\n log: |\n  y\n ...\n")
    assert events == [
        Output(b"stderr says\n"),
        Comment("so", 0),
        point(1, "a", block=b" x: 1\n\n log: |\n  y\n"),
    ]


@pytest.mark.parametrize("blank", [b"\n", b" \n", b"\t\n"])
def test_a_blank_line_of_any_indentation_belongs_to_its_block(blank: bytes) -> None:
    body = b"  log: |\n    x\n" + blank + b"    y\n"
    assert parse(b"ok 1 a\n  ---\n" + body + b"  ...\n") == [point(1, "a", block=body)]


def test_stray_output_between_a_result_and_its_block() -> None:
    assert parse(b"ok 1 a\n[    1.0] oops\n ---\n x: 1\n ...\n") == [
        point(1, "a", block=b" x: 1\n"),
        Output(b"[    1.0] oops\n"),
    ]


def test_bail_out_before_the_block_as_the_shell_half_prints_it() -> None:
    assert parse(b"not ok 1 a\nBail out!\n ---\n log: |\n  ok 2\n ...\n") == [
        BailOut(""),
        point(1, "a", ok=False, block=b" log: |\n  ok 2\n"),
    ]


@pytest.mark.parametrize(
    "line", [b"ok 2 b", b"not ok 2 b", b"1..3 # s", b"* 2 b", b"TAP version 13"]
)
def test_an_open_block_swallows_no_line_of_tap(line: bytes) -> None:
    events = parse(b"ok 1 a\n ---\n log: |\n  x\n" + line + b"\n  y\n ...\n")
    assert diagnostics(events) == ["yaml-open"]
    assert "1 a" in events[0].detail  # type: ignore[union-attr]
    assert events[1] == point(1, "a", block=b" log: |\n  x\n")
    after = [event for event in parse(line + b"\n") if not isinstance(event, Output)]
    assert [event for event in events[2:] if not isinstance(event, Output)] == after


def test_a_block_that_the_end_of_the_stream_leaves_open() -> None:
    events = parse(b"ok 1 a\n ---\n log: |\n  x\n")
    assert diagnostics(events) == ["yaml-open"]
    assert events[-1] == point(1, "a", block=b" log: |\n  x\n")


def test_a_block_after_other_tap_belongs_to_nothing() -> None:
    events = parse(b"ok 1 a\n1..2\n ---\n log: |\n  ok 2\n ...\n")
    assert points(events) == [point(1, "a")]


def test_a_point_is_reported_when_the_next_line_of_tap_comes() -> None:
    parser = Parser()
    assert parser.feed(b"* 1 a\n") == [Started(1, "a", 0)]
    assert parser.feed(b"ok 1 a\n") == []
    assert parser.feed(b"* 2 b\n") == [point(1, "a"), Started(2, "b", 0)]


def test_a_point_is_reported_when_its_block_is_closed() -> None:
    parser = Parser()
    assert parser.feed(b"ok 1 a\n ---\n x: 1\n") == []
    assert parser.feed(b" ...\n") == [point(1, "a", block=b" x: 1\n")]


def test_settle_gives_up_waiting_for_a_block() -> None:
    parser = Parser()
    parser.feed(b"ok 1 a\n")
    assert parser.settle() == [point(1, "a")]
    parser.feed(b"ok 2 b\n ---\n")
    assert parser.settle() == []
    parser.feed(b" ...\nok 3 c\nok")
    assert parser.settle() == []


def test_an_end_mark_without_newline_may_close_a_block() -> None:
    whole = point(1, "a", block=b" x: 1\n")
    (last,) = parse(b"ok 1 a\n ---\n x: 1\n ...")
    assert isinstance(last, LastLine)
    assert last.whole == (whole,)
    assert diagnostics(list(last.cut)) == ["line-incomplete", "yaml-open"]
    assert diagnostics(parse(b"ok 1 a\n ---\n x: 1\n ..")) == ["yaml-open"]


def test_log_and_time_of_odd_blocks() -> None:
    def of(block: bytes) -> tuple[str, float | None]:
        one = point(1, block=block)
        return one.log, one.seconds

    assert of(b"") == ("", None)
    assert of(b" time_us: 5\n") == ("", 5e-6)
    assert of(b" log: |\n  time_us: 5\n") == ("time_us: 5", None)
    assert of(b" log: |\n    deeper\n  less\n") == ("  deeper\nless", None)
    assert of(b" log: |\n  a\n\n  b\n") == ("a\n\nb", None)
    assert of(b" log: |\n  a\n time_us: 5\n") == ("a", None)
    assert of(b" time_us: -5\n log: |-\n  \x1b\x00\xff\n")[0] == "\x1b\x00\\xff"
    assert of(b"  message: x\n  got:\n    - 1\n") == ("message: x\ngot:\n  - 1", None)
    assert of(b"  log: |\n      a\n       b\n  at: c\n") == ("a\n b", None)
    assert of(b" time_us: " + b"9" * 5000 + b"\n")[1] is None
    assert of(b"no block at all") == ("no block at all", None)


@pytest.mark.parametrize(
    ("body", "message"),
    [
        (b"  message: 'broken'\n  severity: fail\n", "broken"),
        (b"  duration_ms: 1\n  error: |-\n    not equal:\n    \n    1 !== 2\n", "not equal:"),
        (b'  error: "it\'s"\n', "it's"),
        (b"  error:\n      name: E\n      message: 'is 2'\n  at: x.mjs:2\n", "is 2"),
        (b"  operator: equal\n  expected: 2\n  actual:   1\n  at: y.js:3\n", "expected 2, got 1"),
        (b"  wanted: |-\n    a\n    b\n  found: c\n", "got c"),
        (b"  log: |\n    error: of the program\n", ""),
        (b"", ""),
    ],
)
def test_message_of_a_block(body: bytes, message: str) -> None:
    (one,) = points(parse(b"not ok 1 a\n  ---\n" + body + b"  ...\n"))
    assert one.message == message
