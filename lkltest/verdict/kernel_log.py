# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's log: its banner, and its reports that something went wrong. Pure.

Sources: what the kernel's panic(), oops code and __warn() print; the reports of KASAN, KCSAN,
KMSAN, KFENCE and UBSAN; compiler-rt's for programs built with -fsanitize.
"""

from __future__ import annotations

import re
from collections import defaultdict
from collections.abc import Iterable
from dataclasses import dataclass

from lkltest.tap.patterns import CALLER, ESCAPE, LINUX, LINUX_VERSION, MESSAGE, STAMP
from lkltest.verdict.results import ProblemKind
from lkltest.verdict.signatures import TABLE, WORDS
from lkltest.verdict.signatures.form import Extent, Signature
from lkltest.verdict.stack import telling_function

_KERNEL_LINE = re.compile(rb"^ {0,4}(" + MESSAGE + rb"[^\r\n]*)", re.MULTILINE)
_KTAP_PLAN = re.compile(rb"^(?:" + MESSAGE + rb" )?1\.\.([0-9]+)\b", re.MULTILINE)
_KTAP_RESULT = re.compile(rb"^(?:" + MESSAGE + rb" )?(?:not )?ok ([0-9]+)\b[^\n]*\n", re.MULTILINE)
_SUBTEST = b"# Subtest: k"
_SANITIZER_SUITE = re.compile(
    rb"# Subtest: (?P<suite>kasan|kmsan|kcsan|kfence)\b.*?(?:not )?ok [0-9]+ (?:- )?(?P=suite)\b",
    re.DOTALL,
)
_SANITIZER_REPORT = re.compile(
    rb"^[^\n]*={20}[^\n]*\n[^\n]*BUG: K(?:ASAN|MSAN|CSAN|FENCE): .*?={20}[^\n]*\n",
    re.DOTALL | re.MULTILINE,
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


def whole_ktap(ktap: bytes) -> bytes:
    """The KTAP of a log, `ktap_of`, up to the last result of its plan; empty without one."""
    plan = _KTAP_PLAN.search(ktap)
    if plan is None:
        return b""
    results = _KTAP_RESULT.finditer(ktap, plan.end())
    last = next((match for match in results if match[1] == plan[1]), None)
    return ktap[: last.end()] if last else b""


def without_expected(log: bytes) -> bytes:
    """A log less the reports that the sanitizers' own KUnit suites make on purpose.

    Such a suite fails by itself where one of them is missing.
    """
    if _SUBTEST not in log:
        return log
    return _SANITIZER_SUITE.sub(lambda suite: _SANITIZER_REPORT.sub(b"", suite[0]), log)


MAX_REPORTS = 20  # with a report each; of more in one scan only what ends the run has one
_TRACE_LINES = 1000  # of a stack that ran over, which is printed whole
_AFTERMATH = 4096  # bytes after a report in which a panic is its consequence
_REPORT_BYTES = 64 * 1024
_AT_ONCE = 32  # reports of different threads and CPUs that may be printed at once

_WORDS = re.compile(b"|".join(map(re.escape, WORDS)))
# Nearly no log holds a report. Capital letters are rare, so a regex is the quickest way to look for
# all words that begin with one; for the others it is slower than one search for each.
_CAPITALS = re.compile(b"|".join(re.escape(word) for word in (*WORDS, LINUX) if word[:1].isupper()))
_LOWER_CASE = tuple(word for word in WORDS if not word[:1].isupper())
_CALLER = re.compile(rb"[^\n\[]{0,60}" + STAMP + CALLER)
_SOURCE = re.compile(r"\b[\w/.+-]+\.[chS]:[0-9]")
_PLACE = re.compile(r" in \{frame\}\S*")
_RULER = re.compile(rb"={20}|-{4,}\[ cut here \]")
_REGISTERS = re.compile(rb"(?:\A|\s)(?:Modules linked in:|Pid: [0-9]|R[A-Z0-9]{2}: )")
_BOOT = re.compile(LINUX_VERSION)
_ESCAPE = re.compile(ESCAPE)
_PREFIX = re.compile(r"^(?:<\d>)?\s*(?:\[[^\]]{0,40}\]\s*)*")
_OFFSET = re.compile(r"\+0x[0-9a-f]+/0x[0-9a-f]+")
_ADDRESS = re.compile(r"\b(?:0x[0-9a-f]+|[0-9a-f]{8,16})\b")
_NUMBER = re.compile(r"(?<![\w.])[0-9]+\b")
_BANNER = re.compile(LINUX_VERSION + rb"([^\r\n]{0,2000})")


@dataclass(frozen=True, slots=True)
class KernelReport:
    """One report of a fault in a kernel's log.

    Attributes:
        signature: the row of the table that it is of.
        title: what it is about, in a few words that are the same for the same fault.
        line: the line that says so, without printk's prefix and without escapes.
        detail: the whole report.
        fatal: whether it ended the run.
    """

    signature: Signature
    title: str
    line: str
    detail: str
    fatal: bool

    @property
    def kind(self) -> ProblemKind:
        """PANIC, OOPS, BUG, WARNING or SANITIZER."""
        return self.signature.kind


@dataclass(slots=True)
class _Event:
    """A report while the log is read.

    Attributes:
        signature: of its first line.
        match: of that signature in its first line.
        start: where its report starts in the log.
        line: where its first line starts.
        stop: where its report stops.
        fatal: whether it ended the run.
        caller: the thread or CPU that printed it (`T12`, `C0`), or b"" where the log does not say.
    """

    signature: Signature
    match: re.Match[bytes]
    start: int
    line: int
    stop: int
    fatal: bool
    caller: bytes


@dataclass(frozen=True, slots=True)
class Banner:
    """The kernel's first line: its release (`6.1.0`) and the compiler it was built with, or ""."""

    kernel: str
    compiler: str


