# SPDX-License-Identifier: GPL-2.0-only
"""A PE file, or an object file for one: its sections, symbols and exports.

Names are read here and not by binutils, as a kernel's 60,000 symbols take 0.1 s this way. Source of
the offsets: the Microsoft "PE Format" specification.
"""

from __future__ import annotations

import mmap
import struct
from bisect import bisect_right
from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from functools import cached_property
from itertools import pairwise
from pathlib import Path

_OBJECT = b"\x64\x86"  # machine x86_64
_SYMBOL_BYTES = 18
_SECTION_BYTES = 40
_EXTERNAL, _STATIC, _FILE, _WEAK_EXTERNAL = 2, 3, 103, 105  # storage classes
_FUNCTION = 0x20
_EXPORTS, _EXCEPTIONS = 0, 3  # data directories
_WEAK_DEFAULT = ".weak."  # and NAME.OTHER: what a weak NAME is when nothing else defines it
_CODE = 0x20  # section flag IMAGE_SCN_CNT_CODE


class PeError(ValueError):
    """A file that is no PE file, or a damaged one."""


@dataclass(frozen=True, slots=True)
class Section:
    """A section: `address` is relative to the image's base, `offset` is where the file has it."""

    name: str
    address: int
    size: int
    offset: int
    file_size: int
    flags: int

    @property
    def code(self) -> bool:
        return bool(self.flags & _CODE)


@dataclass(frozen=True, slots=True)
class Symbol:
    """A symbol of the file's own (COFF) table; `address` is relative to the image's base.

    Attributes:
        file: the source file that the table names it under, "" where it names none.
        function: whether it is a function, or may be one.
    """

    address: int
    name: str
    file: str = ""
    function: bool = True


@dataclass(frozen=True, slots=True)
class WeakExternal:
    """A weak symbol. `default`: name of the symbol that stands for it, "" where it is none."""

    name: str
    default: str

    @property
    def stale(self) -> bool:
        """Whether it has lost its own: compilers call that `.weak.NAME...`."""
        return not self.default.startswith(f"{_WEAK_DEFAULT}{self.name}.")


