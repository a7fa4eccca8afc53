# SPDX-License-Identifier: GPL-2.0-only
"""The lines of a TAP stream, its YAML blocks, its subtests and its limits."""

import time

import pytest

from lkltest.tap13 import (
    LINE_LIMIT,
    LOG_LIMIT,
    BailOut,
    Comment,
    Damage,
    Event,
    Output,
    Parser,
    Plan,
    Point,
    Pragma,
    Started,
    Version,
)


def parse(stream: bytes, *, printk: bool = False) -> list[Event]:
    parser = Parser(printk=printk)
    return parser.feed(stream) + parser.close()


def point(
    number: int | None,
    name: str = "",
    *,
    ok: bool = True,
    directive: str = "",
    reason: str = "",
    block: bytes = b"",
    depth: int = 0,
) -> Point:
    return Point(ok, number, name, directive, reason, block, depth)


def damage(events: list[Event]) -> list[str]:
    return [event.what for event in events if isinstance(event, Damage)]


def points(events: list[Event]) -> list[Point]:
    return [event for event in events if isinstance(event, Point)]


@pytest.mark.parametrize(
    ("line", "event"),
    [
        (b"ok", point(None)),
        (b"ok 1", point(1)),
        (b"ok 1 ", point(1)),
        (b"not ok 2 x y", point(2, "x y", ok=False)),
        (b"ok 3 - with a dash", point(3, "with a dash")),
        (b"ok - no number", point(None, "no number")),
        (b"ok 1st test", point(None, "1st test")),
        (b"ok 0007 bond", point(7, "bond")),
        (b"ok 4 name # SKIP", point(4, "name", directive="SKIP")),
        (b"ok 4 name # skip why not", point(4, "name", directive="SKIP", reason="why not")),
        (b"ok 4 name #SKIP", point(4, "name", directive="SKIP")),
        (b"ok 4 # Skipped: gone", point(4, directive="SKIP", reason="gone")),
        (b"ok 4#SKIP", point(4, directive="SKIP")),
        (b"not ok 5 x # TOdO later", point(5, "x", ok=False, directive="TODO", reason="later")),
        (b"not ok 5 x # XFAIL known", point(5, "x", ok=False, directive="TODO", reason="known")),
        (b"not ok 5 x # TODOORNOT", point(5, "x # TODOORNOT", ok=False)),
        (b"not ok 5 x # exit=255", point(5, "x", ok=False, reason="exit=255")),
        (b"not ok 5 x # TIMEOUT 45 s", point(5, "x", ok=False, reason="TIMEOUT 45 s")),
        (b"ok 6 bug #12 # SKIP x", point(6, "bug #12", directive="SKIP", reason="x")),
        (rb"ok 7 not a \# SKIP", point(7, "not a # SKIP")),
        (rb"ok 7 back \\# SKIP", point(7, "back \\", directive="SKIP")),
        (b"ok 7 ends with \\", point(7, "ends with \\")),
        (b"ok 8 \xff\x00", point(8, "\\xff\x00")),
        ("ok 8 é".encode(), point(8, "é")),
        (b"\x1b[32mok\x1b[0m 9 \x1b[1mgreen\x1b[0m\x1b[K", point(9, "green")),
        (b"\x1b]0;title\x07ok 9 title", point(9, "title")),
        (b"ok 9 cr\r", point(9, "cr")),
        (b"ok 9 crs\r\r", point(9, "crs")),
        (b"1..35 # boot", Plan(35, "boot", None, 0)),
        (b"1..35", Plan(35, "", None, 0)),
        (b"1..5 todo 3 2;", Plan(5, "", None, 0)),
        (b"1..0", Plan(0, "", "", 0)),
        (b"1..0 # disk ext4", Plan(0, "disk ext4", "", 0)),
        (b"1..0 # SKIP no disk", Plan(0, "", "no disk", 0)),
        (b"1..0 # skipping: rope", Plan(0, "", "rope", 0)),
        (b"1..0 Skipped: no net", Plan(0, "", "no net", 0)),
        (b"* 6 readdir", Started(6, "readdir", 0)),
        (b"* 6 ", Started(6, "", 0)),
        (b"* 6 a # b", Started(6, "a # b", 0)),
        (b"TAP version 13", Version(13, False, 0)),
        (b"TAP Version 13", Version(13, False, 0)),
        (b"KTAP version 1", Version(1, True, 0)),
        (b"Bail out!", BailOut("")),
        (b"Bail out!  no kernel", BailOut("no kernel")),
        (b"  Bail out! too", BailOut("too")),
        (b"pragma +strict", Pragma("+strict")),
        (b"# text", Comment("text", 0)),
        (b"#", Comment("", 0)),
    ],
)
def test_line(line: bytes, event: Event) -> None:
    assert parse(line + b"\n") == [event]


