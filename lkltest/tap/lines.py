# SPDX-License-Identifier: GPL-2.0-only
"""Console bytes ▶ whole, clean lines: what a terminal adds is taken off before TAP is read."""

import re
from collections.abc import Iterator

from lkltest.tap.grammar import Damage, Event, quote

LINE_LIMIT = 64 * 1024
"""Bytes of a line that are kept, its newline not counted; the rest is dropped (line-cut)."""

_ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*+[ -/]*+[@-~]"  # CSI: colours, cursor
    rb"|\][^\x07\x1b\n]*+(?:\x07|\x1b\\)"  # OSC: window titles
    rb"|[ -/]++[0-~]"  # character sets
    rb"|[0-Z\\^-~])"
)
_CARRIAGE_RETURNS = re.compile(rb"(?<!\r)\r++\n")
_PRINTK = re.compile(
    rb"\n(?:<[0-9]{1,4}>)?\[ *+[0-9]{1,10}\.[0-9]{1,9}\](?:\[ *+[TC][0-9]{1,10}\])? ?"
)


class Lines:
    """Cuts a stream into texts of whole lines. Each text begins with a newline of its own, so that
    every line in it begins after one and ends with one.

    printk: takes the kernel's time stamps off (`[    0.123456] `, with `[T1]` or `<6>` too).
    """

    def __init__(self, printk: bool) -> None:
        self._printk = printk
        self._partial = bytearray()  # the line that has begun
        self._dropped = 0  # bytes of it beyond LINE_LIMIT

    def has_begun(self) -> bool:
        """Whether bytes came that belong to a line without its newline yet."""
        return bool(self._partial)

    def feed(self, data: bytes, out: list[Event]) -> Iterator[bytes]:
        """The texts that end in these bytes, of LINE_LIMIT bytes or little more each.

        What is to be said of a line is appended to out before its text is returned.
        """
        if self._partial:
            end = data.find(b"\n")
            if end < 0:
                self._keep(data)
                return
            if len(self._partial) + self._dropped + end <= LINE_LIMIT:
                data = bytes(self._partial) + data
                self._partial.clear()
            else:
                self._keep(data[:end])
                yield self._cut(out)
                data = data[end + 1 :]
        start, size = 0, len(data)
        while start < size:
            # A window as long as the longest line that is allowed: a newline in it means that no
            # line before that newline is too long.
            end = data.rfind(b"\n", start, start + LINE_LIMIT + 1)
            if end >= 0:
                yield self._clean(data[start : end + 1])
            else:
                end = data.find(b"\n", start)
                if end < 0:
                    self._keep(data[start:])
                    return
                self._keep(data[start:end])
                yield self._cut(out)
            start = end + 1

    def rest(self, out: list[Event]) -> bytes:
        """The last line, which has no newline, if more than terminal escapes is left of it."""
        tail = self._clean(bytes(self._partial))[1:].rstrip(b"\r")
        if tail or (self._printk and self._partial):  # not even a time stamp may stand alone
            self._say_cut(out)
            out.append(Damage("line-incomplete", f"the last line has no newline: {quote(tail)}"))
        self._partial.clear()
        self._dropped = 0
        return tail

    def _keep(self, data: bytes) -> None:
        room = LINE_LIMIT - len(self._partial)
        self._partial += data[:room]
        self._dropped += max(0, len(data) - room)

    def _cut(self, out: list[Event]) -> bytes:
        self._say_cut(out)
        line = bytes(self._partial) + b"\n"
        self._partial.clear()
        self._dropped = 0
        return self._clean(line)

    def _say_cut(self, out: list[Event]) -> None:
        if self._dropped:
            size = len(self._partial) + self._dropped
            what = f"a line of {size} bytes, the first {LINE_LIMIT} are kept"
            out.append(Damage("line-cut", what))

    def _clean(self, lines: bytes) -> bytes:
        # Line by line in effect: no pattern reaches beyond the line that it begins in.
        text = b"\n" + lines
        if b"\x1b" in text:
            text = _ESCAPE.sub(b"", text)
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
            if b"\r\n" in text:
                text = _CARRIAGE_RETURNS.sub(b"\n", text)
        if self._printk:
            text = _PRINTK.sub(b"\n", text)
        return text
