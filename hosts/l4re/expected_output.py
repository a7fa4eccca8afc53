# SPDX-License-Identifier: GPL-2.0-only
"""Output that a program without TAP is to bring: lines in order, others may stand between. Pure
but for reading the file.

The form is that of L4Re's test files (`TEST_EXPECTED`): each line is a regular expression for a
whole line; `TAG | TEXT` is one for a line of that program's in moe's log. What bootstrap's first
line comes before does not count.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from dataclasses import dataclass
from pathlib import Path

from lkltest.errors import LaunchError

from .console import TAG_COLUMNS, Piece

POINT = "expected output"
_TAGGED = re.compile(r"([^|]+)\s+\|\s+(.*?)\s*")
_START = re.compile(rb"L4 Bootstrapper|Welcome to L4/Fiasco\.OC!")
_LONGEST_LINE = 1 << 16


@dataclass(frozen=True, slots=True)
class ExpectedOutput:
    """Expressions for lines to come, in order, and how they are written in their file."""

    patterns: tuple[re.Pattern[str], ...]
    lines: tuple[str, ...]


def read_expected(path: Path, *, literal: bool = False, runs: int = 1) -> ExpectedOutput:
    """Read a file of expected lines, which come `runs` times over. Raises LaunchError, one line."""
    try:
        lines = path.read_text(encoding="utf-8", errors="surrogateescape").splitlines()
    except OSError as error:
        raise LaunchError(f"{path}: {error.strerror}") from None
    if not lines:
        raise LaunchError(f"{path}: no line is expected")
    patterns = []
    for number, line in enumerate(lines, 1):
        try:
            patterns.append(re.compile(re.escape(line) + r"\Z" if literal else _pattern(line)))
        except re.error as error:
            raise LaunchError(f"{path}:{number}: no regular expression: {error}") from None
    return ExpectedOutput(tuple(patterns) * runs, tuple(lines) * runs)


def _pattern(line: str) -> str:
    tagged = _TAGGED.fullmatch(line)
    if tagged is not None:
        return rf"{tagged[1]}\W+\| {tagged[2]}"
    return rf"\s*{line}\s*\Z"


class OutputMatcher:
    """Pieces of a console in, a TAP stream out: one test point, ok when all lines have come."""

    def __init__(self, expected: ExpectedOutput) -> None:
        self._expected = expected
        self._place = 0
        self._started = False
        self._partial: dict[bytes | None, bytes] = {}

    @property
    def complete(self) -> bool:
        """Whether all lines have come."""
        return self._place == len(self._expected.patterns)

    def feed(self, pieces: Iterable[Piece]) -> bytes:
        """Take pieces; return what of the stream follows from them."""
        before = self.complete
        out = b""
        for tag, data in pieces:
            *lines, rest = (self._partial.get(tag, b"") + data).split(b"\n")
            self._partial[tag] = rest[:_LONGEST_LINE]
            for line in lines:
                if not self._started and tag is None and _START.match(line):
                    self._started = True
                    out += f"1..1\n* 1 {POINT}\n".encode()
                elif self._started:
                    self._match(tag, line)
        if self.complete and not before:
            out += f"ok 1 {POINT}\n".encode()
        return out

    @property
    def missing(self) -> str:
        """The line that did not come, in words; empty when all did."""
        if self.complete:
            return ""
        expected, place = self._expected.lines, self._place
        line = expected[place].encode("utf-8", "surrogateescape").decode("utf-8", "replace")
        return f"{POINT}: line {place + 1} of {len(expected)} did not come: {line}"

    def close(self) -> bytes:
        """Return the rest of the stream."""
        return f"not ok 1 {POINT}\n".encode() if self._started and not self.complete else b""

    def _match(self, tag: bytes | None, line: bytes) -> None:
        if self.complete:
            return
        shown = line if tag is None else tag.ljust(TAG_COLUMNS) + b"| " + line
        text = shown.rstrip(b"\r").decode("utf-8", "surrogateescape")
        if self._expected.patterns[self._place].match(text):
            self._place += 1
