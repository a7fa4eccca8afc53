# SPDX-License-Identifier: GPL-2.0-only
"""The lines of a TAP stream, and its subtests."""

import pytest

from lkltest.tap.parser import (
    BailOut,
    Comment,
    Event,
    LastLine,
    Output,
    Parser,
    Plan,
    Pragma,
    Started,
    Version,
)
from tests.tap.parsing import diagnostics, parse, point, points


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
        (b"ok 4 name # SKIP -", point(4, "name", directive="SKIP")),
        (b"ok 4 name #SKIP", point(4, "name", directive="SKIP")),
        (b"ok 4 # Skipped: gone", point(4, directive="SKIP", reason="gone")),
        (b"ok 4 #SKIP", point(4, directive="SKIP")),
        (b"ok 4#SKIP", point(4, "#SKIP")),
        (b"not ok 5 x # TOdO later", point(5, "x", ok=False, directive="TODO", reason="later")),
        (b"not ok 5 x # XFAIL known", point(5, "x", ok=False, directive="TODO", reason="known")),
        (b"not ok 5 x # TODOORNOT", point(5, "x # TODOORNOT", ok=False)),
        (b"not ok 5 x # exit=255", point(5, "x", ok=False, reason="exit=255")),
        (b"not ok 5 x # TIMEOUT 45 s", point(5, "x", ok=False, reason="TIMEOUT 45 s")),
        (b"ok 6 bug #12 # SKIP x", point(6, "bug #12", directive="SKIP", reason="x")),
        (rb"ok 7 not a \# SKIP", point(7, "not a # SKIP")),
        (rb"ok 7 back \\ # SKIP", point(7, "back \\", directive="SKIP")),
        (rb"not ok 7 back \\# TODO", point(7, r"back \# TODO", ok=False)),
        (rb"ok 7 x # TODO see \#3", point(7, "x", directive="TODO", reason="see #3")),
        (b"not ok 7 /help.html#todo", point(7, "/help.html#todo", ok=False)),
        (b"not ok 7 says '# todo' twice", point(7, "says '# todo' twice", ok=False)),
        (b'not ok 7 "a # todo b"', point(7, '"a # todo b"', ok=False)),
        (
            b"not ok 7 can't # TODO it's",
            point(7, "can't", ok=False, directive="TODO", reason="it's"),
        ),
        (b"not ok 7 a # b # todo", point(7, "a # b # todo", ok=False)),
        (b"not ok 7 a # todo # b", point(7, "a # todo # b", ok=False)),
        (b"not ok 7 bug #12 # TODO", point(7, "bug #12", ok=False, directive="TODO")),
        (b"not ok 7 x # TODO bug #12", point(7, "x", ok=False, directive="TODO", reason="bug #12")),
        (b"ok 7 x # time=12.5ms", point(7, "x", took=0.0125)),
        (b"ok 7 x # SKIP y # time=2s", point(7, "x", directive="SKIP", reason="y", took=2.0)),
        (b"ok 7 x # time=soon", point(7, "x # time=soon")),
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
        (b"BAIL OUT! loud", BailOut("loud")),
        (b"bail out!", BailOut("")),
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
        b"1..0 to go",
        b"1..0 + SKIP x",
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


@pytest.mark.parametrize(
    ("last", "event"),
    [
        (b"x", Output(b"x\n")),
        (b"# x\r", Comment("x", 0)),
        (b"Bail out! x", BailOut("x")),
        (b"* 2 b", Started(2, "b", 0)),
    ],
)
def test_a_last_line_without_newline(last: bytes, event: Event) -> None:
    assert parse(b"ok 1 a\n" + last)[-1] == event


def test_a_result_without_newline_may_be_cut() -> None:
    (first, last) = parse(b"ok 1 a\nok 2 b\r")
    assert first == point(1, "a")
    assert isinstance(last, LastLine)
    assert last.whole == (point(2, "b"),)
    assert diagnostics(list(last.cut)) == ["line-incomplete"]
    assert points(list(last.cut)) == []


def test_a_plan_without_newline_never_counts() -> None:
    events = parse(b"ok 1 a\n1..2")
    assert diagnostics(events) == ["line-incomplete"]
    assert not any(isinstance(event, Plan) for event in events)


# Lines that somebody else writes into

