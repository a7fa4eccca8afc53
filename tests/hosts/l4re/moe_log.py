# SPDX-License-Identifier: GPL-2.0-only
"""A model of moe's log, for tests: what programs write in, what the serial line shows out.

Written after l4re-core, moe/server/src/log.cc (Log::op_dispatch).
"""

from __future__ import annotations

from dataclasses import dataclass, field

MAX_TAG = 8


@dataclass(eq=False)
class Client:
    """A program's log: its tag and colour (0 none, 1 to 7, and 8 more for bright)."""

    tag: bytes
    colour: int
    in_line: bool = False


@dataclass
class MoeLog:
    """`wire` is what has been printed so far, before the kernel's CR before each line feed."""

    wire: bytearray = field(default_factory=bytearray)
    last: Client | None = None

    def write(self, client: Client, message: bytes) -> None:
        while message:
            self.wire += self._colour(client)
            if self.last is not client:
                if self.last is not None:
                    self.wire += b"\n"
                self.wire += client.tag[:MAX_TAG].ljust(MAX_TAG)
                self.wire += b": " if client.in_line else b"| "
            line, feed, message = message.partition(b"\n")
            self.wire += line
            if feed:
                self.wire += b"\x1b[0m\n" if client.colour else b"\n"
                client.in_line, self.last = False, None
            else:
                client.in_line, self.last = True, client
        if client.in_line and client.colour:
            self.wire += b"\x1b[0m"

    def beside(self, line: bytes) -> None:
        """A whole line of the kernel's, printed past the log where that has ended a raw line."""
        if not self.wire or self.wire.endswith(b"\n"):
            self.wire += line + b"\n"

    @staticmethod
    def _colour(client: Client) -> bytes:
        if not client.colour:
            return b"\x1b[0m"
        bright = "01;" if client.colour & 8 else ""
        return f"\x1b[{bright}3{client.colour & 7}m".encode()
