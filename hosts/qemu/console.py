# SPDX-License-Identifier: GPL-2.0-only
"""A machine's console on its way to the parser, and what it shows beside the program. Pure."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass

from lkltest.tap.patterns import LINUX, LINUX_VERSION
from lkltest.verdict.results import ProblemKind

from ..l4re.console import TAG_COLUMNS, ConsoleReader, Piece
from ..l4re.expected_output import ExpectedOutput, OutputMatcher
from ..l4re.ned_script import EXITED
from ..l4re.streams import Streams


@dataclass(frozen=True, slots=True)
class Signature:
    """A line that decides a run: the failure it stands for, and how long to listen on for more.

    A set-up error that comes after a `tentative` one is what that was about. Where one says
    `diagnose`, a closer look is taken.
    """

    kind: ProblemKind
    what: str
    pattern: bytes
    listen: float = 0.5
    tentative: bool = False
    diagnose: bool = False


SIGNATURES = (
    Signature(
        ProblemKind.CRASH,
        "the program crashed",
        rb"FATAL: Fatal signal: |unhandled (?:read|write|instruction|exec\w*)? ?page fault at "
        rb"|: Unhandled exception: PC=",
        0.3,
    ),
    Signature(
        ProblemKind.CRASH,
        "an assertion failed",
        rb": Assertion [`\"].+['\"] failed\b|^Assertion failed at \S+:\d+",
    ),
    Signature(
        ProblemKind.CRASH, "an exception was not caught", rb"^terminate called ", tentative=True
    ),
    Signature(
        ProblemKind.SETUP,
        "the set-up is wrong",
        rb"what: +No such object found|No such object found: rom/|FATAL exception in MOE"
        rb"|FATAL: Could not (?:load|allocate|attach) |configured for EL2 mode .* started in EL1",
    ),
    Signature(ProblemKind.SETUP, "ned's script failed", rb"lua error: "),
    Signature(ProblemKind.CRASH, "the program was killed", rb"MOE: task \w+ exited with 139"),
    Signature(
        ProblemKind.PANIC,
        "the kernel panicked",
        rb"Kernel panic - not syncing|(?:^|[ \t])panic(?:ked)?: |KERNEL PANIC|\bPANIC: |^Panic: ",
        0.3,
    ),
    Signature(ProblemKind.PANIC, "the kernel has ended", rb"^Press any key to reboot\."),
    Signature(ProblemKind.SETUP, "bootstrap has given up", rb"^Key press reboots\.\.\."),
)
"""In order of importance for one line."""

_WORDS = (
    *(b"FATAL", b" page fault at ", b"No such object", b"lua error", b"exited with 139"),
    *(b"Unhandled exception", b"Assertion ", b"terminate called "),
    *(b"Kernel panic", b"panic: ", b"panicked: ", b"KERNEL PANIC", b"PANIC: ", b"EL2 mode"),
    *(b"Panic: ", b"key to reboot", b"Key press reboots"),
)
"""One of these is in each signature: looking for them costs a tenth of looking for the patterns."""

_JDB = re.compile(rb"(?:\[([^]\n]{0,64})\] )?jdb: ")  # `[      program] jdb: `
_ENTERED = re.compile(rb"(?m)^ *CPU \d+ \[[0-9a-f]+\]: (.*)$")
_ANY = re.compile(rb"|".join(b"(?:" + each.pattern + b")" for each in SIGNATURES), re.MULTILINE)
_SIGNATURES = tuple((each, re.compile(each.pattern, re.MULTILINE)) for each in SIGNATURES)
_COMMENT = re.compile(rb"(?:\S+ )?#")  # of a test, also of one with a prefix: `KUT # text`
_EXITED = re.compile(rb"(?m)^(?:MOE: task \w+ exited with|" + EXITED.encode() + rb") (\d+)\s*$")
_SLEEPING = re.compile(rb"(?m)^Ned: Sleeping (\d{1,7})(m?s)\b")
_BANNER = re.compile(rb"(?m)^L4 Bootstrapper\s*$|^(?:\[ *0\.0+\] )?" + LINUX_VERSION)

JDB = Signature(ProblemKind.CRASH, "the kernel debugger was entered", _JDB.pattern, diagnose=True)


def find_signature(text: bytes) -> tuple[Signature, str] | None:
    """The first signature in `text` (whole lines), and its line; comments of tests do not count."""
    if not any(word in text for word in _WORDS):
        return None
    first = None
    for found in _ANY.finditer(text):
        line = _line_at(text, found.start())
        if _COMMENT.match(line.lstrip()):
            continue
        signature = next(signature for signature, pattern in _SIGNATURES if pattern.search(line))
        if first is None or (first[0].tentative and signature.kind is ProblemKind.SETUP):
            first = signature, line.decode("utf-8", "backslashreplace").strip()
        if not first[0].tentative:
            break
    return first


def without_blocks(text: bytes, inside: bool) -> tuple[bytes, bool]:
    """Whole lines without their YAML blocks, in whose logs a test point may say anything.

    inside: whether `text` begins in a block. Returns, too, whether it ends in one. A block ends
    with `...`, or with a line that is not indented.
    """
    if not inside and b"---\n" not in text:
        return text, False
    outside = []
    for line in text.splitlines(keepends=True):
        word = line.strip()
        indented = line[:1] in (b" ", b"\t")
        if inside and (word == b"..." or not indented):
            inside = False
            if word == b"...":
                continue
        if not inside and word == b"---" and indented:
            inside = True
        if not inside:
            outside.append(line)
    return b"".join(outside), inside


def is_debugger(partial: bytes) -> bool:
    """Whether a line that has not ended is the prompt of Fiasco's kernel debugger."""
    return _JDB.match(partial) is not None


