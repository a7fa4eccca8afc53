# SPDX-License-Identifier: GPL-2.0-only
"""The reader of L4Re's console: what programs wrote comes back byte for byte."""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable

from hypothesis import given, settings
from hypothesis import strategies as st

from lkltest.hosts.l4re.console import ConsoleReader, Piece, strip_escapes

from .moe_log import Client, MoeLog

LOOKS_LIKE_TAG = re.compile(rb"(?m)^[^\n]{8}[|:] ")

text = (st.binary(max_size=30) | st.text("ab|: \n", max_size=30).map(str.encode)).map(
    lambda data: data.translate(None, b"\x1b\r")
)
tags = st.sampled_from(
    [b"lkl", b"lkl2", b"a", b"hello-10", b"longer-than-8", b"x | y", b"", b"a: b"]
)
colours = st.integers(min_value=0, max_value=15)
kernel_lines = st.sampled_from(
    [b"", b"Ned says: Hi World!", b"\x1b[31mKERNEL\x1b[m: Warning", b"ok 1"]
)


def streams(pieces: Iterable[Piece]) -> dict[bytes | None, bytes]:
    joined: dict[bytes | None, bytearray] = defaultdict(bytearray)
    for piece in pieces:
        joined[piece.tag] += piece.data
    return {tag: bytes(data) for tag, data in joined.items()}


def read(data: bytes, cuts: Iterable[int] = (), **options: bool) -> dict[bytes | None, bytes]:
    reader = ConsoleReader(**options)
    pieces: list[Piece] = []
    at = 0
    for cut in sorted(cut for cut in cuts if cut < len(data)):
        pieces += reader.feed(data[at:cut])
        at = cut
    pieces += reader.feed(data[at:])
    return streams([*pieces, *reader.close()])


@st.composite
def consoles(draw: st.DrawFn) -> tuple[bytes, dict[bytes | None, bytes]]:
    """The output of a serial line, and the text that was written for it."""
    names = draw(st.lists(tags, min_size=1, max_size=4, unique_by=lambda tag: tag[:8].ljust(8)))
    clients = [Client(tag, draw(colours)) for tag in names]
    log = MoeLog()
    log.wire += b"\x1b[1;32mWelcome\x1b[0m\n"
    written: dict[bytes | None, bytearray] = defaultdict(bytearray)
    written[None] += b"Welcome\n"
    steps = st.tuples(st.sampled_from(clients), text, kernel_lines | st.none())
    for client, message, beside in draw(st.lists(steps, max_size=30)):
        log.write(client, message)
        written[client.tag[:8].rstrip(b" ")] += message
        if beside is not None and log.wire.endswith(b"\n"):
            log.beside(beside)
            written[None] += strip_escapes(beside) + b"\n"
    wire = bytes(log.wire).replace(b"\n", b"\r\n")
    return wire, {tag: bytes(data) for tag, data in written.items() if data}


@settings(max_examples=1500)
@given(consoles(), st.lists(st.integers(min_value=0, max_value=600), max_size=40))
def test_streams_come_back(
    console: tuple[bytes, dict[bytes | None, bytes]], cuts: list[int]
) -> None:
    wire, written = console
    assert read(wire, cuts) == written


@given(st.binary(max_size=400), st.lists(st.integers(min_value=0, max_value=400), max_size=30))
def test_any_portions_give_the_same(data: bytes, cuts: list[int]) -> None:
    assert read(data, cuts) == read(data)


@given(st.binary(max_size=400))
def test_plain_text_passes(data: bytes) -> None:
    plain = data.translate(None, b"\x1b\r")
    if not LOOKS_LIKE_TAG.search(plain):
        assert read(plain).get(None, b"") == plain
    assert read(plain, tags=False).get(None, b"") == plain


def test_without_escapes_tags_are_found_by_their_shape() -> None:
    data = b"lkl     | ok 1 \r\nlkl2    | x\r\nlkl     : loop\r\nlkl     | y\r\nNed says: Hi\r\n"
    assert read(data) == {b"lkl": b"ok 1 loop\ny\n", b"lkl2": b"x\n", None: b"Ned says: Hi\n"}


def test_a_table_in_a_program_without_tag_is_no_tag() -> None:
    data = b"\x1b[0mWelcome\r\nname    | value\r\n"
    assert read(data) == {None: b"Welcome\nname    | value\n"}


def test_endless_line() -> None:
    data = b"\x1b[32mlkl     | " + b"x" * 300_000 + b"\x1b[0m\r\n"
    assert read(data, range(0, 300_000, 777)) == {b"lkl": b"x" * 300_000 + b"\n"}


def test_prompt_is_visible_before_its_line_ends() -> None:
    reader = ConsoleReader()
    reader.feed(b"a\r\n\x1b[1mjdb: \x1b[K")
    assert reader.partial == b"jdb: "


def test_cursor_control_and_broken_escapes_are_removed() -> None:
    data = b"\x1b[2J\x1b[10;1Ha\x1b]0;title\x07b\x1b(Bc\x1b[1;\nok 1\n\x1b"
    assert read(data) == {None: b"abc\nok 1\n"}
