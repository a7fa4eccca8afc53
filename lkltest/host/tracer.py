# SPDX-License-Identifier: GPL-2.0-only
"""A tracer that stops a program at the signal that would end it, so that a debugger can look.

A core file would be the machine's business (core_pattern is not a namespace's), and a program that
runs under gdb from its start is slow. Here a thread of the runner seizes the program and sleeps
until it is dying: nothing is slower where nothing crashes. See ptrace(2), PTRACE_SEIZE.
"""

from __future__ import annotations

import contextlib
import os
import signal
import threading
from collections.abc import Callable
from pathlib import Path

from lkltest.host.ptrace import (
    CONT,
    DETACH,
    EVENT_STOP,
    INTERRUPT,
    LISTEN,
    TRACE_CLONE,
    WAIT_ANY_OF_THIS_THREAD,
    ptrace,
    seize_all,
    threads_of,
)

_RELEASE_SECONDS = 5.0  # a thread that sleeps in the kernel stops for nobody
_STOPPING = {signal.SIGSTOP, signal.SIGTSTP, signal.SIGTTIN, signal.SIGTTOU}
FATAL = frozenset(
    {
        *(signal.SIGSEGV, signal.SIGBUS, signal.SIGFPE, signal.SIGILL, signal.SIGABRT),
        *(signal.SIGSYS, signal.SIGTRAP),
    }
)
"""Signals by which a program dies of a fault of its own."""

OnFault = Callable[[int, int], None]
"""Takes the thread that is dying, by its number as the runner sees it, and the signal."""


class Tracer:
    """Watches a program for its death by a fault.

    Args:
        process: its number as the runner sees it.
        on_fault: called in the tracer's thread while every thread of the program is stopped and
            none is traced: gdb can attach. Afterwards the program dies of the signal.
    """

    def __init__(self, process: int, on_fault: OnFault) -> None:
        self._process = process
        self._on_fault = on_fault
        self._ready = threading.Event()
        self._unwanted = False
        self.dying = False
        """Whether the program has met the signal that ends it."""
        self._thread = threading.Thread(target=self._run, name=f"tracer-{process}", daemon=True)
        self._thread.start()
        self._ready.wait()

    def join(self) -> None:
        """Wait until the program has died and `on_fault` has come back. The program is dying."""
        self._thread.join()

    def release(self) -> None:
        """Trace the program no more, so that gdb can, and let it run on."""
        self._unwanted = True
        # Ignored by default, and told to a tracer first; a stopped program hears of SIGCONT alone.
        for number in (signal.SIGURG, signal.SIGCONT):
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process, number)
            self._thread.join(_RELEASE_SECONDS / 2)
            if not self._thread.is_alive():
                return

    def _run(self) -> None:
        try:
            seize_all(self._process, TRACE_CLONE, set())
        finally:
            self._ready.set()
        # Nobody may trace where the kernel or a container says so: the program is then not watched.
        with contextlib.suppress(ChildProcessError):
            while True:
                thread, status = os.waitpid(-1, WAIT_ANY_OF_THIS_THREAD)
                if os.WIFSTOPPED(status) and self._stopped(thread, status):
                    return

    def _stopped(self, thread: int, status: int) -> bool:
        """Let a stopped thread go on. Return True when the program was dying and has been seen."""
        if self._unwanted:
            self._release(thread, 0)
            return True
        number = os.WSTOPSIG(status)
        event = status >> 16
        if event == EVENT_STOP and number in _STOPPING:
            ptrace(LISTEN, thread)
        elif event:
            ptrace(CONT, thread)
        elif number in FATAL and _default_action(self._process, number):
            self.dying = True
            self._release(thread, signal.SIGSTOP)
            self._on_fault(thread, number)
            with contextlib.suppress(ProcessLookupError):
                os.kill(self._process, number)
                os.kill(self._process, signal.SIGCONT)
            return True
        else:
            ptrace(CONT, thread, number)
        return False

    def _release(self, stopped: int, number: int) -> None:
        """Trace no thread any more; the one that is `stopped` now gets the signal `number`.

        Threads that are just being made are traced before they have been heard of.
        """
        released = {stopped}
        waiting = self._interrupt_all(released)
        ptrace(DETACH, stopped, number)
        with contextlib.suppress(ChildProcessError):
            while waiting or (waiting := self._interrupt_all(released)):
                thread, status = os.waitpid(-1, WAIT_ANY_OF_THIS_THREAD)
                waiting.discard(thread)
                released.add(thread)
                if os.WIFSTOPPED(status):
                    ptrace(DETACH, thread)

    def _interrupt_all(self, released: set[int]) -> set[int]:
        """The threads that are still traced, now about to stop."""
        return {
            thread
            for thread in threads_of(self._process).keys() - released
            if ptrace(INTERRUPT, thread)
        }


def _default_action(process: int, number: int) -> bool:
    """Whether the program neither handles nor ignores a signal (proc(5), status)."""
    masks = {}
    try:
        text = Path(f"/proc/{process}/status").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    for line in text.splitlines():
        name, _, value = line.partition(":")
        if name in ("SigCgt", "SigIgn"):
            masks[name] = int(value, 16)
    return not any(mask >> (number - 1) & 1 for mask in masks.values())
