# SPDX-License-Identifier: GPL-2.0-only
"""The symbols of an ELF file: functions, and what has no type, with their addresses.

Those of a stripped file are in the file that its section .gnu_debuglink names, beside it or in
`.debug/` (gdb's manual, "Debugging Information in Separate Files").
"""

from __future__ import annotations

import struct
from collections.abc import Iterator
from pathlib import Path

_SYMTAB, _DYNSYM = 2, 11
_FUNCTION, _NOTYPE = 2, 0
_LOAD = 1


def elf_symbols(path: Path) -> Iterator[tuple[int, int, str]]:
    """Yield (address, size, name); nothing for a file that is no ELF file or a damaged one."""
    try:
        data = path.read_bytes()
        yield from symbols_in(data)
        linked = debug_file(path, data)
        if linked is not None:
            yield from symbols_in(linked.read_bytes())
    except OSError:
        return


def debug_file(path: Path, data: bytes) -> Path | None:
    """The file with the symbols that the ELF file `path` of this content was stripped of."""
    try:
        name = next((part for title, part in _sections(data) if title == b".gnu_debuglink"), b"")
    except (struct.error, IndexError, ValueError):
        return None
    name, _, _ = name.partition(b"\0")
    if not name or b"/" in name:
        return None
    file = name.decode("utf-8", "surrogateescape")
    folder = path.resolve().parent
    found = (path.parent / ".debug" / file, folder / ".debug" / file, folder / file)
    return next((each for each in found if each.is_file() and not each.samefile(path)), None)


def symbols_in(data: bytes) -> Iterator[tuple[int, int, str]]:
    """As `elf_symbols`, of a file's bytes."""
    try:
        if data[:4] == b"\x7fELF":
            yield from _read(data)
    except (struct.error, IndexError, ValueError):
        return


def holds(path: Path, address: int, code: bytes) -> bool:
    """Whether an ELF file has these bytes where it wants to be loaded at this address."""
    try:
        data = path.read_bytes()
        if data[:4] != b"\x7fELF":
            return False
        for kind, start, offset, size in _segments(data):
            at = offset + address - start
            if kind == _LOAD and start <= address < start + size:
                return data[at : at + len(code)] == code
    except (OSError, struct.error, IndexError, ValueError):
        pass
    return False


def _segments(data: bytes) -> Iterator[tuple[int, int, int, int]]:
    """Yield (type, address, offset, size in the file) of each program header."""
    wide, order = data[4] == 2, _order(data)
    at, (entry_size, count) = (
        (struct.unpack_from(f"{order}Q", data, 32)[0], _u16(data, 54))
        if wide
        else (struct.unpack_from(f"{order}I", data, 28)[0], _u16(data, 42))
    )
    for index in range(count):
        place = at + index * entry_size
        if wide:
            kind, _, offset, address, _, size = struct.unpack_from(f"{order}IIQQQQ", data, place)
        else:
            kind, offset, address, _, size = struct.unpack_from(f"{order}IIIII", data, place)
        yield kind, address, offset, size


def _order(data: bytes) -> str:
    return ">" if data[5] == 2 else "<"


def _section_headers(data: bytes) -> list[tuple[int, ...]]:
    wide, order = data[4] == 2, _order(data)
    if wide:
        sections_at, entry_size, count = *struct.unpack_from(f"{order}Q", data, 40), *_u16(data, 58)
    else:
        sections_at, entry_size, count = *struct.unpack_from(f"{order}I", data, 32), *_u16(data, 46)
    header = f"{order}IIQQQQIIQQ" if wide else f"{order}IIIIIIIIII"
    return [
        struct.unpack_from(header, data, sections_at + index * entry_size) for index in range(count)
    ]


def _sections(data: bytes) -> Iterator[tuple[bytes, bytes]]:
    """Yield name and content of each section."""
    if data[:4] != b"\x7fELF":
        return
    sections = _section_headers(data)
    (names,) = struct.unpack_from(f"{_order(data)}H", data, 62 if data[4] == 2 else 50)
    for section in sections:
        start = sections[names][4] + section[0]
        yield data[start : data.index(b"\0", start)], data[section[4] : section[4] + section[5]]


def _read(data: bytes) -> Iterator[tuple[int, int, str]]:
    wide, order = data[4] == 2, _order(data)
    sections = _section_headers(data)
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
    first, second = struct.unpack_from(f"{_order(data)}HH", data, offset)
    return int(first), int(second)
