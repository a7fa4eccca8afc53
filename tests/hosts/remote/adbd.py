# SPDX-License-Identifier: GPL-2.0-only
"""A device for adb(1), for tests: it speaks the protocol over TCP and runs commands with /bin/sh.

Messages and streams: adb's protocol.txt; the packets of shell,v2: shell_service.cpp's comment.
"""

from __future__ import annotations

import contextlib
import os
import pty
import queue
import signal
import socket
import struct
import subprocess
import threading
from dataclasses import dataclass, field

_VERSION, _LARGEST = 0x01000000, 1 << 16
_BANNER = b"device::ro.product.name=fake;ro.product.model=fake;features=shell_v2,cmd\0"
_IN, _OUT, _ERROR, _EXIT, _CLOSE_IN = range(5)


class Device:
    """A device that listens on a port of 127.0.0.1; a context manager."""

    def __init__(self) -> None:
        self._server = socket.create_server(("127.0.0.1", 0))
        self.serial = f"127.0.0.1:{self._server.getsockname()[1]}"
        self._links: list[socket.socket] = []

    def __enter__(self) -> Device:
        threading.Thread(target=self._accept, daemon=True).start()
        return self

    def __exit__(self, *_: object) -> None:
        self.unplug()
        self._server.close()

    def unplug(self) -> None:
        """Lose all connections."""
        for link in self._links:
            with contextlib.suppress(OSError):
                link.shutdown(socket.SHUT_RDWR)

    def _accept(self) -> None:
        with contextlib.suppress(OSError):
            while True:
                link, _ = self._server.accept()
                self._links.append(link)
                threading.Thread(target=_Connection(link).serve, daemon=True).start()


class _Connection:
    """One adb server's connection: messages in, streams by their number here."""

    def __init__(self, link: socket.socket) -> None:
        self._link = link
        self._lock = threading.Lock()
        self._streams: dict[int, _Stream] = {}

    def serve(self) -> None:
        with contextlib.suppress(OSError, EOFError):
            while True:
                command, first, second, length, _, _ = struct.unpack("<4s5I", self._read(24))
                self._take(command, first, second, self._read(length))
        for stream in self._streams.values():
            stream.close()
        self._link.close()

    def send(self, command: bytes, first: int, second: int, data: bytes = b"") -> None:
        (number,) = struct.unpack("<I", command)
        header = (first, second, len(data), sum(data) & 0xFFFFFFFF, number ^ 0xFFFFFFFF)
        with self._lock:
            self._link.sendall(struct.pack("<4s5I", command, *header) + data)

    def _take(self, command: bytes, first: int, second: int, data: bytes) -> None:
        stream = self._streams.get(second)
        if command == b"CNXN":
            self.send(b"CNXN", _VERSION, _LARGEST, _BANNER)
        elif command == b"OPEN" and data.startswith(b"shell,v2"):
            number = len(self._streams) + 1
            self._streams[number] = _Stream(self, number, first, data.rstrip(b"\0").decode())
        elif command == b"OPEN":
            self.send(b"CLSE", 0, first)
        elif command == b"WRTE" and stream:
            stream.arrived.put(data)
        elif command == b"OKAY" and stream:
            stream.taken.release()
        elif command == b"CLSE" and stream:
            stream.close()

    def _read(self, length: int) -> bytes:
        data = b""
        while len(data) < length:
            if not (more := self._link.recv(length - len(data))):
                raise EOFError
            data += more
        return data


@dataclass(eq=False)
class _Stream:
    """A command that runs: `shell,v2[,TERM=...][,pty|raw]:COMMAND`."""

    connection: _Connection
    ours: int
    theirs: int
    asked: str
    arrived: queue.Queue[bytes | None] = field(default_factory=queue.Queue)
    taken: threading.Semaphore = field(default_factory=lambda: threading.Semaphore(0))

    def __post_init__(self) -> None:
        how, _, command = self.asked.partition(":")
        self._start(command, terminal="pty" in how.split(","))
        self.connection.send(b"OKAY", self.ours, self.theirs)
        for work in (self._feed, self._drain):
            threading.Thread(target=work, daemon=True).start()

    def close(self) -> None:
        """The other side has gone: what reads from it sees the end, a terminal hangs up."""
        self.arrived.put(None)
        if self._terminal:
            with contextlib.suppress(ProcessLookupError):
                os.killpg(self._child.pid, signal.SIGHUP)
        self.taken.release()

    def _start(self, command: str, *, terminal: bool) -> None:
        self._terminal = terminal
        if terminal:
            ours, theirs = pty.openpty()
            self._outputs = {_OUT: ours}
            self._input = os.dup(ours)
            ends = dict.fromkeys(("stdin", "stdout", "stderr"), theirs)
        else:
            theirs, self._input = os.pipe()
            out, out_end = os.pipe()
            error, error_end = os.pipe()
            self._outputs = {_OUT: out, _ERROR: error}
            ends = {"stdin": theirs, "stdout": out_end, "stderr": error_end}
        session = ["setsid", *(["--ctty"] if terminal else [])]
        self._child = subprocess.Popen([*session, "/bin/sh", "-c", command], **ends)  # type: ignore[call-overload]
        for end in set(ends.values()):
            os.close(end)

    def _feed(self) -> None:
        """Give the command what arrives."""
        held = b""
        while (data := self.arrived.get()) is not None:
            held += data
            while len(held) >= 5 and len(held) >= 5 + int.from_bytes(held[1:5], "little"):
                length = int.from_bytes(held[1:5], "little")
                kind, packet, held = held[0], held[5 : 5 + length], held[5 + length :]
                with contextlib.suppress(OSError):
                    if kind == _IN and packet:
                        _write(self._input, packet)
                    elif kind == _CLOSE_IN and not self._terminal:
                        os.close(self._input)
                        self._input = -1
            with contextlib.suppress(OSError):
                self.connection.send(b"OKAY", self.ours, self.theirs)
        if self._input >= 0:
            os.close(self._input)

    def _drain(self) -> None:
        """Send what the command prints, and how it ended."""
        pumps = [threading.Thread(target=self._pump, args=it) for it in self._outputs.items()]
        for pump in pumps:
            pump.start()
        status = self._child.wait()
        for pump in pumps:
            pump.join()
        with contextlib.suppress(OSError):
            self._send(_EXIT, bytes([status if status >= 0 else 128 - status]))
            self.connection.send(b"CLSE", self.ours, self.theirs)

    def _pump(self, kind: int, output: int) -> None:
        with contextlib.suppress(OSError):
            while data := os.read(output, 16384):
                self._send(kind, data)
        os.close(output)

    def _send(self, kind: int, data: bytes) -> None:
        packet = bytes([kind]) + len(data).to_bytes(4, "little") + data
        self.connection.send(b"WRTE", self.ours, self.theirs, packet)
        self.taken.acquire()


def _write(descriptor: int, data: bytes) -> None:
    while data:
        data = data[os.write(descriptor, data) :]
