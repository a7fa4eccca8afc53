# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.guest.deinterleave: lines that kernel messages cut are whole again."""

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkltest.guest.deinterleave import Deinterleaver

KERNEL = b"[    1.250000] random: crng init done\r\n"


def rejoined(*chunks: bytes) -> tuple[bytes, list[str]]:
    rejoiner = Deinterleaver()
    out = b"".join(rejoiner.feed(chunk) for chunk in chunks)
    return out + rejoiner.close(), rejoiner.diagnostics


@pytest.mark.parametrize(
    ("console", "expected"),
    [
        (b"ok 5 na" + KERNEL + b"me\r\n", KERNEL + b"ok 5 name\r\n"),
        # The newline alone came late.
        (b"ok 5 name" + KERNEL + b"\r\nok 6 x\r\n", KERNEL + b"ok 5 name\r\nok 6 x\r\n"),
        # Several messages, one after the other.
        (b"ok 5 na" + KERNEL * 2 + b"me\r\n", KERNEL * 2 + b"ok 5 name\r\n"),
        # Cut twice.
        (b"ok " + KERNEL + b"5 na" + KERNEL + b"me\r\n", KERNEL * 2 + b"ok 5 name\r\n"),
        # A message that cut a line, and was cut by another one behind its stamp.
        (
            b"ok 5 na[    1.250000][    T1][    1.500000] x\n link is up\nme\n",
            b"[    1.500000] x\n[    1.250000][    T1] link is up\nok 5 name\n",
        ),
        # With the thread that printed it.
        (
            b"ok 5 na[    1.250000][    T7] x\nme\n",
            b"[    1.250000][    T7] x\nok 5 name\n",
        ),
        # A kernel message before and after whole lines.
        (KERNEL + b"ok 1 a\n" + KERNEL, KERNEL + b"ok 1 a\n" + KERNEL),
        # A program that prints the log: older stamps, or nothing but an indentation before.
        (KERNEL + b"log: [    0.100000] old\nnext\n", None),
        (b"  [    9.100000] text of a YAML block\n ...\n", None),
        # No stamp of a kernel's.
        (b"a [12] b [1.5] c\nnext\n", None),
    ],
)
def test_lines(console: bytes, expected: bytes | None) -> None:
    assert rejoined(console) == (console if expected is None else expected, [])


def test_what_cannot_be_put_back_is_said() -> None:
    out, diagnostics = rejoined(b"ok 5 na" + KERNEL + b"ok 6 other\n")
    assert out == KERNEL + b"ok 5 na\nok 6 other\n"
    assert diagnostics == ["a kernel message cut 'ok 5 na' short, the next line is a whole one"]


def test_a_rest_that_never_comes() -> None:
    out, diagnostics = rejoined(b"ok 5 na" + KERNEL)
    assert out == KERNEL + b"ok 5 na"
    assert diagnostics == ["a kernel message cut 'ok 5 na' short, its rest never came"]


def test_a_failure_cut_by_a_message_that_is_cut_itself_is_said() -> None:
    console = b"not [    1.250000][    T1][    1.500000] x\n link is up\nok 9 icmp\n"
    _, diagnostics = rejoined(console)
    assert diagnostics == ["a kernel message cut 'not' short, the next line is a whole one"]


def test_an_endless_line_is_not_held() -> None:
    rejoiner = Deinterleaver()
    assert len(rejoiner.feed(b"x" * 200_000)) == 200_000


TEXT = st.lists(
    st.sampled_from([b"ok 1 a\r\n", b"ok 2 ", b"rest\n", KERNEL, b"\n", b"[", b"  x\n", b"\xff"])
).map(b"".join)


@given(TEXT, st.lists(st.integers(0, 200), max_size=5))
def test_any_chunking_gives_the_same(text: bytes, cuts: list[int]) -> None:
    bounds = sorted({0, len(text), *(cut for cut in cuts if cut < len(text))})
    chunks = [text[a:b] for a, b in pairwise(bounds)]
    assert rejoined(*chunks) == rejoined(text)


@given(TEXT)
def test_no_byte_is_lost(text: bytes) -> None:
    out, diagnostics = rejoined(text)
    # A diagnostic adds a newline where a line was cut for good.
    assert len(text) <= len(out) <= len(text) + len(diagnostics)
