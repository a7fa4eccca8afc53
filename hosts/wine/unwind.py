# SPDX-License-Identifier: GPL-2.0-only
"""The frames of a stopped thread of a Windows program on x86_64.

Functions of a PE image are unwound by its table of them (.pdata), as Windows does it. Where there
is none (the kernel linked without it, code that is no PE image's), frame pointers are followed, or
else the stack is searched for an address that a call returns to: one behind a call of the very
function, or else the next one, and a frame found so is marked. Source: "x64 exception handling" in
Microsoft's documentation.
"""

from __future__ import annotations

import re
import struct
from bisect import bisect_right
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from functools import cached_property

RSP, RBP, RIP = 4, 5, 16
"""Registers by the numbers that unwind codes use; RIP follows the sixteen of them."""
_SEARCH_BYTES = 16384
_MOST_CODES = 255
_CHAINED = 4
_CALL_NEAR = 0xE8
_FRAME_BYTES = 4096  # a frame is hardly longer; jmp_buf has 1024 of __switch_to()
_CALL = re.compile(
    rb"(?:\xe8.{4}|\xff[\xd0-\xd7]|\xff[\x10-\x13\x16\x17]|\xff\x14.(?:.{4})?|\xff\x15.{4}"
    rb"|\xff[\x50-\x53\x55-\x57].|\xff\x54..|\xff[\x90-\x93\x95-\x97].{4}|\xff\x94.{5})$",
    re.DOTALL,
)
"""A call instruction at the end of some bytes (a prefix before it does not matter)."""

Read = Callable[[int, int], bytes]
"""Memory of the program; raises OSError where there is none."""


@dataclass(frozen=True)
class Module:
    """A PE image in memory. `functions`: the table of its functions, address and size there."""

    base: int
    size: int
    path: str
    functions: tuple[int, int]
    code: tuple[tuple[int, int], ...]

    def __contains__(self, address: int) -> bool:
        return self.base <= address < self.base + self.size

    def is_code(self, address: int) -> bool:
        return any(begin <= address - self.base < end for begin, end in self.code)


@dataclass(frozen=True, slots=True)
class Frame:
    """A frame: `address` is where it goes on; `sure` is False when it was found by searching."""

    address: int
    sure: bool = True


