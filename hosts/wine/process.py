# SPDX-License-Identifier: GPL-2.0-only
"""A Wine process as ptrace(2) and its memory show it: threads, their registers, loaded images.

Windows' ids and the bounds of a thread's stack stand in its TEB, which the GS register points to;
the list of images hangs on the PEB. A thread that waits does so in Wine's own code, on a stack of
its own; where it left the program is in a frame that ntdll's dispatcher keeps (signal_x86_64.c,
`struct syscall_frame`), and the TEB has its address. winedbg is not asked: it traces every process
of the server, never comes back from a thread that spins, and needs a server that lives.
"""

from __future__ import annotations

import os
import re
import struct
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from .unwind import RSP, Module

_SYSCALL_FRAME = 0x328  # of the TEB; where a Wine has it elsewhere it is looked for
_FRAME_PLACES = (_SYSCALL_FRAME, *range(0x2F0, 0x400, 8))
_MOST_MODULES = 200
_MAP = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (....) ")

# Places in struct user_regs_struct (sys/user.h) of rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, r8 to
# r15, rip: the order of unwind codes.
_ORDER = (10, 11, 12, 5, 19, 4, 13, 14, 9, 8, 7, 6, 3, 2, 1, 0, 16)
_GS_BASE = 22


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread of the Windows program, stopped.

    Attributes:
        task: its number as the runner sees it.
        number: its Windows id.
        registers: of its Windows side, in the order of unwind codes.
        stack: where its Windows stack begins and ends.
        waits: whether it is in Wine, and not in code of a Windows program or library.
    """

    task: int
    number: int
    registers: tuple[int, ...]
    stack: tuple[int, int]
    waits: bool


class Memory:
    """The memory of a process, to be read while it lives. Raises OSError."""

    def __init__(self, pid: int) -> None:
        self._file = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)

    def read(self, address: int, size: int) -> bytes:
        try:
            data = os.pread(self._file, size, address)
        except OverflowError as error:
            raise OSError(str(error)) from None
        if len(data) != size:
            raise OSError(f"no memory at {address:#x}")
        return data

    def pointer(self, address: int) -> int:
        return int(struct.unpack("<Q", self.read(address, 8))[0])

    def close(self) -> None:
        os.close(self._file)


def windows_thread(memory: Memory, task: int, raw: Sequence[int]) -> Thread | None:
    """A thread by its registers as ptrace(2) gives them; None when it is one of Wine's own."""
    teb = raw[_GS_BASE]
    if not teb:
        return None
    try:
        high, low = struct.unpack("<QQ", memory.read(teb + 8, 16))
        number = memory.pointer(teb + 0x48)
        if memory.pointer(teb + 0x30) != teb or not 0 < number < 1 << 32:
            return None
    except OSError:
        return None
    registers = tuple(raw[place] for place in _ORDER)
    if low <= registers[RSP] <= high:
        return Thread(task, number, registers, (low, high), False)
    saved = _saved_registers(memory, teb, (low, high))
    return Thread(task, number, saved, (low, high), True) if saved else None


def stack_pointer(raw: Sequence[int]) -> int:
    """The address that a thread's stack has come to, by registers as ptrace(2) gives them."""
    return raw[_ORDER[RSP]]


def modules(memory: Memory, raw: Sequence[int]) -> list[Module]:
    """The images that a process has loaded, by one of its Windows threads."""
    found: list[Module] = []
    try:
        peb = memory.pointer(raw[_GS_BASE] + 0x60)
        head = memory.pointer(peb + 0x18) + 0x10
        entry = memory.pointer(head)
        while entry != head and len(found) < _MOST_MODULES:
            base = memory.pointer(entry + 0x30)
            (size,) = struct.unpack("<I", memory.read(entry + 0x40, 4))
            length, _, _, text = struct.unpack("<HHIQ", memory.read(entry + 0x48, 16))
            name = memory.read(text, length).decode("utf-16-le", "replace")
            found.append(_module(memory, base, size, name))
            entry = memory.pointer(entry)
    except (OSError, struct.error):
        pass
    return found


def anonymous_code(pid: int) -> list[tuple[int, int]]:
    """The executable memory of a process that belongs to no file: a kernel that was loaded."""
    try:
        text = Path(f"/proc/{pid}/maps").read_text(encoding="utf-8", errors="replace")
    except OSError:
        return []
    found = []
    for line in text.splitlines():
        match = _MAP.match(line)
        if match and "x" in match[3] and len(line.split()) == 5:
            found.append((int(match[1], 16), int(match[2], 16)))
    return found


def unix_path(windows: str, prefix: Path) -> Path:
    """The file that a Windows path means in a prefix, by its drives."""
    drive, _, rest = windows.removeprefix("\\??\\").partition(":")
    return Path(prefix / "dosdevices" / f"{drive.lower()}:", *rest.strip("\\").split("\\"))


def _module(memory: Memory, base: int, size: int, name: str) -> Module:
    header = memory.read(base, 0x1000)
    (start,) = struct.unpack_from("<I", header, 0x3C)
    (count,) = struct.unpack_from("<H", header, start + 6)
    (optional,) = struct.unpack_from("<H", header, start + 20)
    address, length = struct.unpack_from("<II", header, start + 24 + 112 + 8 * 3)
    code = []
    for number in range(count):
        at = start + 24 + optional + 40 * number
        if at + 40 > len(header):
            break
        extent, begin = struct.unpack_from("<II", header, at + 8)
        (flags,) = struct.unpack_from("<I", header, at + 36)
        if flags & 0x20:
            code.append((begin, begin + extent))
    return Module(base, size, name, (address, length), tuple(code))


def _saved_registers(memory: Memory, teb: int, stack: tuple[int, int]) -> tuple[int, ...] | None:
    """A thread's registers when it called Wine."""
    for place in _FRAME_PLACES:
        try:
            frame = struct.unpack("<20Q", memory.read(memory.pointer(teb + place), 160))
        except OSError:
            continue
        rax, rbx, rcx, rdx, rsi, rdi, *others = frame[:14]
        rip, rsp, rbp = frame[14], frame[17], frame[19]
        if stack[0] <= rsp < stack[1] and rip > 0xFFFF:
            return (rax, rcx, rdx, rbx, rsp, rbp, rsi, rdi, *others, rip)
    return None