@dataclass(frozen=True)
class Pe:
    """A PE file or an object file, read on demand. `data`: all of its bytes."""

    data: bytes | mmap.mmap = field(repr=False)

    @cached_property
    def _header(self) -> int:
        """The offset of "PE"; an object file begins with what comes after it."""
        if self.data[:2] == _OBJECT and len(self.data) > 20:
            return -4
        if len(self.data) < 64 or self.data[:2] != b"MZ":
            raise PeError("is not a PE file")
        (start,) = struct.unpack_from("<I", self.data, 0x3C)
        if self.data[start : start + 4] != b"PE\0\0" or start + 136 > len(self.data):
            raise PeError("is not a PE file")
        return int(start)

    @cached_property
    def wide(self) -> bool:
        """Whether it is PE32+."""
        return bool(struct.unpack_from("<H", self.data, self._header + 24)[0] == 0x20B)

    @cached_property
    def image_base(self) -> int:
        kind, at = ("<Q", 24) if self.wide else ("<I", 28)
        return int(struct.unpack_from(kind, self.data, self._header + 24 + at)[0])

    @cached_property
    def sections(self) -> tuple[Section, ...]:
        (count,) = struct.unpack_from("<H", self.data, self._header + 6)
        (optional,) = struct.unpack_from("<H", self.data, self._header + 20)
        table = self._header + 24 + optional
        found = []
        for at in range(table, table + count * _SECTION_BYTES, _SECTION_BYTES):
            if at + _SECTION_BYTES > len(self.data):
                raise PeError("is a truncated PE file")
            raw, size, address, file_size, offset = struct.unpack_from("<8s4I", self.data, at)
            (flags,) = struct.unpack_from("<I", self.data, at + 36)
            found.append(Section(self._section_name(raw), address, size, offset, file_size, flags))
        return tuple(found)

    @property
    def ends(self) -> list[int]:
        """The places where sections end: no function reaches beyond that."""
        places = [section.address + section.size for section in self.sections]
        return [place for place in places if not self.is_code(place)]

    @cached_property
    def stripped(self) -> bool:
        """Whether it has no names of its own."""
        return self._table[1] == 0

    @cached_property
    def symbols(self) -> tuple[Symbol, ...]:
        """Functions and variables of its own table, by address, the best name of each first."""
        found = sorted(self._read_symbols(), key=lambda ranked: (ranked[1].address, ranked[0]))
        return tuple(symbol for _, symbol in found)

    @cached_property
    def exports(self) -> tuple[Symbol, ...]:
        """Its exports, by address."""
        address, _ = self._directory(_EXPORTS)
        if not address:
            return ()
        try:
            return tuple(sorted(self._read_exports(address), key=lambda symbol: symbol.address))
        except struct.error:
            raise PeError("has a damaged table of exports") from None

    @cached_property
    def functions(self) -> tuple[int, ...]:
        """The addresses at which functions, or parts of them, begin: the table for unwinding."""
        return tuple(begin for begin, _, _ in self._unwind_entries)

    @property
    def unwinding_mixed_up(self) -> bool:
        """Whether functions overlap in the table for unwinding.

        `ld -r` of binutils 2.40 sorts the table and leaves its relocations where they were.
        """
        entries = sorted(set(self._unwind_entries))
        overlaps = sum(end > after for (_, end, _), (after, _, _) in pairwise(entries))
        return overlaps > len(entries) // 8  # what was discarded has its entries at one place

    @property
    def unwinding_share(self) -> float:
        """The share of the code that the table for unwinding is about."""
        code = sum(section.size for section in self.sections if section.code)
        spans = (end - begin for begin, end, _ in self._unwind_entries if self.is_code(begin))
        return sum(spans) / code if code else 0.0

    @cached_property
    def unwinding_sorted(self) -> bool:
        """Whether an object file's table for unwinding is in order before it is relocated."""
        section = self.section(".pdata")
        if section is None:
            return False
        size = section.file_size // 12 * 12
        data = self.data[section.offset : section.offset + size]
        begins = [begin for begin, _, _ in struct.iter_unpack("<3I", data)]
        return begins == sorted(begins)

    @cached_property
    def _unwind_entries(self) -> tuple[tuple[int, int, int], ...]:
        address, size = self._directory(_EXCEPTIONS)
        entries = struct.iter_unpack("<3I", self.read(address, size // 12 * 12)) if address else ()
        return tuple(entries)

    @cached_property
    def weak_externals(self) -> tuple[WeakExternal, ...]:
        """Weak symbols that are still to be resolved."""
        start = self._table[0]
        names: dict[int, str] = {}
        found: list[tuple[str, int]] = []
        for at, name, _, _, _, kind, more in self._entries():
            names[(at - start) // _SYMBOL_BYTES] = name
            if kind == _WEAK_EXTERNAL and more:
                found.append((name, struct.unpack_from("<I", self.data, at + _SYMBOL_BYTES)[0]))
        return tuple(WeakExternal(name, names.get(default, "")) for name, default in found)

    def is_code(self, address: int) -> bool:
        """Whether a place of the image is in a section with code."""
        return any(s.code and 0 <= address - s.address < s.size for s in self.sections)

    def section(self, name: str) -> Section | None:
        return next((section for section in self.sections if section.name == name), None)

    def read(self, address: int, size: int) -> bytes:
        """Bytes of the image, by their address relative to its base; what the file lacks is 0."""
        for section in self.sections:
            inside = address - section.address
            if 0 <= inside < max(section.size, section.file_size):
                stored = min(size, max(0, section.file_size - inside))
                start = section.offset + inside
                return bytes(self.data[start : start + stored]).ljust(size, b"\0")
        return bytes(size)

    @cached_property
    def _table(self) -> tuple[int, int]:
        """The offset of its symbols, and how many entries there are."""
        start, count = struct.unpack_from("<II", self.data, self._header + 12)
        if not start or start + count * _SYMBOL_BYTES > len(self.data):
            return 0, 0
        return start, count

    def _directory(self, number: int) -> tuple[int, int]:
        """Address and size of one of the tables that the header names; 0 where there is none."""
        base = self._header + 24 + (112 if self.wide else 96)
        (count,) = struct.unpack_from("<I", self.data, base - 4)
        if number >= count:
            return 0, 0
        address, size = struct.unpack_from("<II", self.data, base + 8 * number)
        return address, size

    def _section_name(self, raw: bytes) -> str:
        name = raw.rstrip(b"\0").decode("utf-8", "replace")
        if name.startswith("/") and name[1:].isdigit() and self._table[0]:
            return self._string(int(name[1:]))
        return name

    def _string(self, at: int) -> str:
        start, count = self._table
        begin = start + count * _SYMBOL_BYTES + at
        end = self.data.find(b"\0", begin)
        return bytes(self.data[begin : end if end >= 0 else begin]).decode("utf-8", "replace")

    def _entries(self) -> Iterator[tuple[int, str, int, int, int, int, int]]:
        """Offset, name, value, section's number, type, storage class, auxiliary entries."""
        start, count = self._table
        number = 0
        while number < count:
            at = start + number * _SYMBOL_BYTES
            raw, value, section, kind, storage, more = struct.unpack_from("<8sIhHBB", self.data, at)
            if raw[:4] == b"\0\0\0\0":
                name = self._string(struct.unpack_from("<I", raw, 4)[0])
            else:
                name = raw.rstrip(b"\0").decode("utf-8", "replace")
            yield at, name, value, section, kind, storage, more
            number += 1 + more

    def _read_symbols(self) -> Iterator[tuple[int, Symbol]]:
        """Yield symbols, each with a rank: a function's own name is better than a label there."""
        sections = self.sections
        file = ""
        for at, name, value, number, kind, storage, more in self._entries():
            if storage == _FILE:
                start = at + _SYMBOL_BYTES
                raw = bytes(self.data[start : start + more * _SYMBOL_BYTES])
                file = raw.partition(b"\0")[0].decode("utf-8", "replace")
            elif storage in (_EXTERNAL, _STATIC) and 0 < number <= len(sections):
                section = sections[number - 1]
                if name == section.name or (storage == _STATIC and more and kind != _FUNCTION):
                    continue  # it stands for a section
                function = section.code or kind == _FUNCTION
                own = own_name(name)
                rank = 2 * (own != name) + (kind != _FUNCTION)
                yield rank, Symbol(section.address + value, own, file, function)

    def _read_exports(self, address: int) -> Iterator[Symbol]:
        _, count, functions, names, ordinals = struct.unpack("<5I", self.read(address + 20, 20))
        if count > 1 << 20:
            raise PeError("has a damaged table of exports")
        for number in range(count):
            (name,) = struct.unpack("<I", self.read(names + 4 * number, 4))
            (ordinal,) = struct.unpack("<H", self.read(ordinals + 2 * number, 2))
            (target,) = struct.unpack("<I", self.read(functions + 4 * ordinal, 4))
            text = self.read(name, 512).partition(b"\0")[0]
            yield Symbol(target, text.decode("utf-8", "replace"))


def own_name(name: str) -> str:
    """The name of a function by a symbol's, which for a weak one may be the compiler's.

    >>> own_name(".weak.panic_hook.main")
    'panic_hook'
    """
    return name.removeprefix(_WEAK_DEFAULT).partition(".")[0] if _WEAK_DEFAULT in name else name


def open_pe(path: Path) -> Pe:
    """Open a PE file. Raises PeError, OSError."""
    with path.open("rb") as file:
        try:
            pe = Pe(mmap.mmap(file.fileno(), 0, access=mmap.ACCESS_READ))
        except ValueError:
            raise PeError("is empty") from None
    pe.sections  # noqa: B018 - so that a damaged one is seen here
    return pe


@dataclass(frozen=True)
class SymbolTable:
    """Names by address. `addresses` are in order, and `names` belong to them, "" for none."""

    addresses: tuple[int, ...]
    names: tuple[str, ...]

    @classmethod
    def of(cls, symbols: Iterable[Symbol]) -> SymbolTable:
        """The functions of `symbols`; the first name of a place counts."""
        names: dict[int, str] = {}
        for symbol in symbols:
            if symbol.function:
                names.setdefault(symbol.address, symbol.name)
        places = tuple(sorted(names))
        return cls(places, tuple(names[place] for place in places))

    def place(self, name: str) -> int | None:
        """The address of a function."""
        return self.addresses[self.names.index(name)] if name in self.names else None

    def find(self, address: int) -> tuple[str, int] | None:
        """The function that an address is in, and how far in it; None where it has no name."""
        index = bisect_right(self.addresses, address) - 1
        if index < 0 or not self.names[index]:
            return None
        return self.names[index], address - self.addresses[index]
