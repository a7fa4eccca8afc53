# SPDX-License-Identifier: GPL-2.0-only
"""A target that is made here: an image that QEMU boots for a session, and that stays as it is.

Its sshd is reached through QEMU's user-mode network, at a port of 127.0.0.1 that QEMU has chosen;
the machine reaches nobody. What it writes is in the session scope's folder and goes with that.
"""

from __future__ import annotations

import contextlib
import json
import os
import socket
import time
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from lkltest.deadline import Deadline
from lkltest.errors import LaunchError, Missing
from lkltest.hosts.qemu.accel import kvm_works, missing_qemu
from lkltest.hosts.qemu.machine import DISK_DRIVERS, NICS, Boot, Setup, command, doubled
from lkltest.hosts.qemu.machine import Machine as Emulated
from lkltest.hosts.qemu.monitor import Monitor, MonitorError
from lkltest.hosts.remote.target import Image
from lkltest.sandbox.scope import Child, Scope
from lkltest.whole_file import write_whole

_MONITOR = 10
_ANSWER_SECONDS = 10.0
_FORMATS = {b"QFI\xfb": "qcow2", b"KDMV": "vmdk", b"vhdxfile": "vhdx"}
"""Beginnings of images; what begins otherwise is raw."""


@dataclass(frozen=True, slots=True)
class Machine:
    """A running machine: where its sshd answers, on 127.0.0.1."""

    port: int

    def save(self, file: Path) -> None:
        """Leave word of it for xdist's workers."""
        write_whole(file, json.dumps({"port": self.port}))

    @classmethod
    def load(cls, file: Path) -> Machine | None:
        """The machine that the controller has booted, if it has."""
        try:
            return cls(int(json.loads(file.read_text(encoding="utf-8"))["port"]))
        except FileNotFoundError:
            return None


def missing(image: Image) -> Missing | None:
    """The reason why the image cannot be booted here."""
    return missing_qemu(image.machine)


@contextlib.contextmanager
def booted(name: str, image: Image) -> Iterator[Machine]:
    """Boot `image`, wait for its sshd, end it afterwards. Raises LaunchError, one line."""
    with Scope(daemons=True) as scope, contextlib.ExitStack() as stack:
        console = scope.folder / "console"
        kind = "kvm" if kvm_works(image.machine, probe=True) else "tcg"
        words = command(_setup(image, kind, console))
        ours, theirs = socket.socketpair()
        log = os.open(scope.folder / "said", os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600)
        stack.callback(os.close, log)
        with theirs:
            child = scope.spawn(
                words,
                # QEMU puts there what the machine writes to its disks.
                env={**os.environ, "TMPDIR": str(scope.folder)},
                stdout=log,
                stderr=log,
                pass_fds={_MONITOR: theirs.fileno()},
            )
        monitor = Monitor(ours)
        stack.callback(monitor.close)
        try:
            monitor.connect(_ANSWER_SECONDS)
            port = _port(monitor.human("info usernet"))
            monitor.execute("cont")
        except MonitorError as error:
            child.wait(1.0)
            said = _lines(scope.folder / "said") or [str(error)]
            raise LaunchError(f"machine {name}: {said[-1]}") from None
        if trouble := _wait_for_sshd(port, Deadline(image.boot_seconds), child, monitor):
            raise LaunchError(f"machine {name}: {trouble}{_said(console)}")
        yield Machine(port)


def _setup(image: Image, accelerator: str, console: Path) -> Setup:
    """Everything that QEMU is told: the disks as they are, each with a layer of its own above."""
    extra = ["-serial", f"file:{console}"]
    disks = [disk for disk in (image.disk, image.seed) if disk is not None]
    for index, disk in enumerate(disks):
        value = f"if=none,id=d{index},snapshot=on,format={_format(disk)}"
        extra += ["-drive", f"{value},file={doubled(str(disk))}"]
        extra += ["-device", f"{DISK_DRIVERS[image.disk_driver]},drive=d{index}"]
    extra += ["-netdev", "user,id=n0,restrict=on,hostfwd=tcp:127.0.0.1:0-:22"]
    extra += ["-device", f"{NICS[image.nic]},netdev=n0", *image.extra]
    boot = Boot(
        str(image.kernel) if image.kernel else "",
        image.append,
        str(image.initrd) if image.initrd else "",
    )
    machine: Emulated = image.machine
    return Setup(machine, boot, accelerator, _MONITOR, (), image.memory, extra=extra)


def _format(disk: Path) -> str:
    try:
        with disk.open("rb") as file:
            start = file.read(8)
    except OSError as error:
        raise LaunchError(f"{disk}: {error.strerror}") from None
    return next((name for magic, name in _FORMATS.items() if start.startswith(magic)), "raw")


def _port(usernet: str) -> int:
    """The port in what QEMU's monitor says: `TCP[HOST_FORWARD] 12 127.0.0.1 40001 10.0.2.15 22`."""
    for line in usernet.splitlines():
        words = line.split()
        if words and words[0] == "TCP[HOST_FORWARD]":
            return int(words[3])
    raise MonitorError("QEMU has no user-mode network")


def _wait_for_sshd(port: int, limit: Deadline, child: Child, monitor: Monitor) -> str:
    """Wait until something there says that it speaks SSH; the reason why it never will, or ""."""
    while not limit.expired:
        if child.poll() is not None:
            return "ended before sshd answered"
        if any(event.name == "GUEST_PANICKED" for event in monitor.events()):
            return "its kernel panicked"
        if _speaks_ssh(port):
            return ""
        time.sleep(0.1)
    return f"no sshd answered within {limit.seconds:g} s"


def _speaks_ssh(port: int) -> bool:
    """Whether a server greets as RFC 4253 has it; QEMU itself takes any connection."""
    try:
        with socket.create_connection(("127.0.0.1", port), timeout=2.0) as link:
            return link.recv(4) == b"SSH-"
    except OSError:
        return False


def _said(console: Path) -> str:
    lines = _lines(console)
    panic = [line for line in lines if "Kernel panic" in line]
    return f"; its console says: {(panic or lines)[-1]}" if lines else ""


def _lines(file: Path) -> list[str]:
    """The last lines of a file that hold anything."""
    try:
        text = file.read_bytes()[-16384:].decode("utf-8", "replace")
    except OSError:
        return []
    return [line.strip() for line in text.splitlines() if line.strip()]
