# SPDX-License-Identifier: GPL-2.0-only
"""Blocks of TAP in a stream, between `TAP TEST START` and `TAP TEST FINISHED`. Pure.

L4Re's own tests print them (the harness of l4re-core's build system, tool/lib/L4/TapWrapper). The
text before START is the prefix of every line that counts; several blocks can be open at once, each
with a prefix of its own. A stream that never starts a block is taken as it is.
"""

from __future__ import annotations

import re

_MARK = re.compile(rb"^(.*?)TAP TEST (START|FINISH(?:ED)?)\s*$")
_SIGHT = b"TAP TEST "


class BlockReader:
    """Sorts the bytes of one stream into blocks: portions in, (prefix, bytes) out.

    The prefix is None for what is outside of every block.
    """

    def __init__(self) -> None:
        self.open: list[bytes] = []
        """Prefixes of the blocks that have started and not finished."""
        self.seen = False
        """Whether any block has started."""
        self._partial = b""

    def feed(self, data: bytes) -> list[tuple[bytes | None, bytes]]:
        """Take the next bytes; lines that are not complete are held back once a block was seen."""
        data = self._partial + data
        self._partial = b""
        if not self.seen and _SIGHT not in data:
            tail = len(data) - (data.rfind(b"\n") + 1)
            keep = tail if data[-tail:].find(_SIGHT[:1]) >= 0 and 0 < tail < 200 else 0
            if keep:
                self._partial, data = data[-keep:], data[:-keep]
            return [(None, data)] if data else []
        *lines, self._partial = data.split(b"\n")
        sorted_lines: list[tuple[bytes | None, bytes]] = []
        for line in lines:
            self._line(line + b"\n", sorted_lines)
        return sorted_lines

    def close(self) -> list[tuple[bytes | None, bytes]]:
        """Return what is held back."""
        sorted_lines: list[tuple[bytes | None, bytes]] = []
        if self._partial:
            self._line(self._partial, sorted_lines)
            self._partial = b""
        return sorted_lines

    def _line(self, line: bytes, into: list[tuple[bytes | None, bytes]]) -> None:
        mark = _MARK.match(line) if _SIGHT in line else None
        if mark is not None:
            prefix = mark[1]
            if mark[2] == b"START":
                self.seen = True
                if prefix not in self.open:
                    self.open.append(prefix)
            elif prefix in self.open:
                self.open.remove(prefix)
                into.append((prefix, b"\n"))  # nothing more belongs to the last result
            return
        for prefix in sorted(self.open, key=len, reverse=True):
            if line.startswith(prefix):
                into.append((prefix, line[len(prefix) :]))
                return
        into.append((None, line))