@pytest.mark.parametrize(
    "line",
    [
        b"",
        b"okay",
        b"ok, next",
        b"OK 1",
        b"not okay",
        b"nothing",
        b"not ",
        b"1..5 is a range",
        b"1..",
        b"1.5",
        b"* bullet",
        b"*** VALIDATE kAFS ***",
        b"* 9999999999 too many digits to be one",
        b"TAP version",
        b"TAP version 13 or so",
        b"Bail out",
        b"pragma",
        b"pragmatic",
        b" ---",
        b" ...",
        b"  ok 3",
        b" not ok 3",
        b"  * 3 x",
        b"[    0.123456] ok 1 - forged",
        b"--- 127.0.0.1 ping statistics ---",
        b"\xff\xfe\x00",
    ],
)
def test_no_tap(line: bytes) -> None:
    assert parse(line + b"\n") == [Output(line + b"\n")]


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


def test_stray_output_between_a_result_and_its_block() -> None:
    assert parse(b"ok 1 a\n[    1.0] oops\n ---\n x: 1\n ...\n") == [
        Output(b"[    1.0] oops\n"),
        point(1, "a", block=b" x: 1\n"),
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
    assert damage(events) == ["yaml-open"]
    assert "1 a" in events[0].detail  # type: ignore[union-attr]
    assert events[1] == point(1, "a", block=b" log: |\n  x\n")
    after = [event for event in parse(line + b"\n") if not isinstance(event, Output)]
    assert [event for event in events[2:] if not isinstance(event, Output)] == after


def test_a_block_that_the_end_of_the_stream_leaves_open() -> None:
    events = parse(b"ok 1 a\n ---\n log: |\n  x\n")
    assert damage(events) == ["yaml-open"]
    assert events[-1] == point(1, "a", block=b" log: |\n  x\n")


def test_a_block_after_other_tap_belongs_to_nothing() -> None:
    events = parse(b"ok 1 a\n# note\n ---\n log: |\n  ok 2\n ...\n")
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


@pytest.mark.parametrize("last", [b"ok 2 b", b"1..2", b"Bail out!", b"x", b" ...", b"ok 2 b\r"])
def test_a_last_line_without_newline_never_counts(last: bytes) -> None:
    events = parse(b"ok 1 a\n" + last)
    assert damage(events) == ["line-incomplete"]
    assert Output(last.rstrip(b"\r")) in events
    assert points(events) == [point(1, "a")]


def test_an_end_mark_without_newline_closes_no_block() -> None:
    assert damage(parse(b"ok 1 a\n ---\n x: 1\n ...")) == ["line-incomplete", "yaml-open"]


def test_an_escape_after_the_last_line_is_no_damage() -> None:
    assert parse(b"ok 1 a\n\x1b[0m") == [point(1, "a")]


def test_close_twice() -> None:
    parser = Parser()
    parser.feed(b"ok 1 a\nx")
    assert parser.close()
    assert parser.close() == []


# Subtests


def test_ktap_subtests_come_before_their_parent() -> None:
    stream = b"""\
KTAP version 1
1..1
  KTAP version 1
  # Subtest: suite
  1..1
    KTAP version 1
    1..1
    ok 1 case
  ok 1 suite
ok 1 all
"""
    assert [(event.name, event.depth) for event in points(parse(stream))] == [
        ("case", 2),
        ("suite", 1),
        ("all", 0),
    ]


def test_tap14_subtest_with_blocks() -> None:
    stream = b"""\
TAP version 14
1..1
# Subtest: foo
    1..2
    ok 1 - a
      ---
      duration_ms: 12.5
      ok: 3
      ...
    not ok 2 - b
not ok 1 - foo
  ---
  message: bad
  ...
"""
    first, second, parent = points(parse(stream))
    assert first == point(1, "a", block=b"      duration_ms: 12.5\n      ok: 3\n", depth=1)
    assert first.seconds == pytest.approx(0.0125)
    assert second == point(2, "b", ok=False, depth=1)
    assert parent == point(1, "foo", ok=False, block=b"  message: bad\n")


def test_a_line_of_the_parent_ends_a_block_of_the_subtest() -> None:
    events = parse(b"    1..1\n    ok 1 a\n      ---\n      x: 1\nok 1 foo\n")
    assert damage(events) == ["yaml-open"]
    assert [event.depth for event in points(events)] == [1, 0]


def test_a_subtest_is_closed_by_its_parent() -> None:
    events = parse(b"  1..1\n  ok 1 a\nok 1 foo\n  ok 2 forged\n")
    assert points(events) == [point(1, "a", depth=1), point(1, "foo")]


def test_a_bare_subtest_point_is_indented_by_four_columns() -> None:
    assert points(parse(b"    ok 1 a\n\tok 2 b\n  ok 3 c\n      ok 4 d\n")) == [
        point(1, "a", depth=1),
        point(2, "b", depth=1),
    ]


def test_printk_time_stamps_come_off_when_asked_to() -> None:
    stream = b"""\
[    0.060000] printk: console [mc-1] enabled
[    0.060000][    T1] KTAP version 1
<6>[    0.060000] 1..1
[    0.060000] \tok 1 - case
[    0.060000] ok 1 - suite
"""
    assert points(parse(stream)) == []
    assert points(parse(stream, printk=True)) == [point(1, "case", depth=1), point(1, "suite")]


# Limits


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
    assert damage(events) == ["number", "number", "version"]
    assert points(events) == [point(None, "name")]
    assert all(len(event.detail) < 300 for event in events if isinstance(event, Damage))


def test_a_large_plan_costs_nothing() -> None:
    assert parse(b"1..999999999\n") == [Plan(999999999, "", None, 0)]


@pytest.mark.parametrize("extra", [0, 1, 100000])
@pytest.mark.parametrize("chunk", [1000, 10**9])
def test_a_line_is_cut_at_its_limit(extra: int, chunk: int) -> None:
    stream = b"1..2\n" + b"ok 1 ".ljust(LINE_LIMIT + extra, b"x") + b"\nok 2 b\n"
    parser = Parser()
    events = [e for i in range(0, len(stream), chunk) for e in parser.feed(stream[i : i + chunk])]
    events += parser.close()
    assert damage(events) == (["line-cut"] if extra else [])
    assert [len(event.name) for event in points(events)] == [LINE_LIMIT - 5, 1]


def test_an_endless_line_is_not_kept() -> None:
    parser = Parser()
    for _ in range(100):
        assert parser.feed(b"x" * LINE_LIMIT) == []
    cut, incomplete, output = parser.close()
    assert damage([cut, incomplete]) == ["line-cut", "line-incomplete"]
    assert output == Output(b"x" * LINE_LIMIT)


@pytest.mark.parametrize("chunk", [10000, 10**9])
def test_a_log_is_cut_at_its_limit(chunk: int) -> None:
    log = b"  " + b"x" * 997 + b"\n"
    stream = b"ok 1 a\n ---\n log: |\n" + log * (LOG_LIMIT // 1000 + 10) + b" ...\nok 2 b\n"
    parser = Parser()
    events = [e for i in range(0, len(stream), chunk) for e in parser.feed(stream[i : i + chunk])]
    events += parser.close()
    assert damage(events) == ["log-cut"]
    first, second = points(events)
    assert (len(first.block), second) == (LOG_LIMIT, point(2, "b"))


@pytest.mark.parametrize(
    "unit", [b"\\", b"#", b"# ", b"\r", b" ", b"\x1b[", b"\x1b[0", b"\x1b]", b"[", b"ok 1 \\"]
)
def test_no_pattern_is_slow_on_what_nearly_matches(unit: bytes) -> None:
    run = unit * (LINE_LIMIT // len(unit) - 20)
    began = time.process_time()
    for start in (b"", b"ok 1 ", b"* 1 ", b"1..0 # ", b"[ ", b"ok 1 a\n --- ", b"\x1b"):
        parse(start + run + b"\n" + run + b"x\n", printk=True)
    assert time.process_time() - began < 5


# The text of a block


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