def banners(text: bytes) -> Iterator[str]:
    """Yield the boot banners in `text`: a machine that shows one twice has booted twice."""
    if b"L4 Bootstrapper" not in text and LINUX not in text:
        return
    for found in _BANNER.finditer(text):
        line = _line_at(text, found.start())
        yield "L4Re" if line.startswith(b"L4") else "Linux"


def _line_at(text: bytes, position: int) -> bytes:
    start = text.rfind(b"\n", 0, position) + 1
    end = text.find(b"\n", position)
    return text[start : end if end >= 0 else len(text)]


_SEEN_LIMIT = 1 << 16
_DRAIN, _BETWEEN_PROGRAMS = 0.1, 2.0
"""Seconds of silence at the end of a machine's only program, and of one that others may follow."""
_KILLED = 139
"""The status of a program that moe has killed, which is a signature of its own."""
_SKIPPED = 1
"""The status of a test of Atkins' also when all is well and its SKIP stands in a function that the
test's body calls: that returns, the body goes on, and gtest counts what comes of it as failed. The
point in the stream is `ok # SKIP`, and L4Re's tap-wrapper goes by it.
"""
_ANNOUNCED = re.compile(rb"(?m)^\* \d+ (.+)$")
_REPORTED = re.compile(rb"(?m)^(?:not )?ok\b")


