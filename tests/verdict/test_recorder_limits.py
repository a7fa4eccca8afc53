# SPDX-License-Identifier: GPL-2.0-only
"""Too much of anything, and any stream at all, in a recorder."""

import tracemalloc
from collections.abc import Iterator

from hypothesis import given, settings
from hypothesis import strategies as st

from lkltest.tap.parser import Parser
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit
from tests.verdict.recording import GOOD, K, problems, record


def test_output_is_kept_head_and_tail() -> None:
    noise = b"first\n" + b"x" * 1000 + b"\n" + b"noise\n" * 100_000 + b"last\n"
    result = record(GOOD.encode() + noise)
    assert result.output_tail.startswith("first\n")
    assert result.output_tail.endswith("last\n")
    assert "bytes cut ...]" in result.output_tail
    assert len(result.output_tail) < 200_000


def test_trouble_is_found_in_any_amount_of_output() -> None:
    noise = b"noise noise noise noise\n" * 30_000
    assert problems(record(GOOD.encode() + noise + b"BUG: x\n" + noise)) == [(K.BUG, None)]


def test_problems_are_bounded() -> None:
    result = record("1..1\n" + "ok 1 a\n" * 5000)
    assert len(result.problems) < 50
    assert result.problems[-1].reason.endswith("more of this kind")
    assert len(result.points) == 5000


def stream_of(points: int) -> Iterator[bytes]:
    yield b"1..%d # x\n" % points
    for number in range(1, points + 1):
        yield b"* %d a\nok %d a\n ---\n time_us: 1\n log: |\n" % (number, number)
        yield b"  kernel line\n" * 20 + b" ...\n"


def peak(points: int) -> int:
    recorder, parser = Recorder(keep=False), Parser()
    tracemalloc.start()
    for chunk in stream_of(points):
        for event in parser.feed(chunk):
            recorder.add(event)
    assert recorder.finish(Exit(0)).passed
    highest = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    return highest


def test_constant_memory_when_not_kept() -> None:
    assert peak(1200) < peak(400) + 100_000


def test_on_passed_is_called_in_place_of_results() -> None:
    called: list[tuple[str, float | None, str]] = []
    recorder = Recorder(keep=False, on_passed=lambda *said: called.append(said))
    parser = Parser()
    returned = []
    for event in parser.feed(b"1..3\nok 1 a\nnot ok 2 b\nok 3 c # SKIP\n") + parser.close():
        returned += recorder.add(event)
    assert called == [("a", None, "")]
    assert [point.name for point in returned] == ["b", "c"]


def test_what_follows_a_point_that_was_handed_out_names_it() -> None:
    recorder = Recorder(keep=False, on_passed=lambda *said: None)
    parser = Parser()
    for event in parser.feed(b"1..2\nok 1 a\nok 2 b\nBUG: bad\n") + parser.close():
        recorder.add(event)
    (problem,) = recorder.finish(Exit(0)).problems
    assert problem.reason.endswith("(after b)")


PIECES = st.sampled_from(
    [
        b"1..2 # x\n", b"1..0 # y\n", b"ok 1 a\n", b"not ok 2 b\n", b"* 1 a\n", b"* 2 b\n",
        b"ok\n", b" ---\n", b" log: |\n", b"  text\n", b" ...\n", b"Bail out!\n", b"    ok 1 s\n",
        b"    1..1\n", b"# Subtest: s\n", b"TAP version 14\n", b"KTAP version 1\n", b"BUG: w\n",
        b"ok 99999999999\n", b"\xff\x00\x1b[31m\n", b"no newline",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=25).map(b"".join) | st.binary(max_size=200))
@settings(max_examples=300)
def test_any_stream_gives_a_sound_tree(data: bytes) -> None:
    result = record(data)
    if result.passed:
        # What is glued to output is no result; only a plan without points does not miss it.
        assert b"not ok" not in data.replace(b"no newlinenot ok 2 b\n", b"")
        assert b"BUG: " not in data
        assert b"1.." in data
    for ending in (Exit(1), Exit(None, 11, "signalled"), Exit(None, 9, "stall")):
        assert not record(data, ending).passed
