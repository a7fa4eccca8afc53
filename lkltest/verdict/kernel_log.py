# SPDX-License-Identifier: GPL-2.0-only
"""What a kernel's log says about itself: its banner, and that something went wrong. Pure.

Sources: what the kernel's panic(), oops code and __warn() print; the reports of KASAN, KCSAN,
KMSAN, KFENCE and UBSAN; compiler-rt's for programs built with -fsanitize.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass

from lkltest.verdict.results import ProblemKind

_KERNEL_LINE = re.compile(
    rb"^ {0,4}((?:<[0-9]{1,4}>)?\[ *[0-9]{1,10}\.[0-9]{1,9}\](?:\[ *[TC][0-9]{1,10}\])?[^\r\n]*)",
    re.MULTILINE,
)
_BEGIN = re.compile(rb"^[^\n]*?\b(?:KTAP version [0-9]|TAP version 14\b)", re.MULTILINE)


def ktap_of(console: bytes, logs: Iterable[str] = ()) -> bytes:
    """The KTAP in a kernel's log, from its version line on; empty when there is none.

    console: what a program and its kernel printed. logs: of its test points, for a kernel that
    prints no time stamps.
    """
    kernel = b"\n".join(match[1] for match in _KERNEL_LINE.finditer(console))
    for text in (kernel, *(log.encode("utf-8", "surrogateescape") for log in logs)):
        begin = _BEGIN.search(text)
        if begin is not None:
            return text[begin.start() :].rstrip(b"\n") + b"\n"
    return b""


MAX_FINDINGS = 20  # of one scan: after that many the first ones matter
_DETAIL_LINES = 80
_PANIC_BYTES = 64 * 1024

# A word starts where no letter stands before it ("watchdog: BUG: " counts, "DEBUG: " does not); the
# last letter of an ANSI escape is no letter in that sense.
_START = rb"(?:^|[^A-Za-z]|\x1b\[[0-9;]*[A-Za-z])"
_SANITIZERS = rb"(?:Address|HWAddress|Leak|Memory|Thread|UndefinedBehavior|DataFlow)Sanitizer"
_TROUBLE = re.compile(
    _START
    + rb"(?:"
    + rb"(?P<sanitizer>BUG: K(?:ASAN|CSAN|FENCE|MSAN)|(?:WARNING: |ERROR: |SUMMARY: )?"
    + _SANITIZERS
    + rb":|UBSAN: |[0-9]+:[0-9]+: runtime error: )"
    + rb"|(?P<panic>Kernel panic - not syncing)"
    + rb"|(?P<oops>Oops(?:: |\[#| - |: )|Unable to handle kernel|general protection fault"
    + rb"|Kernel mode fault at)"
    + rb"|(?P<bug>BUG: |kernel BUG at )"
    + rb"|(?P<warning>WARNING: )"
    + rb")",
    re.MULTILINE,
)
_KINDS = {
    "sanitizer": ProblemKind.SANITIZER,
    "panic": ProblemKind.PANIC,
    "oops": ProblemKind.OOPS,
    "bug": ProblemKind.BUG,
    "warning": ProblemKind.WARNING,
}
_ESCAPES = re.compile(rb"\x1b\[[0-9;?]*[ -/]*[@-~]")
_PREFIX = re.compile(r"^(?:<\d>)?\s*(?:\[[^\]]{0,40}\]\s*)*")
_BANNER = re.compile(rb"Linux version (\S+)([^\r\n]{0,2000})")


@dataclass(frozen=True, slots=True)
class Finding:
    """One report of trouble in a kernel's log.

    Attributes:
        kind: PANIC, OOPS, BUG, WARNING or SANITIZER.
        line: the line that says so, without printk's prefix and without escapes.
        detail: that line and the stack that follows; all of it for a panic.
    """

    kind: ProblemKind
    line: str
    detail: str


@dataclass(frozen=True, slots=True)
class Banner:
    """The kernel's first line: its release (`6.1.0`) and the compiler it was built with, or ""."""

    kernel: str
    compiler: str


def find_trouble(log: bytes) -> list[Finding]:
    """Return the first `MAX_FINDINGS` reports of trouble in `log`, one a line, in their order."""
    if not _is_suspicious(log):
        return []
    findings: list[Finding] = []
    position = 0
    while len(findings) < MAX_FINDINGS:
        match = _TROUBLE.search(log, position)
        if match is None:
            break
        # The match may begin with the newline before the line that it is about.
        word = match.start(match.lastgroup or 0)
        start = log.rfind(b"\n", 0, word) + 1
        end = log.find(b"\n", word)
        position = end = len(log) if end < 0 else end
        kind = _KINDS[str(match.lastgroup)]
        stop = start + _PANIC_BYTES if kind is ProblemKind.PANIC else _trace_end(log, end)
        line = _PREFIX.sub("", _text(log[start:end][:2000]).strip())
        findings.append(Finding(kind, line, _text(log[start:stop]).rstrip()))
    return findings


def find_banner(log: bytes) -> Banner | None:
    """Return the first kernel's banner in `log`, if there is one."""
    if b"Linux version " not in log:
        return None
    match = _BANNER.search(log)
    if match is None:
        return None
    groups = _groups(_text(match[2]))
    return Banner(_text(match[1]), _compiler(groups[1]) if len(groups) > 1 else "")


def _is_suspicious(log: bytes) -> bool:
    """Whether a log may hold trouble. Nearly none does: substrings are the quickest way to know."""
    return (
        b"WARNING: " in log
        or b"BUG" in log
        or b"panic" in log
        or b"Oops" in log
        or b"Sanitizer" in log
        or b"UBSAN: " in log
        or b"runtime error: " in log
        or b"Unable to handle kernel" in log
        or b"general protection fault" in log
        or b"Kernel mode fault at" in log
    )


def _trace_end(log: bytes, position: int) -> int:
    """Return where the trace after `position` ends: at its end marker, or after some lines."""
    marker = log.find(b"---[ end ", position)
    stop = position
    for _ in range(_DETAIL_LINES):
        following = log.find(b"\n", stop + 1)
        if following < 0:
            return len(log)
        stop = following
        if 0 <= marker < stop:
            break
    return stop


def _text(data: bytes) -> str:
    return _ESCAPES.sub(b"", data).replace(b"\r", b"").decode("utf-8", "backslashreplace")


def _groups(text: str) -> list[str]:
    """Return the contents of the outermost parentheses of `text`."""
    groups: list[str] = []
    depth = start = 0
    for index, letter in enumerate(text):
        if letter == "(":
            depth += 1
            start = index + 1 if depth == 1 else start
        elif letter == ")" and depth:
            depth -= 1
            if depth == 0:
                groups.append(text[start:index])
    return groups


def _compiler(group: str) -> str:
    """Return `gcc (Debian 12) 12.2.0` of `gcc (Debian 12) 12.2.0, GNU ld (...) 2.40`."""
    depth = 0
    for index, letter in enumerate(group):
        depth += (letter == "(") - (letter == ")")
        if letter == "," and depth == 0:
            return group[:index].strip()
    return group.strip()
