# SPDX-License-Identifier: GPL-2.0-only
"""Head and tail of a text that may be endless; says how much was cut. Pure."""

from __future__ import annotations

from collections import deque


class Excerpt:
    """Keeps the first `head` and the last `tail` bytes of all that is added."""

    def __init__(self, head: int = 32 * 1024, tail: int = 96 * 1024) -> None:
        self._room = head
        self._head: list[bytes] = []
        self._limit = tail
        self._tail: deque[bytes] = deque()
        self._kept = 0
        self._cut = 0

    def add(self, data: bytes) -> None:
        """Take the next piece."""
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

    def text(self) -> str:
        """Return what was kept, decoded, with a line in place of what was cut."""
        gap = b"\n[... %d bytes cut ...]\n" % self._cut if self._cut else b""
        return b"".join([*self._head, gap, *self._tail]).decode("utf-8", "backslashreplace")
