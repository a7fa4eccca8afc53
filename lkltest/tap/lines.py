# SPDX-License-Identifier: GPL-2.0-only
"""Console bytes ▶ whole, clean lines: what a terminal adds is taken off before TAP is read."""

import re
from collections.abc import Iterator

from lkltest.tap.grammar import Diagnostic, Event
from lkltest.tap.patterns import CALLER, ESCAPE, LEVEL, SECONDS, STAMP

LINE_LIMIT = 64 * 1024
"""Bytes of a line that are kept, its newline not counted; the rest is dropped (line-cut)."""

_ESCAPE = re.compile(ESCAPE)
_CARRIAGE_RETURNS = re.compile(rb"(?<!\r)\r++\n")
_PREFIX = (
    # What keeps a console's log puts the time of day before the kernel's own stamp.
    rb"(?:(?:[0-9]{4}-[0-9]{2}-[0-9]{2}[T ])?[0-9:]{8}(?:[,.][0-9]{1,9})?(?:[+-][0-9:]{5}|Z)? {1,2}"
    rb"(?=(?:<[0-9]{1,4}>)?\[))?"
    rb"(?:[a-z]++ *+:[a-z]++ *+: )?"  # dmesg -x
    + LEVEL
    + rb"(?:\[ *+\+?"
    + SECONDS
    + rb"(?: <[ 0-9.]{1,16}>)?\]"  # and dmesg -d
    rb"|\[(?:[A-Z][a-z]{2} ){2}[ 0-9][0-9] [0-9:]{8} [0-9]{4}\]"  # dmesg -T
    rb"|\[[A-Z][a-z]{2}[ 0-9][0-9] [0-9:]{5}\]"  # dmesg -e
    rb"|[0-9]{4}-[0-9]{2}-[0-9]{2}T[0-9:]{8}[,.][0-9]{1,9}(?:[+-][0-9:]{5}|Z)"  # ISO 8601
    rb"|[0-9]{1,4},[0-9]{1,20},[0-9]{1,20},[^;\n]{1,80};"  # /dev/kmsg
    rb"|[A-Z][a-z]{2} [ 0-9][0-9] [0-9:]{8} \S{1,64} kernel:(?: "
    + STAMP
    + rb")?)(?:"
    + CALLER
    + rb")? ?"
)
_PRINTK = re.compile(rb"\n" + _PREFIX)
_FIRST_TAP = re.compile(
    rb"\n(?:(?P<prefix>"
    + _PREFIX
    + rb")(?:K?TAP [Vv]ersion [0-9]|1\.\.[0-9])"
    + rb"|[ \t]*+(?:K?TAP [Vv]ersion [0-9]|1\.\.[0-9]|\* [0-9]|(?:not )?ok(?![^\s#])))"
)
_BYTE_ORDER_MARK = b"\n\xef\xbb\xbf"


class Lines:
    """Cuts a stream into texts of whole lines. Each text begins with a newline of its own, so that
    every line in it begins after one and ends with one.

    Attributes:
        printk: whether the kernel's time stamps are taken off (`[    0.123456] `, with `[T1]` or
            `<6>` too, and what dmesg and the journal make of them). None as long as the first line
            of TAP has yet to show it.
    """

    def __init__(self, printk: bool | None) -> None:
        self.printk = printk
        self._is_first = True
        self._is_new_log = printk is True
        self._partial = bytearray()  # the line that has begun
        self._dropped = 0  # bytes of it beyond LINE_LIMIT

    def has_begun(self) -> bool:
        """Whether bytes came that belong to a line without its newline yet."""
        return bool(self._partial)

    def switched_on(self) -> bool:
        """Whether time stamps have come to be taken off since the last call."""
        if self.printk and self._is_new_log:
            self._is_new_log = False
            return True
        return False

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
        if tail:
            self._say_cut(out)
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
            out.append(Diagnostic("line-cut", what))

    def _clean(self, lines: bytes) -> bytes:
        # Line by line in effect: no pattern reaches beyond the line that it begins in.
        text = b"\n" + lines
        if b"\x1b" in text:
            text = _ESCAPE.sub(b"", text)
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
            if b"\r\n" in text:
                text = _CARRIAGE_RETURNS.sub(b"\n", text)
        if self._is_first:
            self._is_first = False
            if text.startswith(_BYTE_ORDER_MARK):
                text = b"\n" + text[len(_BYTE_ORDER_MARK) :]
        if self.printk is None:
            return self._find_out(text)
        return _PRINTK.sub(b"\n", text) if self.printk else text

    def _find_out(self, text: bytes) -> bytes:
        first = _FIRST_TAP.search(text)
        if first is None:
            return text
        self.printk = self._is_new_log = first["prefix"] is not None
        if not self.printk:
            return text
        return text[: first.start()] + _PRINTK.sub(b"\n", text[first.start() :])