class GuestConsole:
    """Raw bytes in, the program's bytes out.

    Args:
        tag: of the program's lines, None when it has to be found.
        tags: whether lines can have tags (L4Re); else kernel messages are told apart by time stamps
            (Linux), and the whole console is the program's.
        whole: the whole console is the program's, from its first byte.
        expect: the lines that are to come instead of TAP; then nothing else is looked for.
    """

    def __init__(
        self,
        *,
        tag: str | None = None,
        tags: bool = True,
        whole: bool = False,
        expect: ExpectedOutput | None = None,
    ) -> None:
        self._matcher = OutputMatcher(expect) if expect else None
        self._reader = ConsoleReader(tags=tags)
        shown = tag.encode()[:TAG_COLUMNS].rstrip(b" ") if tag else None
        self._streams = Streams(shown)
        self._whole = whole
        self._lines: dict[bytes | None, bytes] = {}
        self._in_block: dict[bytes | None, bool] = {}
        self._boots: dict[str, int] = {}
        self.signatures: list[tuple[Signature, str, bytes | None]] = []
        """The last finding since the owner emptied it: the signature, its line, whose it is."""
        self.found = False
        """Whether the program has begun to speak TAP."""
        self._status: int | None = None
        self.serial_esc = False
        """Whether bootstrap has said that ESC enters the kernel debugger."""
        self.recent = bytearray()
        """The end of the clean console, all streams together."""
        self._asleep = 0.0
        self._program = bytearray()
        self._own: dict[bytes | None, bytearray] = {}

    @property
    def status(self) -> int | None:
        """The program's exit status, when moe or our script for ned has told it."""
        return None if self.status_of_skips else self._status

    @property
    def status_of_skips(self) -> bool:
        """Whether the program's exit status is one that its skipped points account for."""
        streams = self._streams
        return self._status == _SKIPPED and streams.blocks_finished and streams.skipped_only

    @property
    def others_done(self) -> bool:
        """Whether nothing but the program itself is waited for."""
        return self._streams.others_done and not self._streams.blocks_open

    @property
    def properties(self) -> dict[str, str]:
        """The properties of test points, such as `POINT: Test-uuid`."""
        return self._streams.properties

    @property
    def blocks_finished(self) -> bool:
        """Whether there were `TAP TEST` blocks, and all have finished."""
        return self._streams.blocks_finished

    @property
    def missing_tests(self) -> list[str]:
        """The tests that bundles announced and did not bring."""
        return [bundle.missing for bundle in self._streams.bundles if bundle.missing]

    @property
    def missing_output(self) -> str:
        """The line that was expected and did not come, in words; empty when all did."""
        return self._matcher.missing if self._matcher else ""

    @property
    def settling_time(self) -> float:
        """The silence after which nothing more will come when all plans are met.

        L4Re may start another program as long as nobody has said that it will not; ned's scripts
        sleep in between, and say for how long.
        """
        one = self._matcher is not None or "L4Re" not in self._boots or self._streams.bundles
        if one or self._status is not None:
            return _DRAIN
        return _BETWEEN_PROGRAMS + self._asleep

    @property
    def in_debugger(self) -> bool:
        """Whether the kernel debugger waits for a command."""
        return is_debugger(self._reader.partial)

    @property
    def program_tag(self) -> bytes | None:
        return self._streams.program_tag

    @property
    def booted_again(self) -> str:
        """The name of what has booted more than once, or empty."""
        return next((name for name, count in self._boots.items() if count > 1), "")

    @property
    def in_flight(self) -> str | None:
        """The point that the program has announced last, if it has not reported."""
        tail = bytes(self._program)
        announced = max(_ANNOUNCED.finditer(tail), key=lambda found: found.start(), default=None)
        if announced is None or _REPORTED.search(tail, announced.end()):
            return None
        return announced[1].decode("utf-8", "backslashreplace").strip()

    def after(self, line: str, tag: bytes | None) -> bytes:
        """The lines of stream `tag` from `line` on, as far as they are kept."""
        own = self._own.get(tag, b"")
        start = own.find(line.encode("utf-8", "ignore"))
        return bytes(own[start:]) if start >= 0 else b""

    def feed(self, data: bytes) -> bytes:
        """Take raw bytes, return the program's."""
        out = self._take(self._reader.feed(data))
        self._program += out
        del self._program[:-_SEEN_LIMIT]
        if self._matcher is None and self.in_debugger:
            self.signatures.append((JDB, self._why_debugger(), None))
        return out

    def _why_debugger(self) -> str:
        """JDB's own word on why it was entered, else its prompt, which may name a thread."""
        prompt = _JDB.match(self._reader.partial)
        *_, entered = [None, *_ENTERED.finditer(self.recent)]
        why = entered[1].decode("utf-8", "backslashreplace").strip() if entered else "jdb"
        thread = (
            prompt[1].decode("utf-8", "backslashreplace").strip() if prompt and prompt[1] else ""
        )
        return f"{why}, in {thread}" if thread else why

    def flush(self) -> bytes:
        """Return what is held back; nothing has come for a while."""
        self._streams.settle()
        return self._take(self._reader.flush())

    def close(self, *, whole_lines: bool = False) -> bytes:
        """Return the rest; `whole_lines` without a line that was cut short."""
        out = self._take(self._reader.flush() if whole_lines else self._reader.close())
        if self._matcher is not None:
            return out + self._matcher.close()
        return out if self._whole else out + self._streams.close()

    def _take(self, pieces: list[Piece]) -> bytes:
        # Between streams the order means nothing: many lines at once are cheaper than one by one.
        self.recent += b"".join([data for _, data in pieces])
        del self.recent[:-_SEEN_LIMIT]
        if self._matcher is not None:
            out = self._matcher.feed(pieces)
            self.found = self.found or bool(out)
            return out
        gathered: dict[bytes | None, list[bytes]] = {}
        for tag, data in pieces:
            gathered.setdefault(tag, []).append(data)
        pieces = [Piece(tag, b"".join(parts)) for tag, parts in gathered.items()]
        for tag, data in pieces:
            self._watch(tag, data)
        if self._whole:
            out = b"".join(data for _, data in pieces)
            self.found = self.found or b"\n1.." in out or out.startswith(b"1..")
            return out
        out = self._streams.feed(pieces)
        self.found = self.found or self._streams.found
        return out

    def _watch(self, tag: bytes | None, data: bytes) -> None:
        """Look for signs and banners in the stream's lines that are complete."""
        own = self._own.setdefault(tag, bytearray())
        own += data
        del own[:-_SEEN_LIMIT]
        text = self._lines.get(tag, b"") + data
        end = text.rfind(b"\n") + 1
        self._lines[tag] = text[end:][-4096:]
        text = text[:end]
        outside, self._in_block[tag] = without_blocks(text, self._in_block.get(tag, False))
        found = find_signature(outside)
        if found is not None:
            self.signatures.append((*found, tag))
        if tag is None and b"-serial_esc" in text:
            self.serial_esc = True
        if tag is None and b"exited with" in text:
            self._take_status(text)
        if tag is None and b"Sleeping" in text:
            slept = [
                int(announced[1]) / (1 if announced[2] == b"s" else 1000)
                for announced in _SLEEPING.finditer(text)
            ]
            self._asleep = max(slept, default=0.0)
        for name in banners(text):
            self._boots[name] = self._boots.get(name, 0) + 1

    def _take_status(self, text: bytes) -> None:
        """Moe's word is on what it has started itself: a good end of ned's is no program's."""
        for exited in _EXITED.finditer(text):
            status = int(exited[1])
            by_moe = exited[0].startswith(b"MOE")
            if by_moe and (status == _KILLED or (status == 0 and self.program_tag is not None)):
                continue
            self._status = self._status or status
