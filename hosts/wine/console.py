# SPDX-License-Identifier: GPL-2.0-only
"""A Windows program under Wine: its stdout on one pipe, its stderr on another, its end judged.

Pipes, not a terminal: on a terminal Wine starts a conhost.exe that redraws the output with escape
sequences.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lkltest.host.console import Console
from lkltest.host.disk import Disk
from lkltest.report.terminal import printable
from lkltest.verdict.results import Problem, ProblemKind

ACCESS_VIOLATION = 0xC0000005

EXCEPTIONS = {
    0x80000002: "misaligned access",
    0x80000003: "breakpoint",
    0xC0000005: "access violation",
    0xC0000006: "in-page error",
    0xC000001D: "illegal instruction",
    0xC0000025: "noncontinuable exception",
    0xC000008C: "array bounds exceeded",
    0xC000008E: "floating-point division by zero",
    0xC0000090: "invalid floating-point operation",
    0xC0000094: "integer division by zero",
    0xC0000096: "privileged instruction",
    0xC00000FD: "stack overflow",
    0xC0000135: "DLL not found",
    0xC0000139: "entry point not found",
    0xC0000142: "DLL initialisation failed",
    0xC0000374: "heap corruption",
    0xC0000409: "stack buffer overrun",
    0x20474343: "C++ exception (gcc)",
    0xE06D7363: "C++ exception (MSVC)",
}
"""Exception codes that programs die of, and what they are."""

# What format_exception_msg() calls an exception, and the code that it stands for.
_NAMED = {
    "page fault": 0xC0000005,
    "illegal instruction": 0xC000001D,
    "stack overflow": 0xC00000FD,
    "division by zero": 0xC0000094,
    "privileged instruction": 0xC0000096,
    "alignment fault": 0x80000002,
    "array bounds": 0xC000008C,
    "Ctrl-C": 0xC000013A,
    "critical section": 0xC0000194,
}

_LINE = re.compile(
    r"wine: Unhandled (?:exception (?P<code>0x[0-9a-fA-F]+)|(?P<name>[A-Za-z+ -]+?))"
    r"(?: on (?P<access>read|write|execute) access to (?:0x)?(?P<target>[0-9a-fA-F]+))?"
    r"(?: in thread [0-9a-fA-F]+)? at address (?:0x)?(?P<address>[0-9a-fA-F]+)"
    r"(?: \(thread (?P<thread>[0-9a-fA-F]+)\))?"
)
_UNIMPLEMENTED = re.compile(
    r"wine: Call from (?:0x)?(?P<address>[0-9a-fA-F]+) "
    r"to unimplemented function (?P<function>\S+?),"
)
_TERMINATE = re.compile(r"^terminate called (?P<how>.*?)\s*$", re.MULTILINE)

_WIDE_STATUSES = (
    ACCESS_VIOLATION,
    0xC000001D,
    0xC0000094,
    0xC00000FD,
    0xC0000135,
    0xC0000142,
    0x80000003,
    0xC0000374,
    0xC0000409,
)
_ABORT = 3  # what the C runtime's abort() exits with


@dataclass(frozen=True, slots=True)
class Crash:
    """An exception that ended a program.

    Attributes:
        code: the exception's 32 bit code, None when it is not known.
        what: the exception in words, with the address that was accessed.
        address: of the instruction, None when it is not known.
        thread: Windows id of the thread, in hexadecimal, or empty.
    """

    code: int | None
    what: str
    address: int | None = None
    thread: str = ""

    def __str__(self) -> str:
        text = self.what
        if self.code is not None:
            text += f", exception {self.code:#010x}"
        if self.address is not None:
            text += f", at {self.address:#x}"
        return text + (f" (thread {self.thread})" if self.thread else "")


def find_crashes(stderr: str) -> list[Crash]:
    """Return the crashes that Wine or a C++ runtime reported on a program's stderr, in order."""
    crashes = [_unhandled(match) for match in _LINE.finditer(stderr)]
    for match in _UNIMPLEMENTED.finditer(stderr):
        what = f"call of {match['function']}, which this Wine does not have"
        crashes.append(Crash(0x80000100, what, int(match["address"], 16)))
    if not crashes:
        for match in _TERMINATE.finditer(stderr):
            crashes.append(Crash(None, f"C++ terminate() {match['how']}"))
    return crashes


