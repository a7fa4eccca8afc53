# SPDX-License-Identifier: GPL-2.0-only
"""Stacks of the threads of a Windows program that hangs or dies, with names."""

from __future__ import annotations

import ntpath
import platform
import re
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from functools import cached_property
from itertools import groupby
from pathlib import Path

from lkltest.host.elf_symbols import symbols_in
from lkltest.host.ptrace import registers

from .crash import Crash, crash_by_signal
from .held_log import held_log
from .pe import Symbol, SymbolTable
from .process import (
    Memory,
    Thread,
    anonymous_code,
    modules,
    stack_pointer,
    unix_path,
    windows_thread,
)
from .symbols import Line, Names, lines_of, names_of
from .tracer import Fault, Stopped, WineTracer
from .unwind import RIP, RSP, Frame, Module, Read, Unwinder

_STOP_SECONDS = 10.0
_MOST_THREADS = 64
_FRAMES = 100
_STACK_COMPARED = 512
_OUTLINE_FRAMES = 11
_LEAVES = re.compile(r"sem_down|mutex_lock|__switch_to|context_switch|__?schedule|schedule")
"""Functions by which the kernel waits; who called them matters."""
_ELF = b"\x7fELF\2\1\1"  # of 64 bits
_PANIC = b"Kernel panic - not syncing"
_WITH_LINES = 4  # stacks whose lines are asked for


@dataclass(frozen=True, slots=True)
class Stack:
    """The frames of a thread."""

    thread: Thread
    frames: tuple[Frame, ...]


@dataclass(slots=True)
class Seen:
    """The findings about a program while it was stopped.

    Attributes:
        stacks: of its threads.
        faults: of threads at the faults that they have had, the last ones.
        ending: the Windows thread that has ended the program with a status that is not 0, or 0.
        last: the Windows thread that has ended the program, with whatever status, or 0.
    """

    stacks: list[Stack] = field(default_factory=list)
    faults: list[Stack] = field(default_factory=list)
    ending: int = 0
    last: int = 0
    untold: Crash | None = None
    """The fault that a thread is still in."""
    modules: list[Module] = field(default_factory=list)
    held_log: bytes = b""


