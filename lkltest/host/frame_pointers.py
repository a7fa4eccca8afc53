# SPDX-License-Identifier: GPL-2.0-only
"""An unwinder that gdb loads: it follows frame pointers where code has no unwind tables.

The kernel in LKL's programs has frame pointers, but neither .eh_frame nor .debug_frame, beside host
code that has .eh_frame and no frame pointers: gdb then guesses, and ends with "frame did not save
the PC". Run by `gdb -x` in gdb's own Python: standard library alone. See the DWARF standard, call
frame information, and the LSB's on .eh_frame.
"""

from __future__ import annotations

import bisect
import functools
import importlib
import struct
from collections.abc import Iterator
from typing import Any

try:
    gdb: Any = importlib.import_module("gdb")  # there only inside of gdb
    Unwinder: Any = importlib.import_module("gdb.unwinder").Unwinder
except ImportError:
    gdb, Unwinder = None, object

_REGISTERS = {"i386:x86-64": ("rip", "rsp", "rbp"), "aarch64": ("pc", "sp", "x29")}
_SETS_POINTER = {"i386:x86-64": b"\x48\x89\xe5", "aarch64": b"\xfd\x03\x00\x91"}
"""The instruction by which a function makes its frame: mov %rsp,%rbp and mov x29,sp."""
_RETURNS = {"i386:x86-64": b"\xc3", "aarch64": b"\xc0\x03\x5f\xd6"}
_ABSOLUTE, _SIGNED_4, _SIGNED_8, _UNSIGNED_4 = 0x0, 0xB, 0xC, 0x3
_PC_RELATIVE, _OMITTED = 0x10, 0xFF
_SIZES = {_ABSOLUTE: "<Q", _SIGNED_8: "<q", _SIGNED_4: "<i", _UNSIGNED_4: "<I"}
_FARTHEST = 1 << 23
"""The largest distance of a caller's frame in bytes; a thread's stack usually has as much."""


def covered_ranges(section: bytes, address: int) -> list[tuple[int, int]]:
    """The code that a 64-bit file's .eh_frame describes, as sorted (begin, end).

    address: where the section is in memory, for pointers that are relative to their own place.
    """
    ranges = []
    encodings: dict[int, int] = {}
    at = 0
    while at + 8 <= len(section):
        length, identity = struct.unpack_from("<II", section, at)
        if length in {0, 0xFFFFFFFF}:
            break
        body = at + 8
        if identity == 0:
            encodings[at] = _encoding(section, body)
        else:
            encoding = encodings.get(at + 4 - identity, _OMITTED)
            form = _SIZES.get(encoding & 0xF)
            if form and encoding & 0x70 in (0, _PC_RELATIVE):
                size = struct.calcsize(form)
                (begin,) = struct.unpack_from(form, section, body)
                (extent,) = struct.unpack_from(form.upper(), section, body + size)
                begin += address + body if encoding & 0x70 else 0
                ranges.append((begin, begin + extent))
        at += 4 + length
    return sorted(ranges)


def _encoding(section: bytes, body: int) -> int:
    """The encoding of the pointers of a CIE's entries: the R of its augmentation."""
    end = section.index(b"\0", body + 1)
    augmentation = section[body + 1 : end]
    if not augmentation.startswith(b"z"):
        return _ABSOLUTE
    at = end + 1
    for _ in range(4):  # code and data alignment, return register, length of what follows
        while section[at] & 0x80:
            at += 1
        at += 1
    for letter in augmentation[1:].decode("ascii", "replace"):
        if letter == "R":
            return section[at]
        if letter == "P":
            form = _SIZES.get(section[at] & 0xF, "<Q")
            at += 1 + struct.calcsize(form)
        elif letter == "L":
            at += 1
    return _ABSOLUTE


def read_sections(path: str) -> Iterator[tuple[str, int, int, int, int]]:
    """(name, flags, address, offset in the file, size) of a 64-bit little-endian ELF file."""
    with open(path, "rb") as file:
        head = file.read(64)
        if head[:6] != b"\x7fELF\x02\x01":
            return
        (start,) = struct.unpack_from("<Q", head, 40)
        size, count, names = struct.unpack_from("<HHH", head, 58)
        file.seek(start)
        table = file.read(size * count)
        headers = [struct.unpack_from("<IIQQQQ", table, size * index) for index in range(count)]
        file.seek(headers[names][4])
        strings = file.read(headers[names][5])
    for name, _, flags, address, offset, length in headers:
        yield strings[name : strings.index(b"\0", name)].decode(), flags, address, offset, length