def explain_status(status: int) -> str:
    """Return what an exit status that Wine has cut to 8 bits may have been; empty for 0.

    >>> explain_status(3)
    'abort() exits so; Wine passes on only the low 8 bits'
    """
    if status == 0:
        return ""
    meanings = [
        f"{code:#010x} ({EXCEPTIONS[code]})" for code in _WIDE_STATUSES if code & 0xFF == status
    ]
    if status == _ABORT:
        meanings.insert(0, "abort() exits so")
    if status == 1:
        meanings.append("also stands for any multiple of 256")  # ntdll's get_unix_exit_code
    if status == 255:
        meanings.append("-1, or bad arguments")
    if not meanings:
        return "Wine passes on only the low 8 bits"
    cut = [meaning for meaning in meanings if meaning.startswith("0x")]
    others = [meaning for meaning in meanings if meaning not in cut]
    if cut:
        others.append(f"may be {' or '.join(cut)}")
    return "; ".join([*others, "Wine passes on only the low 8 bits"])


def _unhandled(match: re.Match[str]) -> Crash:
    name = (match["name"] or "").strip()
    if match["code"]:
        code: int | None = int(match["code"], 16)
        what = EXCEPTIONS.get(code or 0, "unhandled exception")
    else:
        code = _NAMED.get(name)
        what = name
    if match["access"]:
        what += f" on {match['access']} access to {int(match['target'], 16):#x}"
    return Crash(code, what, int(match["address"], 16), match["thread"] or "")


_SIDE_LINES = 60
_START_FAILED = b"Application could not be started"


class WineConsole(Console):
    """Console of a Windows program. `copies`: its private copies of disk images, taken back."""

    copies: tuple[tuple[Disk, Path], ...] = ()
    show_side: bool = False
    """Whether stderr goes to ours too: the user asked for debug channels."""
    _troubles: tuple[Problem, ...] = ()
    _head = b""

    def chunks(self) -> Iterator[bytes]:
        for chunk in super().chunks():
            if len(self._head) < 4096:
                self._head += chunk[:4096]
            yield chunk
        self._drain_side()
        self._take_disks_back()

    def problems(self) -> list[Problem]:
        """The crash that stderr tells of, an exit status that cannot be good, a lost disk."""
        said = self.side_output.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        detail = "\n".join(said.splitlines()[-_SIDE_LINES:])
        found = [Problem(ProblemKind.CRASH, str(crash)) for crash in find_crashes(said)]
        if _START_FAILED in self._head:
            found.append(Problem(ProblemKind.LAUNCH, "Wine could not start the program"))
        status = self.exit.status
        if self.exit.cause == "exited" and status:
            reason = f"exited with status {status}: {explain_status(status)}"
            found.append(Problem(ProblemKind.EXIT_STATUS, reason))
        found.extend(self._troubles)
        if found and detail:
            first = found[0]
            found[0] = Problem(first.kind, first.reason, first.point, detail)
        return found

    def close(self) -> None:
        self._drain_side()
        super().close()

    def _drain_side(self) -> None:
        """Read what stderr's pipe still holds; who else holds the other end is not waited for."""
        while self._side is not None:
            poller = select.poll()
            poller.register(self._side, select.POLLIN)
            if not poller.poll(0) or not self._read_side():
                break
        if self.show_side and self.side_output:
            said = self.side_output.decode("utf-8", "backslashreplace")
            sys.stderr.write(printable(said) if sys.stderr.isatty() else said)
            self.show_side = False

    def _take_disks_back(self) -> None:
        for disk, path in self.copies:
            try:
                disk.copy_from(path)
            except OSError:
                # LKL's own disk program deletes the image when it fails.
                reason = f"the program deleted its disk image, {path.name}"
                self._troubles = (*self._troubles, Problem(ProblemKind.GUEST, reason))
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - 300 MB that the run folder need not keep
        self.copies = ()