MESSAGE = b"[    1.250000] random: crng init done\n"


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        (b"not " + MESSAGE + b"ok 2 b\n", [point(2, "b", ok=False)]),
        (b"not [  1.0] message\nok 2 b\n", [point(2, "b", ok=False)]),
        (b"not <6>[  1.0][    T1] x\nok 2 b\n", [point(2, "b", ok=False)]),
        (b"no" + MESSAGE + b"t ok 2 b\n", [point(2, "b", ok=False)]),
        (b"not o" + MESSAGE * 3 + b"k 2 b\n", [point(2, "b", ok=False)]),
        (b"    1..1\n    not " + MESSAGE + b"    ok 2 b\n", [point(2, "b", ok=False, depth=1)]),
        (b"not" + MESSAGE + b" ok 2 b\n", [point(2, "b", ok=False)]),
        (b"not \nok 2 b\n", [point(2, "b", ok=False)]),
        (b"not\n" + MESSAGE + b"ok 2 b\n", [point(2, "b", ok=False)]),
        (b"not\nso\nok 2 b\n", [point(2, "b")]),
        (b" not " + MESSAGE + b"ok 2 b\n", [point(2, "b", ok=False)]),
        (b"o" + MESSAGE + b"k 2 b\n", [point(2, "b")]),
        (b"ok 2 na" + MESSAGE + b"me\n", [point(2, "name")]),
        (b"ok 2 b" + MESSAGE + b"\nok 3 c\n", [point(2, "b"), point(3, "c")]),
        (b"ok 2 b" + MESSAGE + b"ok 3 c\n", [point(2, "b"), point(3, "c")]),
        (b"1..1 " + MESSAGE + b"# disk ext4\nok 1 b\n", [point(1, "b")]),
        (b"1..1" + MESSAGE + b" # disk ext4\nok 1 b\n", [point(1, "b")]),
        (b"ok 2 b\r\n" + MESSAGE + b"# SKIP\n", [point(2, "b")]),
        (b"ok 2 b" + MESSAGE + b"  ---\n  x: 1\n  ...\n", [point(2, "b", block=b"  x: 1\n")]),
        (b"ok 2 b\n ---\n x: 1\n ." + MESSAGE + b"..\n", [point(2, "b", block=b" x: 1\n")]),
        (
            b"ok 2 b\n  ---\n  " + MESSAGE + b" ...\n  ...\n",
            [point(2, "b", block=b"  " + MESSAGE)],
        ),
        (b"ok 2 b\n ---\n ..." + MESSAGE + b"\nok 3 c\n", [point(2, "b"), point(3, "c")]),
        # Text about messages.
        (b"ok 2 b\n ---\n  a: " + MESSAGE + b" ...\n", [point(2, "b", block=b"  a: " + MESSAGE)]),
        (b"a note: " + MESSAGE + b"ok 2 b\n", [point(2, "b")]),
    ],
)
def test_a_line_that_a_message_tore(stream: bytes, expected: list[Event]) -> None:
    events = parse(stream)
    assert points(events) == expected
    assert diagnostics(events) == []


def test_a_line_whose_message_is_torn_itself() -> None:
    message = b"[   99.250000][    T1] BUG: x\n"
    for cut in range(1, message.index(b"B") + 1):
        events = parse(b"1..1\nnot " + message[:cut] + MESSAGE + message[cut:] + b"ok 1 a\n")
        assert Output(message) in events
        assert points(events) == [point(1, "a", ok=False)]
    lost = parse(b"1..1\nnot [" + MESSAGE + b"0] eth0: ready\nok 1 a\n")
    assert diagnostics(lost) == ["line-torn"]


@pytest.mark.parametrize("torn", [b"no", b"1..1", b"Bail ou"])
def test_a_torn_line_whose_rest_is_missing(torn: bytes) -> None:
    assert diagnostics(parse(torn + MESSAGE + b"ok 2 b\n")) == ["line-torn"]


def test_a_torn_plan_that_is_too_large() -> None:
    assert diagnostics(parse(b"1." + MESSAGE + b"." + b"9" * 30 + b"\n")) == ["number"]


def test_a_torn_line_and_its_comment_are_one() -> None:
    events = parse(b"1..3 " + MESSAGE + b"# disk ext4\n")
    assert [event.name for event in events if isinstance(event, Plan)] == ["disk ext4"]
    (excused,) = points(parse(b"not ok 1 b " + MESSAGE + b"# TODO later\n"))
    assert excused.directive == "TODO"


def test_a_last_line_that_is_torn() -> None:
    assert Started(1, "set", 0) in parse(b"1..1\n* 1 set" + MESSAGE[:-1])
    (*_, last) = parse(b"1..1\nok 1 set" + MESSAGE[:-1])
    assert isinstance(last, LastLine) and points(list(last.whole)) == [point(1, "set")]


def test_a_torn_bail_out() -> None:
    assert BailOut("x") in parse(b"Bail " + MESSAGE + b"out! x\n")


def test_a_carriage_return_before_a_point() -> None:
    assert parse(b"\r10 %\r50 %\rok 1 a\n") == [Output(b"10 %\n"), Output(b"50 %\n"), point(1, "a")]
    assert parse(b"10 %\r50 %\n") == [Output(b"10 %\r50 %\n")]