class WineDebugger:
    """Looks at a Wine process when it ends by a fault, or when it is asked to.

    Args:
        pid: of the process, as the runner sees it.
        program: its file.
        prefix: of its Wine, where its libraries are.
        symbols: files that may have the program's symbols, beside those that are looked for.
    """

    def __init__(self, pid: int, program: Path, prefix: Path, symbols: Sequence[Path] = ()) -> None:
        self.report = ""
        """The stacks; "" before anything has happened."""
        self._program, self._prefix, self._symbols = program, prefix, symbols
        self._seen = Seen()
        self._names: dict[int, Names] = {}
        self.ended_it = False
        """Whether it had to end the program, of which Wine had ended a thread."""
        self._tracer: WineTracer | None = None
        if platform.machine() == "x86_64":
            self._tracer = WineTracer(pid, self._on_stop, self._ends_itself)

    def look(self) -> str:
        """The stacks of a program that hangs, which is stopped for good; or why there are none."""
        if self._tracer is None:
            return "no stacks: they are had on x86_64 alone"
        if not self._tracer.allowed:
            return "no stacks: nobody may trace the program here (ptrace(2))"
        if not self._tracer.stop(_STOP_SECONDS):
            return f"no stacks: the program did not stop within {_STOP_SECONDS:g} s"
        self.report = self._describe() or "no stacks: the program has no Windows thread"
        return self.report

    def join_if_dying(self) -> bool:
        """False: a look takes milliseconds, which no deadline is short of."""
        return False

    def settle(self) -> Iterator[bytes]:
        """Wait for the look at a program that has died; yield what it had not printed."""
        if self._tracer is not None:
            self._tracer.join()
        if self._seen.held_log:
            yield b"\n" + self._seen.held_log + b"\n"

    def is_of_another(self, crash: Crash) -> bool:
        """Whether a crash that Wine told of has not ended this program: a child's, surely.

        Whoever crashes ends the process that it is in.
        """
        last = self._seen.last
        return bool(last and crash.thread) and int(crash.thread, 16) != last

    def explain(self, told: Crash | None) -> Crash | None:
        """Say what the threads did when the program had died; None: Wine has told of no crash.

        Returns the crash, with the function where that is known; None: the program ended itself.
        """
        seen = self._seen
        crash = told or seen.untold
        if crash is None or crash.address is None:
            self.report = self.report or (self._describe() if seen.ending else "")
            return crash
        dying = next((stack for stack in seen.faults if _is_of(stack, crash)), None)
        if dying is not None:
            others = [s for s in seen.stacks if s.thread.task != dying.thread.task]
            seen.stacks = [dying, *others]
            seen.ending = dying.thread.number
        self.report = self.report or self._describe()
        function = self._function_of(crash.address, dying)
        caller = "" if function or dying is None else self._caller_of(dying)
        return replace(crash, function=function, caller=caller)

    def _caller_of(self, dying: Stack) -> str:
        """The function that called a place that is no code, as through a null pointer."""
        if any(module.is_code(dying.frames[0].address) for module in self._seen.modules):
            return ""
        callers = [frame for frame in dying.frames[1:2] if frame.sure]
        return self._function(callers[0].address - 1) if callers else ""

    def _function_of(self, address: int, dying: Stack | None) -> str:
        """The function that a crash is in; `panic` where that has no name and a panic ended so.

        The function by which LKL does that is static: without symbols it is known by who called it,
        or by what the kernel's log has come to.
        """
        own = self._function(address)
        if dying is not None and (not own or own.startswith("[")):
            callers = [self._function(frame.address - 1) for frame in dying.frames[1:4]]
            if "panic" in callers or _PANIC in self._seen.held_log:
                return "panic"
        return own

    def _function(self, address: int) -> str:
        name, _, offset = self._name(address).rpartition("+")
        return name if offset.startswith("0x") and not name.startswith("??") else ""

    def _on_stop(self, stopped: Stopped) -> None:
        """Take everything that is gone when the program goes on. Called in the tracer's thread."""
        try:
            memory = Memory(stopped.witness)
        except OSError:
            return
        try:
            self._take(memory, stopped)
        finally:
            memory.close()

    def _take(self, memory: Memory, stopped: Stopped) -> None:
        seen = self._seen
        lists = (modules(memory, raw) for raw in stopped.registers.values())
        seen.modules = next(filter(None, lists), [])
        code = anonymous_code(stopped.witness)
        ended_well = bool(stopped.last and not stopped.ending and not stopped.faults)
        for task, raw in sorted(stopped.registers.items()):
            faults = list(stopped.faults.get(task, ()))
            if task == stopped.lost:
                self.ended_it = True
                faults = _outermost(faults, memory)
            # A lost thread's own registers are of Wine's code that ends it.
            then_or_now = faults[0].registers if task == stopped.lost else raw
            thread = windows_thread(memory, task, then_or_now)
            if thread is None or len(seen.stacks) == _MOST_THREADS:
                continue
            if task == stopped.last:
                seen.last = thread.number
            if task in (stopped.ending, stopped.lost):
                seen.ending = thread.number
            elif stopped.last and not stopped.faults:
                continue
            seen.stacks.append(
                _stack(thread, Unwinder(memory.read, seen.modules, code, self._entry))
            )
            for fault in faults:
                then = windows_thread(memory, task, fault.registers)
                if then is not None:
                    read = _overlaid(memory.read, then.registers[RSP], fault.stack)
                    seen.faults.append(
                        _stack(then, Unwinder(read, seen.modules, code, self._entry))
                    )
                    if task == stopped.lost or thread.registers[RSP] < then.registers[RSP]:
                        at = then.registers[RIP]
                        number = then.number
                        seen.untold = crash_by_signal(fault.number, fault.address, at, number)
        seen.stacks.sort(key=lambda s: (s.thread.number != seen.ending, s.thread.waits))
        # A kernel's 50,000 symbols take 0.2 s, which a run that is fine does not pay.
        program = self._program_module()
        if program is not None and not ended_well:
            names = self._names_of(program)
            seen.held_log = held_log(memory, program.base, names, self._program)

    def _ends_itself(self, task: int) -> bool:
        """Whether a thread that ends has asked Windows to; True where that cannot be told."""
        raw = registers(task)
        try:
            memory = Memory(task)
        except OSError:
            return True
        try:
            self._seen.modules = modules(memory, raw)
            thread = windows_thread(memory, task, raw)
        finally:
            memory.close()
        name = self._name(thread.registers[RIP]) if thread else "??"
        return name.startswith(("??", "NtTerminate", "ZwTerminate"))

    # What is said of it

    def _describe(self) -> str:
        """The stacks in words, and what could be done for better ones."""
        if not self._seen.stacks:
            return ""
        self._put_telling_one_first()
        lines = self._lines()
        parts = [self._stack_text(stack, lines) for stack in self._seen.stacks]
        if outline := self._outline(self._seen.stacks[0], lines):
            parts.insert(0, outline)
        if any(not frame.sure for stack in self._seen.stacks for frame in stack.frames):
            parts.append("?: found by searching the stack, which may be wrong")
        module = self._program_module()
        if module is not None and (remark := self._remark(self._names_of(module))):
            parts.insert(0 if remark.startswith(self._program.name) else len(parts), remark)
        return "\n\n".join(parts)

    def _put_telling_one_first(self) -> None:
        """Of threads that hang alike, begin with one that is in the program's own code."""
        stacks = self._seen.stacks
        alike = [s for s in stacks if s.thread.waits == stacks[0].thread.waits]
        telling = next((stack for stack in alike if self._outline(stack, {})), None)
        if telling is not None and stacks[0].thread.number != self._seen.ending:
            stacks.remove(telling)
            stacks.insert(0, telling)

    def _remark(self, names: Names) -> str:
        program = self._program.name
        if not names.sources:
            return (
                f"{program} has no names: link it without -s, keep what strip takes from it as "
                f"{program}.debug beside it, or let the linker write {self._program.stem}.map "
                "(-Wl,-Map=FILE); System.map has the kernel's; --lkl-symbols=FILE names any file"
            )
        others = [str(file) for file in names.sources if file != self._program]
        return f"names: {', '.join(others)}" if others else ""

    def _outline(self, stack: Stack, lines: Mapping[int, tuple[Line, ...]]) -> str:
        """The place of a thread in the program's own code, in a few short lines."""
        rows: list[str] = []
        for number, frame, _ in _without_recursion(stack.frames):
            name = self._name(frame.address, returns=number > 0)
            if not frame.sure or name.endswith(")"):
                continue
            *inlined, own = lines.get(frame.address, (Line("", ""),))
            for line in (*inlined, replace(own, function=name.rpartition("+")[0])):
                if rows or not _LEAVES.fullmatch(line.function):
                    rows.append(f"{line.function} {line.place}".rstrip())
        return "\n".join(rows[:_OUTLINE_FRAMES])

    def _stack_text(self, stack: Stack, lines: Mapping[int, tuple[Line, ...]]) -> str:
        dying = stack.thread.number == self._seen.ending
        state = "dying" if dying else "waiting" if stack.thread.waits else "running"
        rows = [f"Thread {stack.thread.number:#06x} ({state}):"]
        for number, frame, more in _without_recursion(stack.frames):
            *inlined, own = lines.get(frame.address, (Line("", ""),))
            for line in inlined:
                rows.append(f"#{number:<2} {'(inlined)':18} in {line.function} at {line.place}")
            doubt = "" if frame.sure else "? "
            rows.append(
                f"#{number:<2} {frame.address:#018x} in {doubt}"
                f"{self._name(frame.address, returns=number > 0)}"
                f"{own.place and f' at {own.place}'}{f', {more} more times' if more else ''}"
            )
        return "\n".join(rows)

    def _name(self, address: int, *, returns: bool = False) -> str:
        """`function+0x12`, with the library where it is none of the program's."""
        module = next((module for module in self._seen.modules if address in module), None)
        if module is None:
            named = self._loaded_kernel.find(address - returns)
            return f"{named[0]}+{named[1] + returns:#x}" if named else "?? (no module)"
        own = module == self._program_module()
        file = ntpath.basename(module.path)
        found = self._names_of(module).table.find(address - module.base - returns)
        if found is None:
            return f"?? ({file}+{address - module.base:#x})"
        name, offset = found
        return f"{name}+{offset + returns:#x}" + ("" if own else f" ({file})")

    def _entry(self, address: int) -> int:
        """The address at which calls enter the program's function at a place; 0: not known."""
        module = self._program_module()
        if module is None or address not in module:
            return 0
        table = self._names_of(module).table
        found = table.find(address - module.base)
        if found is None:
            return 0
        name, offset = found
        own = table.place(name.removesuffix(".cold")) if name.endswith(".cold") else None
        return module.base + own if own is not None else address - offset

    def _lines(self) -> dict[int, tuple[Line, ...]]:
        """Source lines of the program's frames."""
        module = self._program_module()
        names = self._names_of(module) if module else None
        if module is None or names is None or names.lines is None:
            return {}
        asked: dict[int, int] = {}
        for stack in self._seen.stacks[:_WITH_LINES]:
            for number, frame in enumerate(stack.frames):
                if frame.address in module:
                    place = frame.address - module.base + names.image_base - (number > 0)
                    asked.setdefault(frame.address, place)
        found = lines_of(names.lines, list(asked.values()))
        return {address: found[place] for address, place in asked.items() if place in found}

    @cached_property
    def _loaded_kernel(self) -> SymbolTable:
        """The names of a kernel that the program has loaded from its own data, an ELF file."""
        try:
            data = self._program.read_bytes()
        except OSError:
            return SymbolTable((), ())
        begin = data.find(_ELF)
        symbols = sorted(symbols_in(data[begin:])) if begin >= 0 else []
        return SymbolTable.of(tuple(Symbol(address, name) for address, _, name in symbols))

    def _program_module(self) -> Module | None:
        return self._seen.modules[0] if self._seen.modules else None

    def _names_of(self, module: Module) -> Names:
        if module.base not in self._names:
            own = module == self._program_module()
            file = self._program if own else unix_path(module.path, self._prefix)
            self._names[module.base] = names_of(file, self._symbols if own else ())
        return self._names[module.base]


