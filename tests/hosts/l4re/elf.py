# SPDX-License-Identifier: GPL-2.0-only
"""ELF files that need shared libraries, written by hand: enough for readers, nothing to run."""

from __future__ import annotations

import struct
from collections.abc import Sequence
from pathlib import Path

_HEADER, _SEGMENT, _SECTION = 64, 56, 64
_BASE = 0x400000
_NEEDED, _STRTAB, _STRSZ = 1, 5, 10


def write(path: Path, needed: Sequence[str], interpreter: str = "") -> None:
    """Write a program for x86_64 with these DT_NEEDED entries, and PT_INTERP where one is named."""
    segments = 3 if interpreter else 2
    at = _HEADER + segments * _SEGMENT
    strings = b"\0" + b"".join(name.encode() + b"\0" for name in needed)
    places = [strings.index(name.encode() + b"\0") for name in needed]
    dynamic_at = at + len(strings)
    entries = [(_NEEDED, place) for place in places]
    entries += [(_STRTAB, _BASE + at), (_STRSZ, len(strings)), (0, 0)]
    dynamic = b"".join(struct.pack("<qQ", *entry) for entry in entries)
    loader = interpreter.encode() + b"\0" if interpreter else b""
    loader_at = dynamic_at + len(dynamic)
    end = loader_at + len(loader)
    headers = [_segment(1, 0, end), _segment(2, dynamic_at, len(dynamic))]
    headers += [_segment(3, loader_at, len(loader))] if interpreter else []
    names = b"\0.dynstr\0.dynamic\0.names\0"
    sections = [
        bytes(_SECTION),
        _section(1, 3, at, len(strings)),
        _section(9, 6, dynamic_at, len(dynamic), link=1, entry=16),
        _section(18, 3, end, len(names)),
    ]
    counts = (_HEADER, _SEGMENT, segments, _SECTION, len(sections), len(sections) - 1)
    identity = b"\x7fELF" + bytes([2, 1, 1, 0]) + bytes(8)
    header = struct.pack("<HHIQQQIHHHHHH", 3, 62, 1, _BASE, _HEADER, end + len(names), 0, *counts)
    path.write_bytes(
        b"".join((identity, header, *headers, strings, dynamic, loader, names, *sections))
    )


def _segment(kind: int, offset: int, size: int) -> bytes:
    address = _BASE + offset
    return struct.pack("<IIQQQQQQ", kind, 5, offset, address, address, size, size, 0x1000)


def _section(
    name: int, kind: int, offset: int, size: int, *, link: int = 0, entry: int = 0
) -> bytes:
    """A section header, without which objdump sees nothing."""
    return struct.pack(
        "<IIQQQQIIQQ", name, kind, 2, _BASE + offset, offset, size, link, 0, 8, entry
    )
