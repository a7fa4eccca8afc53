# SPDX-License-Identifier: GPL-2.0-only
"""A YAML block that is open: what came of it so far, and how its end is found."""

import re
from collections.abc import Callable
from functools import lru_cache

from lkltest.tap.grammar import Diagnostic, Event, Point
from lkltest.tap.torn_line import message_in_end

LOG_LIMIT = 4 * 1024 * 1024
"""Bytes of a YAML block that are kept; the rest is dropped (log-cut). Verbose boots print 2 MB."""


@lru_cache(maxsize=8)
def stray_finder(indent: bytes) -> "Callable[[bytes, int, int], re.Match[bytes] | None]":
    """A search for a line that is indented less, in text that begins and ends with a newline."""
    escaped = re.escape(indent)
    if len(indent) == 1:
        return re.compile(rb"\n[^\n" + escaped + rb"]").search  # the same, a little quicker
    return re.compile(rb"\n(?!" + escaped + rb")[^\n]").search


class Block:
    """The block of a point, whose lines are indented by indent at least."""

    def __init__(self, point: Point, indent: bytes) -> None:
        self._point = point
        self._indent = indent
        self._end = b"\n" + indent + b"..."
        self._body = bytearray()
        self._dropped = 0
        self.find_stray = stray_finder(indent)

    def find_end(self, text: bytes, pos: int, limit: int) -> tuple[int, int]:
        """The offsets of the `...` line and of the next line, or -1, -1.

        pos is that of the newline before the first line to look at, limit where the last one ends.
        """
        while (stop := text.find(self._end, pos, limit)) >= 0:
            rest = stop + len(self._end)
            after = text.index(b"\n", rest)
            if after == rest or not text[rest:after].strip():
                return stop + 1, after + 1
            pos = after
        return -1, -1

    def is_end(self, line: bytes) -> bool:
        """Whether a line without its newline ends the block."""
        return (b"\n" + line.rstrip()) == self._end

    def torn_end(self, rest: bytes) -> bytes | None:
        """The kernel message that tore the block's `...` apart, if `rest` is the rest of it."""
        if self._dropped or (torn := message_in_end(self._body, self._indent, rest)) is None:
            return None
        message = torn[3]
        del self._body[torn.start() :]
        return message

    def add(self, part: bytes) -> None:
        """Lines of the block."""
        room = LOG_LIMIT - len(self._body)
        self._body += part[:room]
        self._dropped += max(0, len(part) - room)

    def finish(self, out: list[Event]) -> None:
        """Hands the point over with what came of its block."""
        if self._dropped:
            size = len(self._body) + self._dropped
            what = f"the block of {self.label()} has {size} bytes, the first {LOG_LIMIT} are kept"
            out.append(Diagnostic("log-cut", what))
        ok, number, name, directive, reason, _, depth, took = self._point
        out.append(Point(ok, number, name, directive, reason, bytes(self._body), depth, took))

    def label(self) -> str:
        """The point, for people."""
        number = "" if self._point.number is None else str(self._point.number)
        return f"{number} {self._point.name}".strip() or "a point"
