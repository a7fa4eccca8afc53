# SPDX-License-Identifier: GPL-2.0-only
"""What a guest's console says of its end, long before a deadline would. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lkltest.verdict.results import ProblemKind


@dataclass(frozen=True, slots=True)
class Sign:
    """A line that decides a run: the failure it stands for, and how long to listen on for more."""

    kind: ProblemKind
    what: str
    pattern: bytes
    listen: float = 0.5


SIGNS = (
    Sign(
        ProblemKind.CRASH,
        "the program crashed",
        rb"FATAL: Fatal signal: |unhandled (?:read|write|instruction|exec\w*)? ?page fault at ",
        0.3,
    ),
    Sign(ProblemKind.SETUP, "the set-up is wrong", rb"No such object found|FATAL exception in MOE"),
    Sign(ProblemKind.SETUP, "ned's script failed", rb"lua error: "),
    Sign(ProblemKind.CRASH, "the program was killed", rb"MOE: task \w+ exited with 139"),
    Sign(
        ProblemKind.PANIC,
        "the kernel panicked",
        rb"Kernel panic - not syncing|(?:^|[ \t])panic(?:ked)?: |KERNEL PANIC|\bPANIC: ",
        0.3,
    ),
)
"""In order of importance for one line."""

_WORDS = (
    *(b"FATAL", b" page fault at ", b"No such object", b"lua error", b"exited with 139"),
    *(b"Kernel panic", b"panic: ", b"panicked: ", b"KERNEL PANIC", b"PANIC: "),
)
"""One of these is in each sign: looking for them costs a tenth of looking for the patterns."""

_JDB = re.compile(rb"(?m)^jdb: ")
_ANY = re.compile(rb"|".join(b"(?:" + sign.pattern + b")" for sign in SIGNS), re.MULTILINE)
_SIGNS = tuple((sign, re.compile(sign.pattern, re.MULTILINE)) for sign in SIGNS)
_BANNER = re.compile(rb"(?m)^L4 Bootstrapper\s*$|^(?:\[ *0\.0+\] )?Linux version \d")

JDB = Sign(ProblemKind.CRASH, "the kernel debugger was entered", _JDB.pattern)


def find_sign(text: bytes) -> tuple[Sign, str] | None:
    """The first sign in `text` (whole lines), and its line.

    Lines that are indented by two blanks are a test point's log, where it may say anything.
    """
    if not any(word in text for word in _WORDS):
        return None
    for found in _ANY.finditer(text):
        line = _line_at(text, found.start())
        if not line.startswith(b"  "):
            break
    else:
        return None
    sign = next(sign for sign, pattern in _SIGNS if pattern.search(line))
    return sign, line.decode("utf-8", "backslashreplace").strip()


def is_debugger(partial: bytes) -> bool:
    """Whether a line that has not ended is the prompt of Fiasco's kernel debugger."""
    return _JDB.match(partial) is not None


def banners(text: bytes) -> Iterator[str]:
    """Yield the boot banners in `text`: a machine that shows one twice has booted twice."""
    if b"L4 Bootstrapper" not in text and b"Linux version " not in text:
        return
    for found in _BANNER.finditer(text):
        line = _line_at(text, found.start())
        yield "L4Re" if line.startswith(b"L4") else "Linux"


def _line_at(text: bytes, position: int) -> bytes:
    start = text.rfind(b"\n", 0, position) + 1
    end = text.find(b"\n", position)
    return text[start : end if end >= 0 else len(text)]