class Tables:
    """The code of one file that has frame pointers alone.

    Attributes:
        ranges: the code that .eh_frame describes.
        code: the sections of code; none where there is a .debug_frame, which gdb reads, too.
    """

    def __init__(self, path: str) -> None:
        self.ranges: list[tuple[int, int]] = []
        self.code: list[tuple[int, int]] = []
        executable = 4
        sections = list(read_sections(path))
        if any(name == ".debug_frame" for name, *_ in sections):
            return
        for name, flags, address, offset, size in sections:
            if name == ".eh_frame":
                with open(path, "rb") as file:
                    file.seek(offset)
                    self.ranges += covered_ranges(file.read(size), address)
            elif flags & executable and not name.startswith(".plt"):
                self.code.append((address, address + size))
        self._begins = [begin for begin, _ in self.ranges]

    def lacks(self, address: int) -> bool:
        """Whether an address, as the file has it, is in code without unwind tables."""
        if not any(begin <= address < end for begin, end in self.code):
            return False
        index = bisect.bisect_right(self._begins, address) - 1
        return index < 0 or address >= self.ranges[index][1]


@functools.cache
def _tables(path: str) -> Tables | None:
    try:
        return Tables(path)
    except (OSError, ValueError, IndexError, struct.error):
        return None  # no ELF file of that kind, or damaged


@functools.cache
def _mappings(process: int) -> list[tuple[int, int, str, int]]:
    """(begin, end, file, what to take off an address) of the files that a process has mapped.

    None where /proc does not show it, as for a program in an emulator.
    """
    found: list[tuple[int, int, str, int]] = []
    bases: dict[str, int] = {}
    try:
        with open(f"/proc/{process}/maps", encoding="utf-8", errors="surrogateescape") as file:
            lines = file.read().split("\n")
    except OSError:
        return []
    for line in lines:
        words = line.split(maxsplit=5)
        if len(words) < 6 or not words[5].startswith("/"):
            continue
        begin, end = (int(word, 16) for word in words[0].split("-"))
        if int(words[2], 16) == 0:
            bases.setdefault(words[5], 0 if _is_fixed(words[5]) else begin)
        if "x" in words[1] and words[5] in bases:
            found.append((begin, end, words[5], bases[words[5]]))
    return found


def _is_fixed(path: str) -> bool:
    """Whether an ELF file is linked for one address (its e_type is ET_EXEC)."""
    try:
        with open(path, "rb") as file:
            return file.read(18)[16:18] == b"\x02\x00"
    except OSError:  # it is there no more
        return False


def _lacks_tables(process: int, address: int) -> bool:
    for begin, end, path, base in _mappings(process):
        if begin <= address < end:
            tables = _tables(path)
            return tables is not None and tables.lacks(address - base)
    return False


class _Identity:
    """Tells gdb one frame from another."""

    def __init__(self, sp: object, pc: object) -> None:
        self.sp, self.pc = sp, pc


class FramePointers(Unwinder):  # type: ignore[misc]
    """Unwinds the frames in such code."""

    def __init__(self) -> None:
        super().__init__("frame pointers")

    def __call__(self, frame: Any) -> Any:
        machine = frame.architecture().name()
        names = _REGISTERS.get(machine)
        if names is None:
            return None
        word = gdb.lookup_type("unsigned long")
        pc, sp, fp = (int(frame.read_register(name).cast(word)) for name in names)
        if not _lacks_tables(gdb.selected_inferior().pid, pc) or not sp <= fp < sp + _FARTHEST:
            return None
        if frame.level() == 0 and not _has_frame(machine, pc):
            return None
        try:
            caller_fp, caller_pc = (_word_at(fp), _word_at(fp + 8))
        except gdb.MemoryError:
            return None
        info = frame.create_unwind_info(_Identity(gdb.Value(fp + 16), gdb.Value(pc)))
        for name, value in zip(names, (caller_pc, fp + 16, caller_fp), strict=True):
            info.add_saved_register(name, gdb.Value(value))
        return info


def _has_frame(machine: str, pc: int) -> bool:
    """Whether the innermost function has made its frame, and not left it yet."""
    memory = gdb.selected_inferior().read_memory
    block = gdb.block_for_pc(pc)
    while block is not None and block.function is None:
        block = block.superblock
    try:
        if block is None or bytes(memory(pc, len(_RETURNS[machine]))) == _RETURNS[machine]:
            return False
        if not block.start <= pc < block.end:
            return True  # its cold part, which is jumped into
        return _SETS_POINTER[machine] in bytes(memory(block.start, pc - block.start))
    except gdb.MemoryError:
        return False


def _word_at(address: int) -> int:
    memory = gdb.selected_inferior().read_memory(address, 8)
    return int.from_bytes(bytes(memory), "little")


if gdb is not None:
    gdb.unwinder.register_unwinder(None, FramePointers(), replace=True)
