# SPDX-License-Identifier: GPL-2.0-only
"""A stream's content besides test points: kernel lines, output, diagnostics. Pure; bounded."""

from __future__ import annotations

import itertools
import re
from collections import deque

from lkltest.tap.parser import decode
from lkltest.tap.patterns import STAMP
from lkltest.verdict.kernel_log import Banner, find_banner, find_reports, is_notable
from lkltest.verdict.results import Problem

_SEARCH_BYTES = 256 * 1024  # that are gathered, and then searched in one go
_COMMENT_LIMIT = 8 * 1024
_MEANWHILE_BYTES = 4 * 1024
_MESSAGE = re.compile(STAMP.decode() + ".*", re.DOTALL)


class StreamLog:
    """Gathers output, and finds in it what the kernel says of itself.

    Attributes:
        banner: of the first kernel that started.
        comments: diagnostics that nobody has taken yet.
        dead: whether the kernel said that it ends the run.
    """

    def __init__(self) -> None:
        self.banner = Banner("", "")
        self.dead = False
        self._pending = bytearray()
        self._transcript = _Excerpt()
        self._begin = 0  # of the test point in flight, in the transcript
        self.comments = bytearray()

    def add(self, data: bytes) -> bool:
        """Take output. Return whether it is time to search it."""
        self._transcript.add(data)
        self._pending += data
        return len(self._pending) >= _SEARCH_BYTES

    def comment(self, text: str) -> str:
        """Take a diagnostic and return it: it is not the kernel's, so it is not searched here."""
        line = f"# {text}\n".encode("utf-8", "backslashreplace")
        self._transcript.add(line)
        if len(self.comments) < _COMMENT_LIMIT:
            self.comments += line
        return text

    def begin_point(self) -> None:
        """A test point was announced: what comes now belongs to it."""
        self._begin = self._transcript.total

    def meanwhile(self) -> str:
        """Return the last of what has come since a point was announced, whole lines."""
        size = self._transcript.total - self._begin
        text = decode(self._transcript.last(min(size, _MEANWHILE_BYTES)))
        return text.partition("\n")[2] if size > _MEANWHILE_BYTES else text

    def take_comments(self) -> str:
        """Return the diagnostics since the last call."""
        comments = decode(bytes(self.comments))
        self.comments.clear()
        return comments

    def search_pending(self) -> list[Problem]:
        """Return the problems in the output since the last call."""
        data = bytes(self._pending)
        self._pending.clear()
        return self.search(data)

    def search(self, data: bytes) -> list[Problem]:
        """Return the problems in `data`; remember the banner in it."""
        if not is_notable(data):
            return []
        if not self.banner.kernel:
            self.banner = find_banner(data) or self.banner
        reports = find_reports(data, self.dead)
        self.dead = self.dead or any(report.fatal for report in reports)
        return [
            Problem(report.kind, report.title.removeprefix(f"{report.kind}: "), None, report.detail)
            for report in reports
        ]

    def overhear(self, *texts: str) -> list[Problem]:
        """Return the problems in kernel messages that came in the midst of these parts of lines.

        Only a time stamp tells such a message from a name that is about one.
        """
        messages = [found[0] for text in texts if "[" in text and (found := _MESSAGE.search(text))]
        return self.search("\n".join(messages).encode()) if messages else []

    def properties(self) -> dict[str, str]:
        """Return what is known of the kernel: `kernel` (its release) and `compiler`."""
        properties = {"kernel": self.banner.kernel, "compiler": self.banner.compiler}
        return {name: value for name, value in properties.items() if value}

    def text(self) -> str:
        """Return output and diagnostics, decoded; head and tail where it was long."""
        return self._transcript.text()


class _Excerpt:
    """The first `head` and the last `tail` bytes of a text that may be endless; `total` came."""

    def __init__(self, head: int = 32 * 1024, tail: int = 96 * 1024) -> None:
        self._room = head
        self._head: list[bytes] = []
        self._limit = tail
        self._tail: deque[bytes] = deque()
        self._kept = 0
        self._cut = 0
        self.total = 0

    def add(self, data: bytes) -> None:
        """Take the next piece."""
        self.total += len(data)
        if self._room:
            self._head.append(data[: self._room])
            data = data[self._room :]
            self._room -= len(self._head[-1])
        if not data:
            return
        if len(data) > self._limit:
            self._cut += len(data) - self._limit
            data = data[-self._limit :]
        self._tail.append(data)
        self._kept += len(data)
        while self._kept > self._limit:
            excess = self._kept - self._limit
            first = self._tail.popleft()
            dropped = min(excess, len(first))
            if dropped < len(first):
                self._tail.appendleft(first[dropped:])
            self._kept -= dropped
            self._cut += dropped

    def last(self, size: int) -> bytes:
        """Return the last bytes, fewer than were kept."""
        pieces: deque[bytes] = deque()
        for piece in itertools.chain(reversed(self._tail), reversed(self._head)):
            if size <= 0:
                break
            pieces.appendleft(piece[-size:])
            size -= len(piece)
        return b"".join(pieces)

    def text(self) -> str:
        """Return what was kept, decoded, with a line in place of what was cut."""
        gap = b"\n[... %d bytes cut ...]\n" % self._cut if self._cut else b""
        return b"".join([*self._head, gap, *self._tail]).decode("utf-8", "backslashreplace")
