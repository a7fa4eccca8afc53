# SPDX-License-Identifier: GPL-2.0-only
"""Starting QEMU: sockets made, devices passed in by descriptor, the monitor connected."""

from __future__ import annotations

import contextlib
import os
import socket
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lkltest.disk import Disk
from lkltest.host import Interface, LaunchError
from lkltest.scope import Child, Scope

from .qemu_accel import missing_qemu
from .qemu_image import Image
from .qemu_machine import LINUX_DISKS, Boot, Drive, Machine, Nic, Setup, command
from .qemu_monitor import Monitor, MonitorError
from .qemu_process import Links

MONITOR, CONSOLE, STATUS = 10, 11, 12
_DISKS, _NICS = 20, 40
_CONNECT_SECONDS = 10.0


@dataclass(slots=True)
class Devices:
    """What a launch's arguments come to: words for the guest, devices for QEMU.

    `descriptors` maps numbers in QEMU to ours; `filesystems` are those on the disks; `waited` are
    device files that a Linux guest waits for.
    """

    words: list[str] = field(default_factory=list)
    drives: list[Drive] = field(default_factory=list)
    nics: list[Nic] = field(default_factory=list)
    descriptors: dict[int, int] = field(default_factory=dict)
    filesystems: list[str] = field(default_factory=list)
    waited: list[str] = field(default_factory=list)
    taps: list[int] = field(default_factory=list)

    def close(self) -> None:
        """Close our ends of what was opened for QEMU."""
        while self.taps:
            os.close(self.taps.pop())


def make_devices(
    arguments: Sequence[str | Disk | Interface], image: Image, scope: Scope, pcap: str
) -> Devices:
    """Turn a launch's arguments into devices. Raises LaunchError when a TAP cannot be opened."""
    devices = Devices()
    try:
        for argument in arguments:
            if isinstance(argument, Disk):
                _add_disk(devices, argument, image)
            elif isinstance(argument, Interface):
                _add_nic(devices, argument, image, scope, pcap)
            else:
                devices.words.append(argument)
    except BaseException:
        devices.close()
        raise
    return devices


def _add_disk(devices: Devices, disk: Disk, image: Image) -> None:
    """The image itself, not a copy: the suite checks it afterwards, and it is the run's own."""
    index = len(devices.drives)
    number = _DISKS + index
    serial = f"{image.disk_serial}{index}"
    devices.drives.append(Drive(f"/proc/self/fd/{number}", image.disk, serial))
    devices.descriptors[number] = disk.descriptor
    devices.filesystems.append(disk.filesystem)
    if image.linux is None:
        devices.words.append(serial)
        return
    named = LINUX_DISKS[image.disk]
    letter = str(index) if image.disk == "nvme" else chr(ord("a") + index)
    devices.words.append(named.format(letter))
    devices.waited.append(named.format(letter))


def _add_nic(devices: Devices, interface: Interface, image: Image, scope: Scope, pcap: str) -> None:
    from lkltest.inside import InsideHelper, InsideThread

    index = len(devices.nics)
    enter = InsideHelper if scope.user else InsideThread
    try:
        inside = enter(scope.pid)
        try:
            tap = int(inside.call("open_tap", interface.name))
        finally:
            inside.close()
    except OSError as error:
        raise LaunchError(f"{interface.name}: cannot be opened: {error.strerror}") from None
    devices.taps.append(tap)
    devices.descriptors[_NICS + index] = tap
    devices.nics.append(Nic(_NICS + index, image.nic, pcap))
    devices.words.append(f"eth{index}" if image.linux is not None else interface.name)


def setup_of(image: Image, boot: Boot, devices: Devices, accelerator: str, memory: int) -> Setup:
    """Everything that QEMU is told."""
    consoles = [CONSOLE, STATUS] if image.linux is not None else [CONSOLE]
    return Setup(
        image.machine,
        boot,
        accelerator,
        MONITOR,
        consoles,
        memory or image.memory,
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
        ours: dict[int, socket.socket] = {}
        numbers = dict(descriptors)
        for number in (setup.monitor, *setup.consoles):
            ours[number], their = socket.socketpair()
            undo.callback(ours[number].close)
            theirs.callback(their.close)
            numbers[number] = their.fileno()
        try:
            child = scope.spawn(words, cwd=folder, stdout=said, stderr=said, pass_fds=numbers)
        except FileNotFoundError:
            raise LaunchError(str(missing_qemu(setup.machine))) from None
        except OSError as error:
            raise LaunchError(f"{words[0]}: {error.strerror}") from None
        theirs.close()  # QEMU's ends have to be QEMU's alone: their closing is its end
        undo.callback(child.kill)
        monitor = Monitor(ours[setup.monitor])
        undo.callback(monitor.close)
        try:
            monitor.connect(_CONNECT_SECONDS)
        except MonitorError as error:
            raise LaunchError(_reason(child, setup.machine, _read(said), str(error))) from None
        undo.pop_all()
    status = ours.get(STATUS) if len(setup.consoles) > 1 else None
    said_file = _Said(said)
    return child, Links(monitor, ours[CONSOLE], status, said_file.read), words


class _Said:
    """What QEMU writes to its standard error; the file goes with the last reader."""

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
    """Why QEMU did not come up, in one line."""
    ended = child.wait(0.5) is not None
    missing = missing_qemu(machine) if ended else None
    if missing is not None:
        return str(missing)
    lines = [line for line in said.splitlines() if line.strip()]
    if ended and lines:
        return lines[0]
    return f"{machine.program} ended at once and said nothing" if ended else error