def find_reports(log: bytes, dead: bool = False) -> list[KernelReport]:
    """Return the reports of faults in `log` in their order, one for each event.

    Args:
        log: what the kernel printed.
        dead: whether the run had ended before, by a report that was fatal: what follows is part
            of it until the kernel boots again.
    """
    if not is_notable(log):
        return []
    log = without_expected(log)
    events: list[_Event] = []
    boot = _BOOT.search(log) if dead else None
    position = (boot.start() if boot else len(log)) if dead else 0
    while (found := _WORDS.search(log, position)) is not None:
        start = log.rfind(b"\n", 0, found.start()) + 1
        end = log.find(b"\n", found.start())
        position = end = len(log) if end < 0 else end
        row = _row_of(log[start : min(end, start + 2000)])
        if row is None:
            continue
        signature, match = row
        caller = _caller(log, start)
        last = _last_of(events, caller)
        if last is not None:
            if _is_part(log, last, signature, start) or _says_it_again(last, signature, match):
                last.fatal = last.fatal or signature.fatal
                if last.fatal:
                    last.stop = len(log)
                continue
            if signature.extent is not Extent.LINE:
                last.stop = min(last.stop, start)
        stop = _end_of_report(log, end, signature.extent)
        events.append(
            _Event(
                signature,
                match,
                _start_of_report(log, start, signature),
                start,
                stop,
                signature.fatal,
                caller,
            )
        )
    reports = []
    for number, event in enumerate(events):
        if number < MAX_REPORTS or event.fatal:
            reports.append(_kernel_report(log, event))
        else:
            reports.append(
                KernelReport(event.signature, _line(log, event), _line(log, event), "", False)
            )
    return reports


def _caller(log: bytes, start: int) -> bytes:
    """Return who printed the line at `start`, where printk's prefix says so."""
    match = _CALLER.match(log, start)
    return match[1] if match else b""


def _last_of(events: list[_Event], caller: bytes) -> _Event | None:
    """Return the last event that a line of `caller` may be part of, or that it ends."""
    for event in reversed(events[-_AT_ONCE:]):
        if event.fatal or event.caller == caller or not event.caller or not caller:
            return event
    return None


def _row_of(line: bytes) -> tuple[Signature, re.Match[bytes]] | None:
    """Return the first row of the table that `line` is of, and its match."""
    for words, rows in TABLE:
        if words in line:
            for row in rows:
                match = row.pattern.search(line)
                if match is not None:
                    return row, match
    return None


def _is_part(log: bytes, last: _Event, signature: Signature, start: int) -> bool:
    """Return whether what begins at `start` is part of the report before it."""
    if last.fatal:
        return _BOOT.search(log, last.line, start) is None
    if signature.follows and last.signature.extent is not Extent.LINE:
        return start < last.stop + (_AFTERMATH if signature.fatal else 0)
    return signature.repeats and signature is last.signature and start < last.stop


