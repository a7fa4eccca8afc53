# SPDX-License-Identifier: GPL-2.0-only
"""A person at a machine's console: what it shows goes to standard output, keys go in.

Keys are those of `qemu -nographic`: ctrl-a x ends the machine, ctrl-a ctrl-a (or a) sends a ctrl-a,
ctrl-a h says so.
"""

from __future__ import annotations

import contextlib
import os
import re
import select
import sys
import termios
import threading
from collections.abc import Iterator
from typing import TYPE_CHECKING

from ..l4re.console import strip_escapes

if TYPE_CHECKING:
    from .process import QemuProcess

_PREFIX, _END, _HELP = 0x01, ord("x"), ord("h")
_HELP_TEXT = b"\r\nctrl-a x: end the machine; ctrl-a ctrl-a: send ctrl-a; ctrl-a h: this\r\n"
_HELD_BACK = 256
_CONTROL = re.compile(rb"[\x00-\x08\x0b-\x1f\x7f]")


class CleanText:
    """Takes escapes, carriage returns and control characters out of bytes as they come. Pure."""

    def __init__(self) -> None:
        self._held = b""

    def feed(self, data: bytes) -> bytes:
        """Return what can be shown; the beginning of an escape is held back."""
        data = self._held + data
        start = data.rfind(b"\x1b")
        self._held = b""
        if start >= 0 and len(data) - start < _HELD_BACK and strip_escapes(data[start:]) == b"":
            # Nothing visible after it: it might not have ended. A whole one is shown as nothing.
            self._held, data = data[start:], data[:start]
        return _CONTROL.sub(b"", strip_escapes(data))


class Keys:
    """Sorts what is typed: bytes for the guest, and what is meant for us. Pure."""

    def __init__(self) -> None:
        self._prefix = False
        self.end = False
        self.help = False

    def feed(self, data: bytes) -> bytes:
        """Return the guest's bytes; sets `end` and `help`."""
        out = bytearray()
        for byte in data:
            if self._prefix:
                self._prefix = False
                if byte == _END:
                    self.end = True
                    break
                if byte == _HELP:
                    self.help = True
                elif byte in (_PREFIX, ord("a")):
                    out.append(_PREFIX)
            elif byte == _PREFIX:
                self._prefix = True
            else:
                out.append(byte)
        return bytes(out)


@contextlib.contextmanager
def attached(process: QemuProcess, *, raw: bool) -> Iterator[None]:
    """Show `process` on standard output and, from a terminal, type into it."""
    clean = CleanText()

    def show(data: bytes) -> None:
        sys.stdout.buffer.write(data if raw else clean.feed(data))
        sys.stdout.buffer.flush()

    process.listener = show
    with contextlib.ExitStack() as stack:
        descriptor = _typed_on()
        if descriptor is not None:
            stack.enter_context(_keys_at_once(descriptor))
            stack.enter_context(_typing(descriptor, process))
        yield


def _typed_on() -> int | None:
    """The terminal on standard input, when it is ours to read: a job in the background is stopped
    for reading its controlling terminal; any other terminal may be read by anybody.
    """
    try:
        descriptor = sys.stdin.fileno()
    except (OSError, ValueError):
        return None
    if not os.isatty(descriptor):
        return None
    try:
        return descriptor if os.tcgetpgrp(descriptor) == os.getpgrp() else None
    except OSError:
        return descriptor


@contextlib.contextmanager
def _keys_at_once(descriptor: int) -> Iterator[None]:
    """Keys come one by one, none is echoed or means a signal; output stays as it is."""
    before = termios.tcgetattr(descriptor)
    settings = termios.tcgetattr(descriptor)
    settings[0] &= ~(termios.ICRNL | termios.IXON)
    settings[3] &= ~(termios.ICANON | termios.ECHO | termios.ISIG | termios.IEXTEN)
    termios.tcsetattr(descriptor, termios.TCSADRAIN, settings)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal has gone (SIGHUP)
            termios.tcsetattr(descriptor, termios.TCSADRAIN, before)


@contextlib.contextmanager
def _typing(descriptor: int, process: QemuProcess) -> Iterator[None]:
    stop_read, stop_write = os.pipe2(os.O_CLOEXEC)
    thread = threading.Thread(
        target=_type, args=(descriptor, stop_read, process), name="lkltest keys", daemon=True
    )
    thread.start()
    try:
        yield
    finally:
        os.close(stop_write)
        thread.join(2.0)
        os.close(stop_read)


def _type(descriptor: int, stop: int, process: QemuProcess) -> None:
    keys = Keys()
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    poller.register(stop, select.POLLIN | select.POLLHUP)
    while stop not in {ready for ready, _ in poller.poll()}:
        data = os.read(descriptor, 1024)
        if not data:
            return
        process.send(keys.feed(data))
        if keys.help:
            keys.help = False
            sys.stdout.buffer.write(_HELP_TEXT)
            sys.stdout.buffer.flush()
        if keys.end:
            process.stop("ended by hand (ctrl-a x)")
            return
