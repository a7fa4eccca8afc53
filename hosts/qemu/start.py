# SPDX-License-Identifier: GPL-2.0-only
"""Starting QEMU: its serial lines made, its monitor passed in and connected."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping
from pathlib import Path

from lkltest.errors import LaunchError
from lkltest.sandbox.scope import Child, Scope

from .devices import Devices
from .image import Image
from .machine import Boot, Machine, Setup, command
from .monitor import Monitor, MonitorError
from .process import Links
from .serial import SerialLine

MONITOR = 10
"""Number of the monitor's socket in QEMU."""
CONSOLE, STATUS = "console", "status"
_CONNECT_SECONDS = 10.0


def setup_of(image: Image, boot: Boot, devices: Devices, accelerator: str) -> Setup:
    """Everything that QEMU is told."""
    consoles = [CONSOLE, STATUS] if image.linux is not None else [CONSOLE]
    return Setup(
        image.machine,
        boot,
        accelerator,
        MONITOR,
        consoles,
        image.memory,
        image.cpu,
        devices.drives,
        devices.nics,
        image.debug_exit,
        image.display,
        image.extra,
    )


def start(
    scope: Scope, setup: Setup, folder: Path, descriptors: Mapping[int, int]
) -> tuple[Child, Links, list[str]]:
    """Start QEMU in `scope`, stopped, its monitor connected. Raises LaunchError, one line."""
    words = command(setup)
    said = os.memfd_create("qemu-stderr", os.MFD_CLOEXEC)
    with contextlib.ExitStack() as undo, contextlib.ExitStack() as theirs:
        undo.callback(os.close, said)
        ours, their = socket.socketpair()
        undo.callback(ours.close)
        theirs.callback(their.close)
        numbers = {**descriptors, setup.monitor: their.fileno()}
        try:
            lines: dict[str, SerialLine] = {}
            for name in setup.consoles:
                lines[name] = SerialLine(folder, name)
                undo.callback(lines[name].close)
            child = scope.spawn(words, cwd=folder, stdout=said, stderr=said, pass_fds=numbers)
        except OSError as error:
            raise LaunchError(f"{words[0]}: {error.strerror}") from None
        theirs.close()  # QEMU's end has to be QEMU's alone: its closing is QEMU's end
        undo.callback(child.kill)
        monitor = Monitor(ours)
        undo.callback(monitor.close)
        try:
            monitor.connect(_CONNECT_SECONDS)
        except MonitorError as error:
            raise LaunchError(_reason(child, setup.machine, _read(said), str(error))) from None
        undo.pop_all()
    said_file = _Said(said)
    return child, Links(monitor, lines[CONSOLE], lines.get(STATUS), said_file.read), words


class _Said:
    """QEMU's standard error as a file, which goes with its last reader."""

    def __init__(self, descriptor: int) -> None:
        self._descriptor = descriptor

    def read(self) -> str:
        return _read(self._descriptor)

    def __del__(self) -> None:
        with contextlib.suppress(OSError):
            os.close(self._descriptor)


def _read(descriptor: int) -> str:
    size = min(os.fstat(descriptor).st_size, 1 << 16)
    return os.pread(descriptor, size, 0).decode("utf-8", "backslashreplace")


def _reason(child: Child, machine: Machine, said: str, error: str) -> str:
    """The reason why QEMU did not come up, in one line."""
    ended = child.wait(0.5) is not None
    lines = [line for line in said.splitlines() if line.strip()]
    if ended and lines:
        return lines[0]
    return f"{machine.program} ended at once and said nothing" if ended else error
