# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's monitor, QMP, for code that is not asyncio: every call has a limit of time.

qemu.qmp lives in a thread with a loop of its own. It has no time limits, an orderly quit makes it
raise, and its listeners never end by themselves; none of that is seen outside of this file. See
QEMU's QMP reference manual.
"""

from __future__ import annotations

import asyncio
import concurrent.futures
import contextlib
import logging
import os
import socket
import threading
from collections import deque
from collections.abc import Coroutine
from dataclasses import dataclass, field
from typing import Any, TypeVar

from qemu.qmp import EventListener, ExecuteError, QMPClient, QMPError

from lkltest.errors import LkltestError

_T = TypeVar("_T")
_CALL_SECONDS = 5.0


class MonitorError(LkltestError):
    """QEMU did not answer in time, has gone, or refused a command; the text is one line."""


@dataclass(frozen=True, slots=True)
class MonitorEvent:
    """An event of QMP: SHUTDOWN, RESET, GUEST_PANICKED, STOP, ..."""

    name: str
    data: dict[str, Any] = field(default_factory=dict)


class Monitor:
    """The connection to one QEMU over `link`, a connected socket, which it takes over.

    A descriptor for poll(2): `fileno()` is readable when events have come or QEMU has hung up.
    """

    def __init__(self, link: socket.socket) -> None:
        logging.getLogger("qemu.qmp").setLevel(logging.CRITICAL)
        self.closed = threading.Event()
        self._link = link
        self._events: deque[MonitorEvent] = deque()
        self._wake = os.eventfd(0, os.EFD_CLOEXEC | os.EFD_NONBLOCK)
        self._client = QMPClient("lkltest")
        self._stop: asyncio.Event | None = None
        self._loop: asyncio.AbstractEventLoop | None = None
        self._connected: concurrent.futures.Future[None] = concurrent.futures.Future()
        self._thread = threading.Thread(target=self._main, name="lkltest qmp", daemon=True)
        self._thread.start()

    def fileno(self) -> int:
        return self._wake

    def connect(self, seconds: float) -> None:
        """Wait for QEMU's greeting. Raises MonitorError."""
        try:
            self._connected.result(seconds)
        except concurrent.futures.TimeoutError:
            raise MonitorError(f"QEMU did not answer within {seconds:g} s") from None
        except (QMPError, OSError, EOFError) as error:
            raise MonitorError(f"QEMU did not answer: {_text(error)}") from None

    def execute(
        self, name: str, arguments: dict[str, Any] | None = None, seconds: float = _CALL_SECONDS
    ) -> Any:
        """Run a QMP command, return its result. Raises MonitorError."""
        return self._call(self._client.execute(name, arguments), name, seconds)

    def human(self, line: str, seconds: float = _CALL_SECONDS) -> str:
        """Run a command of the human monitor, such as `info registers`. Raises MonitorError."""
        arguments = {"command-line": line}
        return str(self.execute("human-monitor-command", arguments, seconds))

    def events(self) -> list[MonitorEvent]:
        """Return the events that came since the last call."""
        with contextlib.suppress(BlockingIOError):
            os.eventfd_read(self._wake)
        taken = []
        while self._events:
            taken.append(self._events.popleft())
        return taken

    def close(self) -> None:
        """Give up the connection. Safe to call twice."""
        if self._wake < 0:
            return
        if self._loop is not None and self._stop is not None:
            with contextlib.suppress(RuntimeError):  # the loop has ended by itself
                self._loop.call_soon_threadsafe(self._stop.set)
        self._link.close()
        self._thread.join(2.0)
        os.close(self._wake)
        self._wake = -1

    def _call(self, coroutine: Coroutine[Any, Any, _T], name: str, seconds: float) -> _T:
        if self._loop is None or self.closed.is_set():
            coroutine.close()
            raise MonitorError(f"{name}: QEMU has gone")
        future = asyncio.run_coroutine_threadsafe(coroutine, self._loop)
        try:
            return future.result(seconds)
        except concurrent.futures.TimeoutError:
            future.cancel()
            raise MonitorError(f"{name}: QEMU did not answer within {seconds:g} s") from None
        except ExecuteError as error:
            raise MonitorError(f"{name}: {error}") from None
        except (QMPError, OSError, EOFError, concurrent.futures.CancelledError) as error:
            raise MonitorError(f"{name}: QEMU has gone: {_text(error)}") from None

    def _main(self) -> None:
        with contextlib.suppress(Exception):
            asyncio.run(self._serve())
        self.closed.set()
        self._awake()
        if not self._connected.done():
            self._connected.set_exception(OSError("the connection was closed"))

    async def _serve(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._stop = asyncio.Event()
        with self._client.listener() as listener:
            stopped = asyncio.ensure_future(self._stop.wait())
            connecting = asyncio.ensure_future(self._client.connect(self._link))
            await asyncio.wait({connecting, stopped}, return_when=asyncio.FIRST_COMPLETED)
            if not connecting.done():
                connecting.cancel()
                return
            error = connecting.exception()
            if error is not None:
                self._connected.set_exception(error)
                return
            gone = asyncio.ensure_future(self._client.runstate_changed())
            self._connected.set_result(None)
            taking = asyncio.ensure_future(self._take(listener))
            await asyncio.wait({gone, stopped}, return_when=asyncio.FIRST_COMPLETED)
            while not listener.empty():
                self._note(await listener.get())
            taking.cancel()
        self.closed.set()
        with contextlib.suppress(Exception):
            await asyncio.wait_for(self._client.disconnect(), 1.0)

    async def _take(self, listener: EventListener) -> None:
        async for message in listener:
            self._note(message)

    def _note(self, message: Any) -> None:
        self._events.append(MonitorEvent(str(message["event"]), dict(message.get("data", {}))))
        self._awake()

    def _awake(self) -> None:
        if self._wake >= 0:
            with contextlib.suppress(OSError):
                os.eventfd_write(self._wake, 1)


def _text(error: BaseException) -> str:
    return str(error) or type(error).__name__
