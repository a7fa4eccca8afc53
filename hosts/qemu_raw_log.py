# SPDX-License-Identifier: GPL-2.0-only
"""The raw bytes of a console and when they came."""

from __future__ import annotations

import time
from pathlib import Path

_LIMIT = 32 << 20


class RawLog:
    """Bytes as they were received, each portion with its time; bounded (the first 32 MiB)."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._data = bytearray()
        self._marks: list[tuple[float, int]] = []
        self._left_out = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        room = _LIMIT - len(self._data)
        if room > 0 and data:
            self._marks.append((time.monotonic() - self._started, len(self._data)))
            self._data += data[:room]
        self._left_out += max(0, len(data) - max(0, room))

    def save(self, path: Path) -> None:
        """Write the bytes to `path` and, beside it with `.times`, lines of `SECONDS OFFSET`."""
        path.write_bytes(self._data)
        lines = [f"{seconds:.6f} {offset}\n" for seconds, offset in self._marks]
        if self._left_out:
            lines.append(f"# {self._left_out} more bytes were not kept\n")
        path.with_name(f"{path.name}.times").write_text("".join(lines), encoding="ascii")
