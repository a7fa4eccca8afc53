# SPDX-License-Identifier: GPL-2.0-only
"""An executable file's format and machine, read from its first bytes.

Sources: elf(5) for ELF, the Microsoft "PE Format" specification for PE.
"""

from __future__ import annotations

import contextlib
import os
import platform
import stat
import struct
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import BinaryIO

from lkltest.errors import ExecutableError

ELF_MACHINES = {
    3: "i386",
    8: "mips",
    20: "powerpc",
    21: "powerpc64",
    22: "s390x",
    40: "arm",
    62: "x86_64",
    183: "aarch64",
    243: "riscv",
    258: "loongarch",
}
PE_MACHINES = {0x14C: "i386", 0x8664: "x86_64", 0x1C0: "arm", 0x1C4: "arm", 0xAA64: "aarch64"}
PE_SUBSYSTEMS = {1: "native", 2: "windows", 3: "console", 10: "efi"}
SCRIPT = "script"
_PE_DLL = 0x2000
_ELF_RELOCATABLE, _ELF_SHARED, _ELF_CORE = 1, 3, 4
_PT_LOAD, _PT_DYNAMIC, _PT_INTERP = 1, 2, 3
_DT_NEEDED, _DT_STRTAB, _DT_STRSZ = 1, 5, 10
_LARGEST_SEGMENT = 1 << 24
_HEADER_BYTES = 4096
_SPECIAL = {
    stat.S_IFDIR: "a directory",
    stat.S_IFIFO: "a named pipe",
    stat.S_IFSOCK: "a socket",
    stat.S_IFCHR: "a device",
}
_MULTIBOOT, _MULTIBOOT_WITHIN = (0x1BADB002).to_bytes(4, "little"), 8192


@dataclass(frozen=True, slots=True)
class Executable:
    """A program file: `format` is "ELF" or "PE", `machine` its processor, `bits` 32 or 64.

    Of a script, whose format is "script", they are the ones that it is run by, here.
    """

    path: Path
    format: str
    machine: str
    bits: int
    subsystem: str = ""

    def __str__(self) -> str:
        if self.format == SCRIPT:
            return "a script"
        kind = f"{self.format} {self.bits} bit for {self.machine}"
        return f"{kind} ({self.subsystem})" if self.subsystem else kind


def identify(path: Path) -> Executable:
    """Read what kind of program `path` is.

    Raises ExecutableError when it is missing, a directory, unreadable, truncated, a library or
    anything else that is not a program.
    """
    what = special(path)
    if what is not None:
        raise ExecutableError(f"{path}: is {what}, not a program")
    try:
        with path.open("rb") as file:
            header = file.read(_HEADER_BYTES)
    except FileNotFoundError:
        raise ExecutableError(f"{path}: no such file") from None
    except OSError as error:
        raise ExecutableError(f"{path}: cannot be read: {error.strerror}") from None
    if header.startswith(b"\x7fELF"):
        return _identify_elf(path, header)
    if header.startswith(b"MZ"):
        return _identify_pe(path, header)
    if header.startswith(b"#!"):
        return Executable(path, SCRIPT, platform.machine(), 64)
    raise ExecutableError(f"{path}: is {_content(header)}, not an ELF or PE program")


def describe(path: Path) -> str:
    """`FILE: is ...`, whatever it is."""
    try:
        return f"{path}: is {identify(path)}"
    except ExecutableError as error:
        return str(error)


def special(path: Path) -> str | None:
    """The kind of a `path` that is no file to read from; opening a pipe waits for ever."""
    try:
        return _SPECIAL.get(stat.S_IFMT(path.stat().st_mode))
    except OSError:
        return None


def machine_is_native(machine: str) -> bool:
    """Whether this machine's processor runs programs for `machine` (64 bit x86 runs 32 bit too)."""
    here = platform.machine()
    return machine == here or (here == "x86_64" and machine == "i386")


def has_multiboot_header(path: Path) -> bool:
    """Whether a boot loader finds the magic word (Multiboot specification 0.6.96, section 3.1)."""
    with path.open("rb") as file:
        head = file.read(_MULTIBOOT_WITHIN)
    return _MULTIBOOT in (head[at : at + 4] for at in range(0, len(head), 4))


def is_dynamic(path: Path) -> bool:
    """Whether an ELF program needs a dynamic loader (has PT_INTERP). Raises ExecutableError."""
    if identify(path).format != "ELF":
        return False
    return any(segment.kind == _PT_INTERP for segment in _segments(path))


def loaded_bytes(path: Path) -> int:
    """The bytes of an ELF file that are loaded when it is run: what comes after is for debuggers.

    A file's whole size where its program headers do not say.
    """
    ends = [each.offset + each.size for each in _segments(path) if each.kind == _PT_LOAD]
    return max(ends, default=path.stat().st_size)


def loader_of(path: Path) -> str:
    """The dynamic loader that an ELF program names; "" for any other file."""
    try:
        with path.open("rb") as file:
            for segment in _segments(path):
                if segment.kind == _PT_INTERP:
                    return segment.read(file).partition(b"\0")[0].decode("utf-8", "replace")
    except (OSError, struct.error, ValueError):
        pass
    return ""


def interpreter_of(path: Path) -> str:
    """The program that a script's first line names (execve(2)); "" for any other file."""
    with contextlib.suppress(OSError), path.open("rb") as file:
        line = file.readline(_HEADER_BYTES)
        if line.startswith(b"#!"):
            return os.fsdecode(b"".join(line[2:].split()[:1]))
    return ""


