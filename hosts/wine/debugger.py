# SPDX-License-Identifier: GPL-2.0-only
"""What the threads of a Windows program are doing: winedbg's backtraces.

winedbg knows processes by their Windows ids and says nothing of ours, and its "bt all" walks every
process of the server. The ids stand in each thread's TEB (ClientId, at 0x40), where the GS register
points in a 64 bit Wine process; ptrace(2) tells that register.
"""

from __future__ import annotations

import ctypes
import os
import platform
import struct
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lkltest.sandbox.scope import Scope

_PTRACE_GETREGS, _PTRACE_DETACH, _PTRACE_SEIZE, _PTRACE_INTERRUPT = 12, 17, 0x4206, 0x4207
_WALL = 0x40000000
_REGISTERS, _GS_BASE = 27, 22  # struct user_regs_struct, sys/user.h
_CLIENT_ID = 0x40  # of struct _TEB, winternl.h
_SECONDS = 40.0
_MAX_THREADS = 40


@dataclass(frozen=True, slots=True)
class WindowsThread:
    """Windows ids of a thread and its process."""

    process: int
    thread: int


def backtrace(pid: int, scope: Scope, wine: Path, environment: Mapping[str, str]) -> str:
    """Backtraces of the threads of the Wine process `pid`; says why when there are none."""
    if platform.machine() != "x86_64":
        return "no backtrace: it is made on x86_64 alone"
    threads = list(windows_threads(pid))
    if not threads:
        return f"no backtrace: process {pid} has no Windows thread"
    commands = [f"attach {threads[0].process:#x}"]
    commands += [f"bt {thread.thread:#x}" for thread in threads[:_MAX_THREADS]]
    commands += ["detach", "quit"]
    script, output = scope.folder / f"winedbg-{pid}", scope.folder / f"winedbg-{pid}.log"
    script.write_text("\n".join([*commands, ""]), encoding="ascii")
    with output.open("wb") as log:
        try:
            child = scope.spawn(
                [wine, r"C:\windows\system32\winedbg.exe", "--file", script],
                env={**environment, "WINEDLLOVERRIDES": "mscoree,mshtml=", "WINEDEBUG": "-all"},
                stdout=log.fileno(), stderr=log.fileno(),
            )  # fmt: skip
        except OSError as error:
            return f"no backtrace: {error}"
        if child.wait(_SECONDS) is None:
            child.kill()
            return f"no backtrace: winedbg did not end within {_SECONDS:g} s"
    said = output.read_text("utf-8", "backslashreplace")
    return label_threads(said, threads) or "no backtrace: winedbg said nothing"


def label_threads(said: str, threads: Sequence[WindowsThread]) -> str:
    """Say in winedbg's output which thread each "Backtrace:" is of; drop what stands before."""
    head, *traces = said.replace("\r\n", "\n").split("Backtrace:\n")
    if not traces:
        return head.strip()
    return "\n".join(
        f"thread {thread.thread:#06x}:\n{trace.strip()}"
        for thread, trace in zip(threads, traces, strict=False)
    )


def windows_threads(pid: int) -> Iterator[WindowsThread]:
    """The Windows threads of a Wine process; Wine's own on the Unix side are none."""
    try:
        tasks = sorted(int(name) for name in os.listdir(f"/proc/{pid}/task"))  # noqa: PTH208
        memory = os.open(f"/proc/{pid}/mem", os.O_RDONLY | os.O_CLOEXEC)
    except OSError:
        return
    try:
        for task in tasks:
            base = _gs_base(task)
            if not base:
                continue
            try:
                process, thread = struct.unpack("<QQ", os.pread(memory, 16, base + _CLIENT_ID))
            except (OSError, struct.error, OverflowError):
                continue
            if 0 < process < 1 << 32 and 0 < thread < 1 << 32:
                yield WindowsThread(process, thread)
    finally:
        os.close(memory)


def _gs_base(task: int) -> int:
    """The GS base of a thread, 0 when it cannot be had. Stops the thread for a moment."""
    libc = ctypes.CDLL(None, use_errno=True)
    libc.ptrace.argtypes = [ctypes.c_long] * 4
    libc.ptrace.restype = ctypes.c_long
    if libc.ptrace(_PTRACE_SEIZE, task, 0, 0) != 0:
        return 0
    try:
        registers = (ctypes.c_ulong * _REGISTERS)()
        if libc.ptrace(_PTRACE_INTERRUPT, task, 0, 0) != 0:
            return 0
        os.waitpid(task, _WALL)
        if libc.ptrace(_PTRACE_GETREGS, task, 0, ctypes.addressof(registers)) != 0:
            return 0
        return int(registers[_GS_BASE])
    except OSError:
        return 0
    finally:
        libc.ptrace(_PTRACE_DETACH, task, 0, 0)
