# SPDX-License-Identifier: GPL-2.0-only
"""One form of a kernel's report: its first line, what it is a sign of, where it ends. Pure."""

from __future__ import annotations

import functools
import re
from dataclasses import dataclass
from enum import Enum

from lkltest.verdict.results import ProblemKind


class Extent(Enum):
    """The extent of a report from the line that begins it."""

    LINE = "the line alone"
    TRACE = "to the end of its trace"
    RULER = "to the next line of equal signs"
    REST = "to the end of the log, or the next boot"


class Frames(Enum):
    """Functions of the kernel that say nothing about a report of this kind; see `stack`."""

    USUAL = "those that report, check, lock, copy and allocate"
    TRACE = "the same, and those that stand before the trace: what held or used a lock"
    WAITING = "the usual ones, and those that wait"
    CPU = "all that is not asked for by a dispatcher, and interrupts"


@dataclass(frozen=True, slots=True)
class Signature:
    """One form of a report.

    Attributes:
        form: a pattern of its first line, from a place where no letter stands before; its groups
            are for the title.
        kind: what the report is a sign of.
        title: in the form of str.format, with the groups and `{frame}`: the first function of the
            stack that says something.
        extent: where the report ends.
        frames: which functions do not say something.
        registers: whether UML shows the registers above its first line.
        more: what to look for in the whole report; its groups are for the title, too.
        bare: the title where neither that nor a function was found: what the line itself says.
        fatal: whether it ends the run: all that follows is part of it.
        follows: whether it is part of a report that was not at its end when it came.
        repeats: whether the same form in the same report is part of it.
    """

    form: bytes
    kind: ProblemKind
    title: str
    extent: Extent = Extent.TRACE
    frames: Frames = Frames.USUAL
    registers: bool = False
    more: re.Pattern[bytes] | None = None
    bare: str = ""
    fatal: bool = False
    follows: bool = False
    repeats: bool = False

    @property
    def pattern(self) -> re.Pattern[bytes]:
        """The form, compiled when a log is first looked at for it: few are."""
        return _compiled(self.form)


@functools.cache
def _compiled(form: bytes) -> re.Pattern[bytes]:
    start = _START.replace(b"LETTER", b"A-Z" if _CAPITAL.match(form) else b"A-Za-z")
    return re.compile(start + form.replace(b"FUNCTION", FUNCTION))


# A report starts where no letter stands before it ("watchdog: BUG: " counts, "DEBUG: " does not). A
# small one may stand before a capital, the end of what a program said: `waitingBUG: `.
# The last letter of an ANSI escape is no letter in that sense.
_CAPITAL = re.compile(rb"(?:\(\?(?:<![^)]*\)|:|P<\w+>))*[A-Z]")
_START = rb"(?:^|(?<![LETTER])|(?<=\x1b\[0m)|(?<=\x1b\[[0-9]m)|(?<=\x1b\[[0-9][0-9]m))"
FUNCTION = rb"[A-Za-z_][\w.$]*"
SANITIZERS = rb"(?:Address|HWAddress|Leak|Memory|Thread|UndefinedBehavior|DataFlow)Sanitizer"

BUG, OOPS, PANIC = ProblemKind.BUG, ProblemKind.OOPS, ProblemKind.PANIC
WARNING, SANITIZER = ProblemKind.WARNING, ProblemKind.SANITIZER

Rows = tuple[tuple[bytes, tuple[Signature, ...]], ...]
"""Words that a line has to hold, which are looked for first, and the forms to hold it against."""