class Unwinder:
    """Unwinds threads of one program.

    Args:
        code: where there is code of no module, begin and end.
        entry: the address at which calls enter the function that an address is in; 0: not known.
    """

    def __init__(
        self,
        read: Read,
        modules: Sequence[Module],
        code: Sequence[tuple[int, int]] = (),
        entry: Callable[[int], int] = lambda address: 0,
    ) -> None:
        self._read = read
        self._entry = entry
        self._modules = modules
        self._code = code
        self._tables: dict[int, _Functions] = {}

    def frames(
        self, registers: Sequence[int], stack: tuple[int, int], most: int = 40
    ) -> Iterator[Frame]:
        """Yield the frames of a thread, the innermost first.

        Args:
            registers: sixteen in the order of unwind codes, and RIP.
            stack: where the thread's stack begins and ends.
        """
        state = list(registers)
        sure = True
        for number in range(most):
            yield Frame(state[RIP], sure)
            before = state[RSP]
            try:
                sure = self._step(state, stack, returns=number > 0, trusted=sure)
            except (OSError, struct.error):
                return
            if not state[RIP] or not before < state[RSP] <= stack[1]:
                return

    def returns_to(self, address: int) -> bool:
        """Whether a call may return to an address."""
        if not self._in_code(address):
            return False
        try:
            return _CALL.search(self._read(address - 7, 7)) is not None
        except OSError:
            return False

    def module_of(self, address: int) -> Module | None:
        return next((module for module in self._modules if address in module), None)

    def _in_code(self, address: int) -> bool:
        module = self.module_of(address)
        if module is None:
            return any(begin <= address < end for begin, end in self._code)
        return module.is_code(address)

    def _step(
        self, state: list[int], stack: tuple[int, int], *, returns: bool, trusted: bool
    ) -> bool:
        """Make the caller's registers of a frame's. Return whether that is sure.

        Args:
            returns: the address is one that a call returns to, perhaps past its function's end.
            trusted: the frame itself is sure.
        """
        module = self.module_of(state[RIP])
        if module is not None and module.functions[1]:
            table = self._tables.setdefault(module.base, _Functions(self._read, module))
            entry = table.find(state[RIP] - module.base - returns)
            trial = list(state)
            if entry is None or not _unwind(trial, entry, module.base, self._read):
                _pop_rip(trial, self._read)
            if self.returns_to(trial[RIP]) or not trial[RIP]:
                state[:] = trial
                return True
        if not returns and not self._in_code(state[RIP]):
            trial = list(state)
            _pop_rip(trial, self._read)
            if self.returns_to(trial[RIP]):  # a call of what is no code
                state[:] = trial
                return True
        return self._follow_frame_pointer(state, stack) or self._search(
            state, stack, trusted=trusted
        )

    def _follow_frame_pointer(self, state: list[int], stack: tuple[int, int]) -> bool:
        """Take the caller's registers from where RBP points. Return whether they are there."""
        if not state[RSP] <= state[RBP] <= stack[1] - 16:
            return False
        caller, address = struct.unpack("<2Q", self._read(state[RBP], 16))
        if not self.returns_to(address) or not (state[RBP] < caller <= stack[1] or not caller):
            return False
        state[RSP], state[RBP], state[RIP] = state[RBP] + 16, caller, address
        return True

    def _search(self, state: list[int], stack: tuple[int, int], *, trusted: bool) -> bool:
        """Find the caller's address on the stack. Return whether it must be it.

        That is one behind a call of this very function, where that is known to be running; what
        calls that have come back left on the stack is behind other calls. Or else it is the next.
        """
        here, state[RIP] = state[RIP], 0
        if not stack[0] <= state[RSP] < stack[1]:
            return False
        size = min(_SEARCH_BYTES, stack[1] - state[RSP]) & ~7
        words = struct.unpack(f"<{size // 8}Q", self._read(state[RSP], size))
        places = [i for i, word in enumerate(words) if word > 0xFFFF and self.returns_to(word)]
        if not places:
            return False
        entry = self._entry(here) if trusted else 0
        near = (place for place in places if place < _FRAME_BYTES // 8)
        index = next((i for i in near if entry and self._called(words[i]) == entry), None)
        sure = index is not None
        index = places[0] if index is None else index
        if index and words[index - 1] > state[RSP]:
            state[RBP] = words[index - 1]  # what it is where frames are linked
        state[RIP], state[RSP] = words[index], state[RSP] + 8 * (index + 1)
        return sure

    def _called(self, address: int) -> int:
        """The function that the call before an address goes to, where it says so; else 0."""
        try:
            code = self._read(address - 5, 5)
        except OSError:
            return 0
        return address + int(struct.unpack_from("<i", code, 1)[0]) if code[0] == _CALL_NEAR else 0


@dataclass(frozen=True, slots=True)
class _Entry:
    begin: int
    end: int
    information: int
    offset: int
    """The thread's offset in the function."""


class _Functions:
    """A module's table of functions (.pdata), in memory."""

    def __init__(self, read: Read, module: Module) -> None:
        self._read, self._module = read, module

    def find(self, address: int) -> _Entry | None:
        index = bisect_right(self._entries, (address, 0xFFFFFFFF, 0xFFFFFFFF)) - 1
        if index < 0:
            return None
        begin, end, information = self._entries[index]
        return _Entry(begin, end, information, address - begin) if address < end else None

    @cached_property
    def _entries(self) -> list[tuple[int, int, int]]:
        address, size = self._module.functions
        data = self._read(self._module.base + address, size // 12 * 12)
        return sorted(struct.iter_unpack("<3I", data))


def _pop_rip(state: list[int], read: Read) -> None:
    (state[RIP],) = struct.unpack("<Q", read(state[RSP], 8))
    state[RSP] += 8


def _unwind(state: list[int], entry: _Entry, base: int, read: Read) -> bool:
    """Undo what a function's prologue has done so far. Return whether RIP is the caller's, too."""
    information, inside = entry.information, entry.offset
    complete = False
    for _ in range(32):
        head, prologue, count, frame = struct.unpack("<4B", read(base + information, 4))
        codes = struct.unpack(f"<{count}H", read(base + information + 4, 2 * count))
        done = inside if inside < prologue else _MOST_CODES + 1
        complete |= _undo(state, codes, done, (frame & 15, (frame >> 4) * 16), read)
        if not (head >> 3) & _CHAINED:
            return complete
        after = information + 4 + 2 * ((count + 1) & ~1)
        _, _, information = struct.unpack("<3I", read(base + after, 12))
        inside = _MOST_CODES + 1  # the whole prologue of the first part is done
    return complete


def _undo(
    state: list[int], codes: Sequence[int], inside: int, pointer: tuple[int, int], read: Read
) -> bool:
    """Undo the unwind codes of what lies before `inside`. Return whether RIP is done, too.

    pointer: the frame register, 0 for none, and how far in the frame it points.
    """
    register, offset = pointer
    frame = state[RSP]
    if register and any((code >> 8) & 15 == 3 and code & 255 <= inside for code in codes):
        frame = state[register] - offset
    index = 0
    while index < len(codes):
        operation, info = (codes[index] >> 8) & 15, codes[index] >> 12
        done = codes[index] & 255 <= inside
        following = [*codes[index + 1 : index + 3], 0, 0]
        long = following[0] | following[1] << 16
        index += 1
        if operation == 0 and done:  # push of a register
            (state[info],) = struct.unpack("<Q", read(state[RSP], 8))
            state[RSP] += 8
        elif operation == 1:  # large allocation
            index += 2 if info else 1
            state[RSP] += (long if info else following[0] * 8) if done else 0
        elif operation == 2 and done:  # small allocation
            state[RSP] += info * 8 + 8
        elif operation == 3 and done:  # the frame register is set
            state[RSP] = state[register] - offset
        elif operation in (4, 5):  # a register is saved in the frame
            index += operation - 3
            place = long if operation == 5 else following[0] * 8
            if done:
                (state[info],) = struct.unpack("<Q", read(frame + place, 8))
        elif operation in (6, 8, 9):
            index += 2 if operation == 9 else 1
        elif operation == 10 and done:  # what an interrupt pushes
            at = state[RSP] + 8 * info
            state[RIP], _, _, state[RSP] = struct.unpack("<4Q", read(at, 32))
            return True
    return False
