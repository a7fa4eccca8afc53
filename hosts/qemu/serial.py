# SPDX-License-Identifier: GPL-2.0-only
"""A machine's serial line: two named pipes in QEMU's directory.

Not a socket: one holds 280 bytes when each is written by itself, as QEMU's serial port does. Linux
prints on a port that has been full for 10 ms all the same, and bytes are lost wherever the reader
is that late. A pipe joins them and holds 64 KiB. See `wait_for_lsr` in the kernel's 8250_port.c.
"""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_CHUNK = 1 << 16


class SerialLine:
    """Our ends of the pipes `NAME.out` and `NAME.in`, as `-chardev pipe,path=NAME` wants them."""

    def __init__(self, folder: Path, name: str) -> None:
        """Make the pipes in `folder`. Raises OSError."""
        self._descriptors: list[int] = []
        try:
            for end, mode in ((".out", os.O_RDONLY), (".in", os.O_RDWR)):
                pipe = folder / f"{name}{end}"
                os.mkfifo(pipe, 0o600)
                self._descriptors.append(os.open(pipe, mode | os.O_NONBLOCK | os.O_CLOEXEC))
        except BaseException:
            self.close()
            raise

    def fileno(self) -> int:
        """The end that is read, for poll(2)."""
        return self._descriptors[0]

    def receive(self) -> bytes:
        """The bytes that have come; empty when none have, or none ever will again."""
        try:
            return os.read(self._descriptors[0], _CHUNK)
        except BlockingIOError:
            return b""

    def send(self, data: bytes) -> None:
        """Type; what a machine does not take is dropped."""
        with contextlib.suppress(OSError, IndexError):
            os.write(self._descriptors[1], data)

    def close(self) -> None:
        """Close our ends. Safe to call twice."""
        while self._descriptors:
            os.close(self._descriptors.pop())
