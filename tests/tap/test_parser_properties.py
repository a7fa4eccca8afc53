# SPDX-License-Identifier: GPL-2.0-only
"""Properties of every stream: chunks do not matter, no bytes raise, nothing is forged."""

from hypothesis import given
from hypothesis import strategies as st

from lkltest.tap.parser import Diagnostic, Event, Output, Parser, Point

# What streams are made of, whole lines and broken ones: a bait for every rule of the parser.
PIECES = [
    b"TAP version 13\n",
    b"KTAP version 1\n",
    b"  KTAP version 1\n",
    b"1..3 # boot\n",
    b"1..0 # SKIP x\n",
    b"    1..2\n",
    b"* 1 a\n",
    b"* 2 b\n",
    b"ok 1 a\n",
    b"ok 2 b\r\n",
    b"not ok 3 - c # TODO d\n",
    b"ok\n",
    b"ok 99999999999 x\n",
    b"  ok 3\n",
    b"    ok 1 x\n",
    b"\tok 4\n",
    b"    # Subtest: x\n",
    b"ok 4 - n {\n",
    b"    ok 1 - o { # TODO p\n",
    b"}\n",
    b"    }\n",
    b"# c\n",
    b"Bail out! x\n",
    b"pragma +x\n",
    b" ---\n",
    b"  ---\n",
    b" --- \n",
    b"      ---\n",
    b"---\n",
    b" ...\n",
    b"  ...\n",
    b" ... \n",
    b"      ...\n",
    b" time_us: 12\n",
    b" log: |\n",
    b"  text\n",
    b"stray\n",
    b"\n",
    b" \n",
    b"\r\r\n",
    b"\x1b[32mok 9 z\x1b[0m\n",
    b"[    0.123456] ok 1 k\n",
    b"\xff\x00ok 1\n",
    b"ok 1 ",
    b"- ",
    b"x",
    b"\x1b",
    b"[",
    b"m",
    b"\r",
]
streams = st.lists(st.sampled_from(PIECES) | st.binary(max_size=8), max_size=40).map(b"".join)


def parse(chunks: list[bytes], *, printk: bool = False) -> list[Event]:
    parser = Parser(printk=printk)
    events = [event for chunk in chunks for event in parser.feed(chunk)]
    return events + parser.close()


def points(events: list[Event]) -> list[Point]:
    return [event for event in events if isinstance(event, Point)]


@given(streams, st.lists(st.integers(0, 400), max_size=8), st.booleans())
def test_any_chunks_give_the_same_events(stream: bytes, cuts: list[int], printk: bool) -> None:
    whole = parse([stream], printk=printk)
    assert whole == parse([stream], printk=printk)
    # Line by line there is nothing to look ahead to: the quick ways read as the slow one does.
    assert whole == parse(stream.splitlines(keepends=True), printk=printk)
    assert whole == parse([stream[i : i + 1] for i in range(len(stream))], printk=printk)
    ends = [*sorted(cuts), len(stream)]
    parts = [stream[i:j] for i, j in zip([0, *ends], ends, strict=False)]
    assert whole == parse(parts, printk=printk)


@given(st.binary(max_size=2000) | streams)
def test_no_bytes_raise(stream: bytes) -> None:
    for event in parse([stream]):
        if isinstance(event, Point):
            assert isinstance(event.log, str)
            assert event.seconds is None or event.seconds >= 0


@given(st.binary(max_size=300))
def test_no_block_makes_its_log_raise(block: bytes) -> None:
    for prefix in (b"", b" log: |\n", b"  log: |\n", b" time_us: "):
        point = Point(True, 1, "x", "", "", prefix + block, 0)
        assert isinstance(point.log, str)
        assert point.seconds is None or point.seconds >= 0


@given(streams)
def test_nothing_in_a_log_counts(text: bytes) -> None:
    # However the program's text reads: LKL puts two spaces before each of its lines.
    log = b"".join(b"  " + line + b"\n" for line in text.split(b"\n"))
    before, after = b"ok 1 a\n ---\n time_us: 5\n log: |\n", b" ...\n* 2 b\nok 2 b\n"
    first, _started, second = parse([before + log + after])
    assert isinstance(first, Point)
    assert (first.ok, first.number, first.name) == (True, 1, "a")
    assert isinstance(second, Point)
    assert (second.ok, second.number, second.name) == (True, 2, "b")


@given(streams, st.integers(0, 400))
def test_a_cut_stream_gives_no_point_that_the_whole_has_not(stream: bytes, cut: int) -> None:
    def bare(events: list[Event]) -> list[Point]:
        return [point._replace(block=b"") for point in points(events)]

    whole, part = bare(parse([stream])), bare(parse([stream[:cut]]))
    assert part == whole[: len(part)]


@given(streams)
def test_an_unfinished_end_is_damage(stream: bytes) -> None:
    events = parse([stream])
    if any(isinstance(event, Output) and event.data[-1:] != b"\n" for event in events):
        assert any(isinstance(event, Diagnostic) for event in events)
    opened = parse([stream + b"\nok 7 q\n ---\n x: 1\n"])
    last = opened[-1]
    if isinstance(last, Point) and last.name == "q":
        assert any(isinstance(event, Diagnostic) and event.what == "yaml-open" for event in opened)
