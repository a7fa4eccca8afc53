# SPDX-License-Identifier: GPL-2.0-only
"""gdb on a program that QEMU's user mode emulation runs, through the stub for it in the emulator.

The stub takes one connection, at the program's beginning. A thread of the runner has it, lets the
program run and passes its signals on; when there is something to see, it relays between the stub
and gdb. See gdb's manual, "GDB Remote Serial Protocol"; signals have gdb's numbers there.
"""

from __future__ import annotations

import contextlib
import ctypes
import itertools
import re
import select
import signal
import socket
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from pathlib import Path

from lkltest.errors import LaunchError
from lkltest.host.debugger import (
    HeldLog,
    arrange,
    batch_words,
    output_of,
    save_commands,
    take_saved,
)
from lkltest.host.emulator import gdb_for, libraries_of
from lkltest.host.executable import identify
from lkltest.sandbox.scope import Child, Scope

_CHUNK = 1 << 16
_PACKET = re.compile(rb"\$([^#]*)#..", re.DOTALL)
_STOP = re.compile(rb"[ST]([0-9a-f]{2})(?:.*?thread:(?:p[0-9a-f]+\.)?([0-9a-f]+))?")
_FATAL = frozenset({4, 5, 6, 8, 10, 11, 12})
"""SIGILL, SIGTRAP, SIGABRT, SIGFPE, SIGBUS, SIGSEGV, SIGSYS, as gdb counts them."""
_STOP_SECONDS = 3.0
_NUMBERS = itertools.count(1)
"""Programs of one scope have a stub each."""


class EmulatedDebugger:
    """Looks at a program for another processor when it is dying of a fault, or when it is asked to.

    Args:
        emulator: the words before the program, without `words`.
        held_log: afterwards the attribute of this name has the text that was found there.
    """

    def __init__(
        self,
        program: Path,
        emulator: Sequence[str],
        scope: Scope,
        held_log: HeldLog | None = None,
    ) -> None:
        self.report = ""
        """The backtraces, or why there are none; "" before anything has happened."""
        self.held_log = b""
        self.words: tuple[str, ...] = ()
        """The emulator's further words, by which it waits for a debugger."""
        self._socket = scope.folder / f"gdb-stub-{next(_NUMBERS)}"
        self._program, self._root = program, libraries_of(emulator)
        self._scope, self._held_log = scope, held_log
        try:
            self._gdb = gdb_for(identify(program).machine)
            self.words = ("-g", str(self._socket))
        except LaunchError as error:
            self.report = f"no backtrace: {error}"
        self._child: Child | None = None
        self._asked = False
        self._stopped, self._seen = threading.Event(), threading.Event()
        self._dying = False
        self._thread = threading.Thread(target=self._run, name="lkltest gdb", daemon=True)

    def spawn(self, start: Callable[[Callable[[int], object] | None], Child]) -> Child:
        """Start the emulator, which waits, and have the program begin."""
        self._child = start(None)
        if self.words:
            self._thread.start()
        return self._child

    def look(self) -> str:
        """The backtraces of a program that hangs; says why when there are none."""
        self._asked = True
        if self._child is not None and self._thread.is_alive():
            _interrupt(self._child.pid)
            if self._stopped.wait(_STOP_SECONDS):
                self._seen.wait()
        return self.report or "no backtrace: the emulated program does not stop for a signal"

    def join_if_dying(self) -> bool:
        """Whether a fault was seen, after which the end is near and silence no stall."""
        if self._dying:
            self._thread.join()
        return self._dying

    def settle(self) -> Iterator[bytes]:
        """Wait for the look at a program that has died; yield what it had not printed."""
        if self._dying:
            self._thread.join()
        if self.held_log:
            yield b"\n" + self.held_log + b"\n"

    def _run(self) -> None:
        with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as stub:
            if not self._connect(stub):
                return
            stub.sendall(_packet("c"))
            for number, thread in _stops(stub):
                if not self._asked and number not in _FATAL:
                    stub.sendall(_packet(f"C{number:02x}"))
                    continue
                self._dying = not self._asked
                self._stopped.set()
                self._look(stub, thread)
                self._seen.set()
                if self._asked:
                    stub.recv(_CHUNK)  # until it is killed: it would die of our signal
                return  # without a debugger the emulator lets the signal have its way

    def _connect(self, stub: socket.socket) -> bool:
        """Wait for the stub; False when the emulator has ended before it was there."""
        assert self._child is not None  # noqa: S101 - it has been started
        while not select.select([self._child], [], [], 0)[0]:
            with contextlib.suppress(OSError):
                stub.connect(str(self._socket))
                return True
            time.sleep(0.005)
        return False

    def _look(self, stub: socket.socket, thread: int) -> None:
        place = self._socket.with_name(f"{self._socket.name}-relay")
        file = self._socket.with_name(f"{self._socket.name}-held-log")
        held = save_commands(self._held_log, file) if self._held_log else []
        first = (f"set sysroot {self._root}",)
        words = [*batch_words(first, (f"target remote {place}", *held)), "-ex", "disconnect"]
        with socket.socket(socket.AF_UNIX) as listener:
            listener.bind(str(place))
            listener.listen(1)
            relay = threading.Thread(target=_relay, args=(stub, listener), daemon=True)
            relay.start()
            text = output_of(self._scope, [self._gdb, *words, str(self._program)])
            listener.shutdown(socket.SHUT_RDWR)  # gdb may never have come
            relay.join()
        place.unlink()
        self.held_log = take_saved(file, text)
        self.report = arrange(text, thread)


def _packet(text: str) -> bytes:
    data = text.encode()
    return b"$%b#%02x" % (data, sum(data) & 0xFF)


def _stops(stub: socket.socket) -> Iterator[tuple[int, int]]:
    """Each stop of the program: the signal and the thread that got it, until the stub has gone."""
    heard = b""
    while data := stub.recv(_CHUNK):
        heard += data
        while packet := _PACKET.search(heard):
            heard = heard[packet.end() :]
            stub.sendall(b"+")  # waited for, after its last word, too: that the program has ended
            if stop := _STOP.match(packet[1]):
                yield int(stop[1], 16), int(stop[2] or b"0", 16)


def _relay(stub: socket.socket, listener: socket.socket) -> None:
    """Copy both ways between the stub and the gdb that comes, until it goes."""
    with contextlib.suppress(OSError):
        gdb, _ = listener.accept()
        with gdb:
            ways = {gdb: stub, stub: gdb}
            while True:
                for ready in select.select(list(ways), [], [])[0]:
                    data = ready.recv(_CHUNK)
                    if not data:
                        return
                    ways[ready].sendall(data)


def _interrupt(process: int) -> None:
    """Send SIGQUIT, which each QEMU tells a debugger of, to a thread that runs, or to the first."""
    chosen = process
    with contextlib.suppress(OSError):
        for task in Path(f"/proc/{process}/task").iterdir():
            state = (task / "stat").read_text(encoding="ascii", errors="replace").rpartition(")")[2]
            if state.split()[0] == "R":
                chosen = int(task.name)
    ctypes.CDLL(None).tgkill(process, chosen, int(signal.SIGQUIT))
