# SPDX-License-Identifier: GPL-2.0-only
"""The symbols of an ELF file: functions, and what has no type, with their addresses."""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_SYMTAB, _DYNSYM = 2, 11
_FUNCTION, _NOTYPE = 2, 0


def elf_symbols(path: Path) -> Iterator[tuple[int, int, str]]:
    """Yield (address, size, name); nothing for a file that is no ELF file or a damaged one."""
    try:
        yield from symbols_in(path.read_bytes())
    except OSError:
        return


def symbols_in(data: bytes) -> Iterator[tuple[int, int, str]]:
    """As `elf_symbols`, of a file's bytes."""
    try:
        if data[:4] == b"\x7fELF":
            yield from _read(data)
    except (struct.error, IndexError, ValueError):
        return


def _read(data: bytes) -> Iterator[tuple[int, int, str]]:
    wide = data[4] == 2
    order = ">" if data[5] == 2 else "<"
    if wide:
        sections_at, entry_size, count = *struct.unpack_from(f"{order}Q", data, 40), *_u16(data, 58)
    else:
        sections_at, entry_size, count = *struct.unpack_from(f"{order}I", data, 32), *_u16(data, 46)
    header = f"{order}IIQQQQIIQQ" if wide else f"{order}IIIIIIIIII"
    sections = [
        struct.unpack_from(header, data, sections_at + index * entry_size) for index in range(count)
    ]
    entry = f"{order}IBBHQQ" if wide else f"{order}IIIBBH"
    for section in sections:
        if section[1] not in (_SYMTAB, _DYNSYM):
            continue
        names = sections[section[6]]
        for symbol in struct.iter_unpack(entry, data[section[4] : section[4] + section[5]]):
            if wide:
                name, info, _, where, value, size = symbol
            else:
                name, value, size, info, _, where = symbol
            if where and name and info & 15 in (_FUNCTION, _NOTYPE):
                start = names[4] + name
                text = data[start : data.index(b"\0", start)]
                yield value, size, text.decode("ascii", "backslashreplace")


def _u16(data: bytes, offset: int) -> tuple[int, int]:
    order = ">" if data[5] == 2 else "<"
    first, second = struct.unpack_from(f"{order}HH", data, offset)
    return int(first), int(second)