def loaded_part(path: Path) -> bytes:
    """The content of an ELF program without what is for debuggers alone, at its end."""
    with path.open("rb") as file:
        return file.read(loaded_bytes(path))


def needed_files(path: Path) -> list[str]:
    """Names of the shared libraries that an ELF file needs, and of its loader, without folders.

    Empty for any other file.
    """
    try:
        segments = _segments(path)
        with path.open("rb") as file:
            names = _needed_libraries(file, segments)
    except (OSError, struct.error, ValueError):
        return []
    loader = loader_of(path).rpartition("/")[2]
    return list(dict.fromkeys([*names, *filter(None, [loader])]))


@dataclass(frozen=True, slots=True)
class _Segment:
    """A program header of an ELF file, with the byte order and width of its file."""

    kind: int
    offset: int
    address: int
    size: int
    order: str
    wide: bool

    def read(self, file: BinaryIO) -> bytes:
        file.seek(self.offset)
        return file.read(min(self.size, _LARGEST_SEGMENT))


def _segments(path: Path) -> list[_Segment]:
    """The program headers of an ELF file; none of another."""
    with path.open("rb") as file:
        header = file.read(64)
        if len(header) < 52 or not header.startswith(b"\x7fELF"):
            return []
        order = ">" if header[5] == 2 else "<"
        wide = header[4] == 2
        (table,) = struct.unpack_from(
            f"{order}Q" if wide else f"{order}I", header, 32 if wide else 28
        )
        size, count = struct.unpack_from(f"{order}HH", header, 54 if wide else 42)
        file.seek(table)
        entries = file.read(size * count)
    layout = struct.Struct(f"{order}IIQQQQ" if wide else f"{order}IIIIII")
    segments = []
    for at in range(0, len(entries) - layout.size + 1, max(size, layout.size)):
        values = layout.unpack_from(entries, at)
        offset, address, length = (
            (values[2], values[3], values[5]) if wide else (*values[1:3], values[4])
        )
        segments.append(_Segment(values[0], offset, address, length, order, wide))
    return segments


def _needed_libraries(file: BinaryIO, segments: Sequence[_Segment]) -> list[str]:
    dynamic = next((segment for segment in segments if segment.kind == _PT_DYNAMIC), None)
    if dynamic is None:
        return []
    pairs = struct.Struct(f"{dynamic.order}qQ" if dynamic.wide else f"{dynamic.order}iI")
    data = dynamic.read(file)
    entries = list(pairs.iter_unpack(data[: len(data) // pairs.size * pairs.size]))
    values = dict(reversed(entries))
    strings = next(
        (
            replace(segment, offset=segment.offset + values[_DT_STRTAB] - segment.address)
            for segment in segments
            if segment.kind == _PT_LOAD
            and segment.address <= values.get(_DT_STRTAB, -1) < segment.address + segment.size
        ),
        None,
    )
    if strings is None:
        return []
    text = replace(strings, size=values.get(_DT_STRSZ, 0)).read(file)
    names = [text[value:].partition(b"\0")[0] for tag, value in entries if tag == _DT_NEEDED]
    return [name.decode("utf-8", "replace") for name in names if name]


def _identify_elf(path: Path, header: bytes) -> Executable:
    if len(header) < 20:
        raise ExecutableError(f"{path}: is a truncated ELF file ({len(header)} bytes)")
    bits = 64 if header[4] == 2 else 32
    order = ">" if header[5] == 2 else "<"
    kind, machine = struct.unpack_from(f"{order}HH", header, 16)
    if kind in (_ELF_RELOCATABLE, _ELF_CORE):
        what = "an ELF object file" if kind == _ELF_RELOCATABLE else "a core dump"
        raise ExecutableError(f"{path}: is {what}, not a program")
    entry = header[24 : 32 if bits == 64 else 28]
    if kind == _ELF_SHARED and entry and not any(entry):
        raise ExecutableError(f"{path}: is an ELF shared library, not a program")
    return Executable(path, "ELF", ELF_MACHINES.get(machine, f"machine {machine}"), bits)


def _identify_pe(path: Path, header: bytes) -> Executable:
    if len(header) < 64:
        raise ExecutableError(f"{path}: is a truncated PE file ({len(header)} bytes)")
    (start,) = struct.unpack_from("<I", header, 0x3C)
    if start + 96 > len(header):
        raise ExecutableError(f"{path}: is a DOS program or a truncated PE file")
    if header[start : start + 4] != b"PE\0\0":
        raise ExecutableError(f"{path}: is a DOS program, not PE")
    (machine,) = struct.unpack_from("<H", header, start + 4)
    (flags,) = struct.unpack_from("<H", header, start + 22)
    (magic,) = struct.unpack_from("<H", header, start + 24)
    (subsystem,) = struct.unpack_from("<H", header, start + 24 + 68)
    if flags & _PE_DLL:
        raise ExecutableError(f"{path}: is a DLL, not a program")
    return Executable(
        path,
        "PE",
        PE_MACHINES.get(machine, f"machine {machine:#x}"),
        64 if magic == 0x20B else 32,
        PE_SUBSYSTEMS.get(subsystem, f"subsystem {subsystem}"),
    )


def _content(header: bytes) -> str:
    if not header:
        return "an empty file"
    if b"\0" not in header:
        return "a text file"
    return "data of an unknown format"
