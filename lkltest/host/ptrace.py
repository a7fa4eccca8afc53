# SPDX-License-Identifier: GPL-2.0-only
"""ptrace(2), as much of it as tracers here need. All of it is for the thread that has seized."""

from __future__ import annotations

import contextlib
import ctypes
import functools
import os

CONT, DETACH = 7, 17
SEIZE, INTERRUPT, LISTEN = 0x4206, 0x4207, 0x4208
_GETREGS, _GETEVENTMSG, _GETSIGINFO = 12, 0x4201, 0x4202
TRACE_CLONE, TRACE_EXIT = 1 << 3, 1 << 6
EVENT_EXIT, EVENT_STOP = 6, 128
WAIT_ANY_OF_THIS_THREAD = 0x40000000 | 0x20000000
"""__WALL | __WNOTHREAD, wait(2)."""
_SIGINFO_WORDS, _SI_ADDR = 16, 2  # siginfo_t where pointers have 64 bits
_REGISTERS = 27  # struct user_regs_struct on x86_64, sys/user.h


def ptrace(request: int, thread: int, data: int = 0) -> bool:
    """One request; whether it was done."""
    return bool(_libc().ptrace(request, thread, None, data) == 0)


def threads_of(process: int) -> dict[int, str]:
    """A process's threads that have not ended, each with its state ("R", "S"); {} when it is gone.

    The first thread may have ended before the others: it stays in the list (proc(5), stat).
    """
    found: dict[int, str] = {}
    with contextlib.suppress(OSError):
        for name in os.listdir(f"/proc/{process}/task"):  # noqa: PTH208
            with contextlib.suppress(OSError), open(f"/proc/{process}/task/{name}/stat", "rb") as f:
                state = f.read().rpartition(b") ")[2][:1].decode("ascii")
                if state not in ("Z", "X"):
                    found[int(name)] = state
    return found


def seize_all(process: int, options: int, known: set[int]) -> bool:
    """Seize each thread; those that are made meanwhile come with their maker.

    known: gets their numbers. Returns False where nobody may trace, or the process has ended.
    """
    while fresh := threads_of(process).keys() - known:
        for thread in fresh:
            if not ptrace(SEIZE, thread, options) and thread == process:
                return False
            known.add(thread)
    return bool(known)


def registers(thread: int) -> tuple[int, ...]:
    """A stopped thread's registers on x86_64 (struct user_regs_struct); () when it is gone."""
    values = (ctypes.c_ulong * _REGISTERS)()
    return tuple(values) if ptrace(_GETREGS, thread, ctypes.addressof(values)) else ()


def event_message(thread: int) -> int:
    """The message that comes with an event: of EVENT_EXIT the wait status."""
    value = ctypes.c_ulong()
    return value.value if ptrace(_GETEVENTMSG, thread, ctypes.addressof(value)) else 0


def fault_address(thread: int) -> int:
    """The address that the signal for a fault is about (sigaction(2), si_addr)."""
    information = (ctypes.c_ulong * _SIGINFO_WORDS)()
    done = ptrace(_GETSIGINFO, thread, ctypes.addressof(information))
    return information[_SI_ADDR] if done else 0


@functools.cache
def _libc() -> ctypes.CDLL:
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long, ctypes.c_long, ctypes.c_void_p, ctypes.c_void_p]
    libc.ptrace.restype = ctypes.c_long
    return libc
