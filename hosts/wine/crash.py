# SPDX-License-Identifier: GPL-2.0-only
"""Wine's words for a program's death, and the meaning of Windows' exit statuses. Pure."""

from __future__ import annotations

import re
import signal
from dataclasses import dataclass

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
_NULL = ("write access to 0x0", "page fault on access to 0x0")
_SIGNALS = {
    signal.SIGSEGV: (0xC0000005, "page fault"),
    signal.SIGBUS: (0xC0000005, "page fault"),
    signal.SIGFPE: (0xC0000094, "arithmetic exception"),
    signal.SIGILL: (0xC000001D, "illegal instruction"),
    signal.SIGTRAP: (0x80000003, "breakpoint"),
}
_ABORT = 3  # what the C runtime's abort() exits with


@dataclass(frozen=True, slots=True)
class Crash:
    """An exception that ended a program.

    Attributes:
        code: the exception's 32 bit code, None when it is not known.
        what: the exception in words, with the address that was accessed.
        address: of the instruction, None when it is not known.
        thread: Windows id of the thread, in hexadecimal, or empty.
        function: what it was in, "" when it is not known.
        caller: who called what is no code of the program, "" when that is not so.
    """

    code: int | None
    what: str
    address: int | None = None
    thread: str = ""
    function: str = ""
    caller: str = ""

    @property
    def is_panic(self) -> bool:
        """Whether it is how LKL ends a panic on Windows: panic() of nt-host.c writes to 0."""
        return self.function.lstrip("_") == "panic" and self.what.endswith(_NULL)

    def __str__(self) -> str:
        text = f"{self.what} in {self.function}" if self.function else self.what
        if self.caller:
            text += f", called by {self.caller}"
        if self.code is not None:
            text += f", exception {self.code:#010x}"
        if self.address is not None:
            text += f", at {self.address:#x}"
        return text + (f" (thread {self.thread})" if self.thread else "")


def crash_by_signal(number: int, target: int, address: int, thread: int) -> Crash:
    """A crash that Wine has not told of, by the signal that its processor's exception came as.

    Wine says nothing where it cannot unwind the stack to the thread's beginning.
    """
    code, what = _SIGNALS.get(signal.Signals(number), (None, "unhandled exception"))
    if what == "page fault":
        what += f" on access to {target:#x}"
    return Crash(code, what, address, f"{thread:04x}")


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