def _without_recursion(frames: Sequence[Frame]) -> Iterator[tuple[int, Frame, int]]:
    """Yield each frame with its number, and how often it comes again at once."""
    number = 0
    for _, group in groupby(frames, key=lambda frame: frame.address):
        same = list(group)
        yield number, same[0], len(same) - 1
        number += len(same)


def _stack(thread: Thread, unwinder: Unwinder) -> Stack:
    return Stack(thread, tuple(unwinder.frames(thread.registers, thread.stack, _FRAMES)))


def _outermost(faults: Sequence[Fault], memory: Memory) -> list[Fault]:
    """The last fault of a thread, or the one from which a nest of faults came.

    Its stack is as it was then, as the thread has not come back to it.
    """
    for fault in faults:
        copy = fault.stack[:_STACK_COMPARED]
        try:
            if memory.read(stack_pointer(fault.registers), len(copy)) == copy:
                return [fault]
        except OSError:
            continue
    return list(faults[-1:])


def _overlaid(read: Read, start: int, data: bytes) -> Read:
    """Memory in which some bytes are as they were when a copy was made."""

    def overlaid(address: int, size: int) -> bytes:
        inside = address - start
        if inside >= 0 and inside + size <= len(data):
            return data[inside : inside + size]
        return read(address, size)

    return overlaid


def _is_of(stack: Stack, crash: Crash) -> bool:
    """Whether a crash that Wine told of is where a thread has had a fault."""
    same = not crash.thread or int(crash.thread, 16) == stack.thread.number
    past_breakpoint = stack.frames[0].address - 1  # where the processor is when it has met one
    return same and crash.address in (stack.frames[0].address, past_breakpoint)
