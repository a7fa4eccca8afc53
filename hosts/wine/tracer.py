# SPDX-License-Identifier: GPL-2.0-only
"""A tracer that stops a Wine process when it is ending by a fault, or when it is asked to.

Wine turns signals into Windows' exceptions, and who handles one may be the program, so that no
signal ends it. What is kept of each is the thread's registers and its stack, which costs less than
a millisecond; what became of it is known when the process ends.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path

from lkltest.host.ptrace import (
    CONT,
    EVENT_EXIT,
    INTERRUPT,
    TRACE_CLONE,
    TRACE_EXIT,
    WAIT_ANY_OF_THIS_THREAD,
    event_message,
    fault_address,
    ptrace,
    registers,
    seize_all,
    threads_of,
)

_FAULTS = {signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGTRAP}
_QUIT = signal.SIGQUIT  # by which the server ends each thread of a process that ends
_EXIT_GROUP = 231
_ORIG_RAX, _RSP = 15, 19  # in struct user_regs_struct
_STACK_BYTES = 128 << 10
_FAULTS_KEPT = 4  # of a thread
_STOP_SECONDS = 2.0  # for a thread that sleeps in the kernel


@dataclass(frozen=True, slots=True)
class Fault:
    """A fault that a thread has had: its registers then, and the stack from where they point.

    Attributes:
        number: of the signal.
        address: what it is about: the memory that was accessed.
    """

    number: int
    address: int
    registers: tuple[int, ...]
    stack: bytes


@dataclass(frozen=True, slots=True)
class Stopped:
    """A process with all of its threads stopped, those that were ended with it left out.

    Attributes:
        witness: a thread that is stopped; the first one may have no memory any more.
        registers: of each thread, as ptrace(2) gives them.
        faults: the last ones of each thread that has had any; a handler may have its own.
        ending: the thread that ends the process with a status that is not 0, or 0.
        last: the thread that ends the process, with whatever status, or 0.
        lost: the thread that Wine ended alone in the middle of a fault, or 0.
    """

    witness: int
    registers: Mapping[int, tuple[int, ...]]
    faults: Mapping[int, list[Fault]]
    ending: int = 0
    last: int = 0
    lost: int = 0


class WineTracer:
    """Watches a Wine process.

    Args:
        process: its number as the runner sees it.
        on_stop: called in the tracer's thread, once, while every thread of it is stopped: when it
            ends, or when `stop` was called.
        ends_itself: called with a thread that ends, stopped, which has had a fault: whether it has
            asked Windows to be ended.
    """

    def __init__(
        self,
        process: int,
        on_stop: Callable[[Stopped], None],
        ends_itself: Callable[[int], bool],
    ) -> None:
        self._process = process
        self._on_stop = on_stop
        self._ends_itself = ends_itself
        self._threads: set[int] = set()
        self._faults: dict[int, list[Fault]] = {}
        self._ready, self._seen = threading.Event(), threading.Event()
        self._wanted = False
        self.allowed = False
        """Whether the process may be traced here."""
        self._thread = threading.Thread(target=self._run, name=f"tracer-{process}", daemon=True)
        self._thread.start()
        self._ready.wait()

    def stop(self, seconds: float) -> bool:
        """Stop the process, for good, and look at it. Return whether that could be done."""
        self._wanted = True
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGURG)  # ignored by default, and told to a tracer first
        return self._seen.wait(seconds)

    def join(self) -> None:
        """Wait for the look at a process that has ended."""
        self._thread.join()

    def _run(self) -> None:
        try:
            self.allowed = seize_all(self._process, TRACE_CLONE | TRACE_EXIT, self._threads)
        finally:
            self._ready.set()
        with contextlib.suppress(ChildProcessError):
            while True:
                thread, status = os.waitpid(-1, WAIT_ANY_OF_THIS_THREAD)
                if os.WIFSTOPPED(status):
                    self._stopped(thread, status)
                else:
                    self._threads.discard(thread)

    def _stopped(self, thread: int, status: int) -> None:
        """Note what a thread stopped for, and let it go on."""
        self._threads.add(thread)
        number, event = os.WSTOPSIG(status), status >> 16
        if self._wanted and not self._seen.is_set():
            self._look(thread, self._stop_others(thread))
            return  # nothing goes on: what it did now would be blamed on a later test point
        if event == EVENT_EXIT:
            ending = registers(thread)[_ORIG_RAX : _ORIG_RAX + 1] == (_EXIT_GROUP,)
            if ending and not self._seen.is_set():
                self._look(thread, {}, thread if event_message(thread) else 0, thread)
            elif self._is_lost(thread):
                self._end_with(thread)
            ptrace(CONT, thread)
        elif event:
            ptrace(CONT, thread)
        else:
            self._note_fault(thread, number)
            if number == _QUIT and self._faults and not self._seen.is_set():
                others = self._stop_others(thread)
                self._look(thread, others)
                for other, signal_number in others.items():
                    ptrace(CONT, other, signal_number)
            ptrace(CONT, thread, number)

    def _is_lost(self, thread: int) -> bool:
        """Whether a thread that ends is ended by Wine, alone, for a fault.

        Wine does so where it cannot unwind the stack. Windows would end the process; here, the
        other threads wait for ever.
        """
        faulty = thread in self._faults and not self._seen.is_set()
        return faulty and not self._ends_itself(thread)

    def _end_with(self, lost: int) -> None:
        """Look at a process that has lost a thread, and end it."""
        self._look(lost, self._stop_others(lost), lost=lost)
        with contextlib.suppress(ProcessLookupError):
            os.kill(self._process, signal.SIGKILL)

    def _look(
        self,
        stopped: int,
        others: Mapping[int, int],
        ending: int = 0,
        last: int = 0,
        lost: int = 0,
    ) -> None:
        """Look at the threads that are stopped."""
        found = {thread: registers(thread) for thread in (stopped, *others)}
        found = {thread: values for thread, values in found.items() if values}
        try:
            self._on_stop(Stopped(stopped, found, dict(self._faults), ending, last, lost))
        finally:
            self._seen.set()

    def _stop_others(self, stopped: int) -> dict[int, int]:
        """Stop all other threads. Return the signal that each is about to get, 0 for none."""
        others: dict[int, int] = {}
        waited = self._interrupt_all({stopped})
        limit = time.monotonic() + _STOP_SECONDS
        with contextlib.suppress(ChildProcessError):
            while time.monotonic() < limit:
                waited = waited or self._interrupt_all({stopped, *others})  # made meanwhile
                if not waited:
                    break
                thread, status = os.waitpid(-1, WAIT_ANY_OF_THIS_THREAD | os.WNOHANG)
                if not thread:
                    time.sleep(0.0005)
                    continue
                waited.discard(thread)
                if not os.WIFSTOPPED(status):
                    self._threads.discard(thread)
                    continue
                self._threads.add(thread)
                others[thread] = 0 if status >> 16 else os.WSTOPSIG(status)
                self._note_fault(thread, others[thread])
        return others

    def _interrupt_all(self, stopped: set[int]) -> set[int]:
        """The threads that are now about to stop."""
        return {t for t in threads_of(self._process).keys() - stopped if ptrace(INTERRUPT, t)}

    def _note_fault(self, thread: int, number: int) -> None:
        if number in _FAULTS:
            values = registers(thread)
            faults = self._faults.setdefault(thread, [])
            faults.append(Fault(number, fault_address(thread), values, self._copy_of_stack(values)))
            del faults[1:-_FAULTS_KEPT]  # the first of a nest is what all came from

    def _copy_of_stack(self, values: tuple[int, ...]) -> bytes:
        try:
            with Path(f"/proc/{self._process}/mem").open("rb", buffering=0) as memory:
                return os.pread(memory.fileno(), _STACK_BYTES, values[_RSP])
        except (OSError, OverflowError, IndexError):
            return b""
