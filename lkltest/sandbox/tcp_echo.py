# SPDX-License-Identifier: GPL-2.0-only
"""A TCP echo peer on the host's side of a network, in threads of the runner."""

from __future__ import annotations

import contextlib
import socket
import threading
from collections.abc import Callable
from typing import Self

_CHUNK = 65536


class EchoPeer:
    """Echoes what each connection to `listeners` sends, until it closes its side.

    A context manager. `echoed` counts the bytes sent back; `errors` holds what went wrong, a line
    each. The listeners are closed on exit.
    """

    def __init__(self, *listeners: socket.socket) -> None:
        self.echoed = 0
        self.errors: list[str] = []
        self._listeners = listeners
        self._threads: list[threading.Thread] = []
        self._connections: list[socket.socket] = []
        self._lock = threading.Lock()
        self._closed = False

    def __enter__(self) -> Self:
        for listener in self._listeners:
            self._start(self._accept, listener)
        return self

    def __exit__(self, *_: object) -> None:
        with self._lock:
            self._closed = True
            for end in (*self._listeners, *self._connections):
                # shutdown, not close: it wakes the thread that waits in accept or recv.
                with contextlib.suppress(OSError):
                    end.shutdown(socket.SHUT_RDWR)
        for thread in self._threads:
            thread.join(5.0)
        for end in (*self._listeners, *self._connections):
            end.close()

    def _start(self, function: Callable[[socket.socket], None], end: socket.socket) -> None:
        thread = threading.Thread(target=function, args=(end,), daemon=True)
        self._threads.append(thread)
        thread.start()

    def _accept(self, listener: socket.socket) -> None:
        while True:
            try:
                connection, _ = listener.accept()
            except OSError:
                return
            with self._lock:
                self._connections.append(connection)
                if self._closed:  # meanwhile; nobody would wake its thread
                    return
                self._start(self._echo, connection)

    def _echo(self, connection: socket.socket) -> None:
        try:
            while data := connection.recv(_CHUNK):
                connection.sendall(data)
                with self._lock:
                    self.echoed += len(data)
            connection.shutdown(socket.SHUT_WR)
        except OSError as error:
            with self._lock:
                self.errors.append(f"echo peer: {error.strerror or error}")
