# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's log that a dead or hung program has not printed yet, out of its memory.

Upstream's tests/test.c keeps it in a ring `log_buf` until a test point ends, from `head` to `tail`.
A stripped program, as upstream links it, has no such names; the two pointers are found by what they
point to.
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Protocol

from lkltest.tap.patterns import STAMP

from .pe import PeError, Section, open_pe
from .symbols import Names

_FILE = "test.c"
_STAMPED = re.compile(rb"^" + STAMP, re.MULTILINE)
_BINARY = re.compile(rb"[\0-\x08\x0e-\x1a\x1c-\x1f]")
_LONGEST = 1 << 20
_WRITABLE = 0x80000000


class Readable(Protocol):
    """Memory of the program; raises OSError where there is none."""

    def read(self, address: int, size: int) -> bytes: ...


def held_log(memory: Readable, base: int, names: Names, program: Path) -> bytes:
    """The log of a program that is loaded at `base`; empty where none is found."""
    try:
        text = _named(memory, base, names) if names.variables else _found(memory, base, program)
    except (OSError, PeError):
        return b""
    return text.replace(b"\0", b"").strip()


def _named(memory: Readable, base: int, names: Names) -> bytes:
    buffer, head, tail = (names.variable(name, _FILE) for name in ("log_buf", "head", "tail"))
    if buffer is None or head is None or tail is None:
        return b""
    size = next((s.address for s in names.variables if s.address > buffer), buffer) - buffer
    first, last = (
        struct.unpack("<Q", memory.read(base + place, 8))[0] - base - buffer
        for place in (head, tail)
    )
    if not (0 <= first <= size and 0 <= last <= size):
        return b""
    data = memory.read(base + buffer, size)
    return data[first:last] if first <= last else data[first:] + data[:last]


def _found(memory: Readable, base: int, program: Path) -> bytes:
    """The text between two pointers side by side, of which one is to where nothing was written."""
    sections = [one for one in open_pe(program).sections if one.flags & _WRITABLE and not one.code]
    pairs = (
        pair
        for section in sections
        if section.file_size
        for pair in _pointers(memory.read(base + section.address, section.size), base, sections)
    )
    for begin, end in pairs:
        data = memory.read(begin, end - begin + 1)
        if data[-1] == 0 and _STAMPED.search(data) and not _BINARY.search(data, 0, len(data) - 1):
            return data
    return b""


def _pointers(data: bytes, base: int, sections: list[Section]) -> Iterator[tuple[int, int]]:
    """Pointers side by side into one section, the lower one first."""
    bounds = [(base + one.address, base + one.address + one.size) for one in sections]
    low, high = min(begin for begin, _ in bounds), max(end for _, end in bounds)
    words = struct.unpack(f"<{len(data) // 8}Q", data[: len(data) & ~7])
    for one, other in pairwise(words):
        if low <= one < high and low <= other < high and 0 < abs(one - other) < _LONGEST:
            first, last = sorted((one, other))
            if any(begin <= first and last < end for begin, end in bounds):
                yield first, last