def _says_it_again(last: _Event, signature: Signature, match: re.Match[bytes]) -> bool:
    """Whether a line is a report that the one before it was: each retry of a disk has its own."""
    return signature.extent is Extent.LINE and (
        (signature, match.groupdict()) == (last.signature, last.match.groupdict())
    )


def _start_of_report(log: bytes, start: int, signature: Signature) -> int:
    """Return where what belongs to the line at `start` begins above it: a ruler, registers."""
    above = log.rfind(b"\n", 0, max(0, start - 1)) + 1
    if signature.registers:
        while above < start and _REGISTERS.search(log, above, start):
            start, above = above, log.rfind(b"\n", 0, max(0, above - 1)) + 1
    return above if above < start and _RULER.search(log, above, start) else start


def _end_of_report(log: bytes, position: int, extent: Extent) -> int:
    """Return where a report ends whose first line ends at `position`."""
    if extent is Extent.LINE:
        return position
    if extent is Extent.REST:
        boot = _BOOT.search(log, position)
        return log.rfind(b"\n", 0, boot.start()) if boot else len(log)
    limit = position
    for _ in range(_TRACE_LINES):
        following = log.find(b"\n", limit + 1)
        if following < 0:
            limit = len(log)
            break
        limit = following
    mark = b"=" * 20 if extent is Extent.RULER else b"---[ end "
    marker = log.find(mark, position, limit)
    if marker >= 0:
        limit = log.find(b"\n", marker)
    return limit if limit >= 0 else len(log)


def _line(log: bytes, event: _Event) -> str:
    end = log.find(b"\n", event.line)
    line = log[event.line : min(end if end >= 0 else len(log), event.line + 2000)]
    return _PREFIX.sub("", _text(line).strip())


def _kernel_report(log: bytes, event: _Event) -> KernelReport:
    stop = min(event.stop, event.start + _REPORT_BYTES)
    detail = _text(_lines_of(log, event.start, stop, event.caller)).rstrip()
    line = _line(log, event)
    begin = event.start if event.signature.registers else event.line
    title = _title(event, _lines_of(log, begin, event.stop, event.caller), line)
    return KernelReport(event.signature, title, line, detail, event.fatal)


def _lines_of(log: bytes, start: int, stop: int, caller: bytes) -> bytes:
    """Return a part of a log without the lines that others than `caller` printed into it."""
    if not caller:
        return log[start:stop]
    lines = log[start:stop].splitlines(keepends=True)
    return b"".join(line for line in lines if _caller(line, 0) in {caller, b""})


def _title(event: _Event, report: bytes, line: str) -> str:
    values = {name: _text(value or b"") for name, value in event.match.groupdict().items()}
    more = event.signature.more and event.signature.more.search(report)
    values.update(
        {name: _text(value or b"") for name, value in more.groupdict().items()} if more else {}
    )
    values["line"] = line
    signature = event.signature
    form = signature.title
    if "{frame}" in form:
        values["frame"] = telling_function(_text(report), signature.frames)
        if not values["frame"]:
            form = _PLACE.sub("", form)
    if signature.bare and not (more if signature.more else values["frame"]):
        return plain_title(signature.bare.format_map(defaultdict(str, values)))
    title = form.format_map(defaultdict(str, values))
    if form is not signature.title and (_SOURCE.search(line) or " " not in title):
        return line  # it says more than a title without a place
    return plain_title(title)


def plain_title(title: str) -> str:
    """Return a title without what differs from run to run: numbers and addresses."""
    title = _ADDRESS.sub("ADDR", _OFFSET.sub("", title))
    title = _NUMBER.sub("NUM", title)
    return " ".join(title.split())


def find_banner(log: bytes) -> Banner | None:
    """Return the first kernel's banner in `log`, if there is one."""
    if LINUX not in log:
        return None
    match = _BANNER.search(log)
    if match is None:
        return None
    groups = _groups(_text(match[2]))
    return Banner(_text(match[1]), _compiler(groups[1]) if len(groups) > 1 else "")


def is_notable(log: bytes) -> bool:
    """Whether a log may hold a report or a banner."""
    return _CAPITALS.search(log) is not None or any(map(log.__contains__, _LOWER_CASE))


def _text(data: bytes) -> str:
    return _ESCAPE.sub(b"", data).replace(b"\r", b"").decode("utf-8", "backslashreplace")


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
