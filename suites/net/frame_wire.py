# SPDX-License-Identifier: GPL-2.0-only
"""The wire between two programs whose network devices are FIFOs: one frame at a time.

A FIFO keeps no boundaries. Of two frames that are written before the other kernel has read the
first, it reads one long one, and the second is lost: an echo behind one of IPv6's announcements, on
a busy machine. A frame is therefore handed on when the one before it has been read.
"""

from __future__ import annotations

import fcntl
import os
import select
import threading
from collections import deque
from pathlib import Path
from types import TracebackType
from typing import Self

_VNET_HEADER = 12  # virtio's, before each frame
_ETHERNET_HEADER = 14
_IPV4, _ARP, _IPV6 = 0x0800, 0x0806, 0x86DD
_ARP_BYTES, _IPV6_HEADER = 28, 40
_PAGE = 4096  # the smallest FIFO: it can be written to when it is empty


class FrameWire:
    """Joins the two ends, a context manager: what is written to `a_out` is read from `b_in`."""

    def __init__(self, a_out: Path, b_in: Path, b_out: Path, a_in: Path) -> None:
        self._ways = (_Way(a_out, b_in), _Way(b_out, a_in))
        self._stopped, self._stop = os.pipe()
        self._thread = threading.Thread(target=self._carry, name="frame wire", daemon=True)

    def __enter__(self) -> Self:
        self._thread.start()
        return self

    def __exit__(
        self,
        kind: type[BaseException] | None,
        error: BaseException | None,
        traceback: TracebackType | None,
    ) -> None:
        os.close(self._stop)
        self._thread.join()
        os.close(self._stopped)
        for way in self._ways:
            way.close()

    def _carry(self) -> None:
        while True:
            poller = select.poll()
            poller.register(self._stopped, select.POLLIN)
            for way in self._ways:
                way.register(poller)
            ready = {descriptor for descriptor, _ in poller.poll()}
            if self._stopped in ready:
                return
            for way in self._ways:
                way.carry(ready)


class _Way:
    def __init__(self, source: Path, sink: Path) -> None:
        # For both directions, so that opening waits for nobody.
        self._source = os.open(source, os.O_RDWR | os.O_NONBLOCK)
        self._sink = os.open(sink, os.O_RDWR | os.O_NONBLOCK)
        fcntl.fcntl(self._sink, fcntl.F_SETPIPE_SZ, _PAGE)
        self._frames: deque[bytes] = deque()

    def register(self, poller: select.poll) -> None:
        if self._frames:
            poller.register(self._sink, select.POLLOUT)
        else:
            poller.register(self._source, select.POLLIN)

    def carry(self, ready: set[int]) -> None:
        if self._source in ready:
            self._frames.extend(frames(os.read(self._source, 1 << 16)))
        elif self._sink in ready:
            os.write(self._sink, self._frames.popleft())

    def close(self) -> None:
        os.close(self._source)
        os.close(self._sink)


def frames(data: bytes) -> list[bytes]:
    """The frames that were written one after the other. Pure.

    What follows one of a kind whose length is not known counts as part of it.
    """
    found = []
    while data:
        size = _size(data)
        found.append(data[:size])
        data = data[size:]
    return found


def _size(data: bytes) -> int:
    packet = data[_VNET_HEADER + _ETHERNET_HEADER :]
    kind = int.from_bytes(data[_VNET_HEADER + 12 : _VNET_HEADER + 14])
    if kind == _ARP:
        length = _ARP_BYTES
    elif kind == _IPV4:
        length = int.from_bytes(packet[2:4])
    elif kind == _IPV6:
        length = _IPV6_HEADER + int.from_bytes(packet[4:6])
    else:
        return len(data)
    return _VNET_HEADER + _ETHERNET_HEADER + length
