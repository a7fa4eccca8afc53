# SPDX-License-Identifier: GPL-2.0-only
"""Put back together what a kernel's messages cut apart on a console that it shares. Pure.

    ok 5 na[    1.250000] random: crng init done        [    1.250000] random: crng init done
    me                                            ▶     ok 5 name

A kernel that prints time stamps (printk.time=1) shows where its message begins in the middle of a
program's line. A stamp older than the newest that was seen is no message but text about one (a
program that prints the log), and stays where it is.
"""

from __future__ import annotations

import re

_LINE_LIMIT = 64 * 1024
_STAMP = re.compile(rb"\[ *([0-9]{1,10})\.([0-9]{6})\](?:\[ *[TC][0-9]{1,10}\])? ")
_BEGINS_TAP = re.compile(rb"(?:not )?ok\b|\* [0-9]|1\.\.[0-9]")
_QUOTED = 120


class Deinterleaver:
    """Bytes of a console in, the same bytes out with kernel messages on lines of their own.

    What is cut apart comes after the messages that cut it. `diagnostics` says, a line each, what
    could not be put back.
    """

    def __init__(self) -> None:
        self.diagnostics: list[str] = []
        self._partial = b""  # a line that has not ended
        self._cut = b""  # a program's line of which the rest is to come
        self._newest = self._older = 0  # microseconds; before the line was cut

    def feed(self, data: bytes) -> bytes:
        """The bytes that can be passed on."""
        text = self._partial + data if self._partial else data
        end = text.rfind(b"\n") + 1
        if not end and len(text) > _LINE_LIMIT:
            end = len(text)  # a line without end is nobody's to hold
        self._partial = text[end:]
        text = text[:end]
        if not self._cut and _STAMP.search(text) is None:
            return text
        return b"".join(self._line(line) for line in text.splitlines(keepends=True))

    def close(self) -> bytes:
        """The stream has ended: what is left."""
        rest = self._line(self._partial) if self._partial else b""
        if self._cut:
            self._diagnose("its rest never came", self._cut)
        rest += self._cut
        self._partial = self._cut = b""
        return rest

    def _line(self, line: bytes) -> bytes:
        match = _STAMP.search(line)
        if match is not None:
            stamp = int(match[1]) * 1_000_000 + int(match[2])
            before = line[: match.start()]
            if not before or (stamp >= self._newest and before.strip()):
                if not self._cut:
                    self._older = self._newest
                self._newest = max(stamp, self._newest)
                self._cut += before
                return line[match.start() :]
        if not self._cut:
            return line
        cut, self._cut = self._cut, b""
        if _BEGINS_TAP.match(line) and cut.strip():
            self._diagnose("the next line is a whole one", cut)
            return cut + b"\n" + line
        # What was cut may be a message that has cut a line itself.
        newest, self._newest = self._newest, self._older
        whole = self._line(cut + line)
        self._newest = max(newest, self._newest)
        return whole

    def _diagnose(self, why: str, cut: bytes) -> None:
        text = cut[:_QUOTED].decode("utf-8", "backslashreplace").strip()
        self.diagnostics.append(f"a kernel message cut {text!r} short, {why}")