@pytest.mark.parametrize("end", [b"\n", b""])
def test_a_carriage_return_that_ran_two_lines_together(end: bytes) -> None:
    events = parse(b"ok 1 a\rnot ok 2 b" + end)
    if isinstance(events[-1], LastLine):
        events = list(events[-1].whole)
    assert diagnostics(events) == ["line-torn"]
    assert points(events) == [point(1, "a"), point(2, "b", ok=False)]


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
    assert diagnostics(events) == ["yaml-open"]
    assert [event.depth for event in points(events)] == [1, 0]


def test_a_subtest_is_closed_by_its_parent() -> None:
    events = parse(b"  1..1\n  ok 1 a\nok 1 foo\n  ok 2 forged\n")
    assert points(events) == [point(1, "a", depth=1), point(1, "foo")]


def test_a_bare_subtest_point_is_indented_by_four_columns() -> None:
    assert points(parse(b"    ok 1 a\n\tok 2 b\n  ok 3 c\n      ok 4 d\n")) == [
        point(1, "a", depth=1),
        point(2, "b", depth=1),
    ]


def test_bare_subtests_of_any_depth() -> None:
    stream = b"        ok 1 deep\n        1..1\n    ok 1 middle\n    1..1\nok 1 outer\n1..1\n"
    assert points(parse(stream)) == [
        point(1, "deep", depth=2),
        point(1, "middle", depth=1),
        point(1, "outer"),
    ]


def test_comments_between_a_point_and_its_block() -> None:
    stream = b"ok 1 a\n# one\n# two\n ---\n x: 1\n ...\n# three\n"
    assert parse(stream) == [
        point(1, "a", block=b" x: 1\n"),
        Comment("one", 0),
        Comment("two", 0),
        Comment("three", 0),
    ]
    assert parse(b"ok 1 a\n# Subtest: b\n ---\n")[-1] == Output(b" ---\n")


def test_a_byte_order_mark_is_no_part_of_the_first_line() -> None:
    assert parse(b"\xef\xbb\xbf1..1\n") == [Plan(1, "", None, 0)]


PREFIXES = [
    b"[    0.060000] ",
    b"[    0.060000][    T1] ",
    b"<6>[    0.060000] ",
    b"kern  :info  : [    0.060000] ",
    b"[    0.060000 <    0.000021>] ",
    b"[  +0.000021] ",
    b"[Fri Nov 27 04:25:58 2026] ",
    b"[Nov27 04:25] ",
    b"2026-11-27T04:25:58,123456+00:00 ",
    b"Nov 27 04:25:58 host kernel: ",
    b"Nov 27 04:25:58 host kernel: [    0.060000] ",
    b"6,339,5140900,-;",
    b"6,339,5140900,-,caller=T1;",
    b"04:25:58.123 [    0.060000] ",
    b"2026-11-27T04:25:58.123456  <6>[    0.060000] ",
    b"2026-11-27T04:25:58.1234567Z [    0.060000][    T1] ",
    b"2026-11-27 04:25:58 [    0.060000] ",
]


@pytest.mark.parametrize("prefix", PREFIXES)
def test_a_kernel_log_is_found_out(prefix: bytes) -> None:
    lines = [
        b"printk: on",
        b"KTAP version 1",
        b"1..1",
        b"    1..1",
        b"    ok 1 case",
        b"ok 1 suite",
    ]
    stream = b"".join(prefix + line + b"\n" for line in lines)
    parser = Parser(printk=None)
    events = parser.feed(stream) + parser.close()
    assert points(events) == [point(1, "case", depth=1), point(1, "suite")]
    assert events[0] == Output(prefix + b"printk: on\n")


def test_a_kernel_log_in_a_stream_is_none() -> None:
    stream = b"1..1\nok 1 a\n[    0.060000] KTAP version 1\n[    0.060000] ok 1 b\n"
    parser = Parser(printk=None)
    assert points(parser.feed(stream) + parser.close()) == [point(1, "a")]


def test_a_subtest_whose_version_line_came_first_is_no_stream() -> None:
    for line in (b"ok 1 suite\n", b"ok 1 suite # SKIP x\n", b"KTAP version 1\n"):
        events = parse(b"  KTAP version 1\n" + line + b"  1..1\n", printk=True)
        assert diagnostics(events) == ["line-lost"]
        assert events[-1] == Plan(1, "", None, 1)


@pytest.mark.parametrize("line", [b"ok 1 a\n", b"ok 1 a # SKIP x\n"])
def test_a_version_within_a_stream_that_has_begun_is_that_of_a_subtest(line: bytes) -> None:
    events = parse(line + b"  KTAP version 1\n  1..1\n", printk=True)
    assert events[-1] == Plan(1, "", None, 1)


def test_a_version_behind_something_else_says_no_column() -> None:
    events = parse(b"1..1JKTAP version 1\n  KTAP version 1\n  1..1\n  ok 1 a\n", printk=True)
    assert points(events) == [point(1, "a", depth=1)]


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


# The text of a block
