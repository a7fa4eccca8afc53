# SPDX-License-Identifier: GPL-2.0-only
"""The cost of the QEMU host over QEMU by hand, and of its console reader over pexpect."""

from __future__ import annotations

import os
import socket
import subprocess
import tempfile
import threading
import time
from collections.abc import Callable
from pathlib import Path

from pexpect import EOF
from pexpect.fdpexpect import fdspawn

from lkltest.host.api import Launch
from lkltest.host.execution import Execution
from lkltest.hosts.qemu.console import GuestConsole
from lkltest.hosts.qemu.host import QemuHost
from lkltest.sandbox.scope import Scope
from tests.bench.measure import Figures, Sample, table
from tests.hosts.l4re.moe_log import Client, MoeLog
from tests.hosts.qemu.fixtures import STREAMS, image, player

ROUNDS = 15
FLOOD_BYTES = 2 << 20
_STREAM = STREAMS / "l4re" / "ned-pass.raw"
_PORTION = 4096


def passing_stream() -> None:
    """A passing boot of L4Re through the whole host, and QEMU alone until its last line."""
    host = QemuHost()
    missing = host.missing()
    if missing is not None:
        print(f"skipped: {missing}")
        return
    with tempfile.TemporaryDirectory() as name:
        folder = Path(name)
        target = image(folder, _STREAM)
        by_hand: list[Sample] = []
        by_host: list[Sample] = []
        for number in range(ROUNDS + 1):
            samples = timed(lambda: run_by_hand(folder)), timed(lambda: run_by_host(host, target))
            if number:
                by_hand.append(samples[0])
                by_host.append(samples[1])
    floor = Figures("QEMU by hand until its last line", tuple(by_hand))
    print(table([floor, Figures("through the host", tuple(by_host))], floor))


def run_by_hand(folder: Path) -> None:
    """The same machine, read until the last line has come, then killed."""
    command = ["qemu-system-x86_64", "-nodefaults", "-no-user-config", "-display", "none"]
    command += ["-M", "q35", "-m", "512", "-accel", "tcg", "-no-reboot", "-device", "pvpanic"]
    command += ["-serial", "stdio", "-kernel", str(player()), "-initrd", "console end=idle"]
    wanted = len(_STREAM.read_bytes())
    with subprocess.Popen(
        command, cwd=folder, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE
    ) as qemu:
        assert qemu.stdout is not None
        qemu.stdout.read(wanted)
        qemu.kill()


def run_by_host(host: QemuHost, target: Path) -> None:
    """One run through the host, scope and verdict included."""
    with Scope() as scope:
        result = Execution(host, host.launch(Launch(target), scope)).run()
    if not result.passed:
        raise RuntimeError(f"the stream failed: {result.problems}")


def console() -> None:
    """The same 2 MB of ned's log through the reader and through pexpect.

    The reader takes streams apart and looks for every signature. pexpect waits for one of a few
    of them, as a script does; and, for less than that, only takes line by line.
    """
    flood = make_flood()
    readers = {
        "pexpect: expect the end": read_with_expect,
        "pexpect: expect each line": read_lines_with_expect,
        "the console reader": read_with_reader,
    }
    found: dict[str, list[Sample]] = {name: [] for name in readers}
    for _ in range(3):
        for name, read in readers.items():
            found[name].append(read_all(flood, read))
    figures = [Figures(name, tuple(samples)) for name, samples in found.items()]
    print(table(figures, figures[0]))
    ratio = figures[2].cpu / figures[0].cpu
    print(f"CPU of the reader over expecting the end: a ratio of {ratio:.2f}")


def make_flood() -> bytes:
    """Two programs that log at once, with colours, for as long as it takes."""
    log = MoeLog()
    clients = [Client(b"lkl", 2), Client(b"lkl2", 6)]
    line = b"[    1.234567] a line of a kernel's log as they are, of the usual length\n"
    while len(log.wire) < FLOOD_BYTES:
        for client in clients:
            log.write(client, b" time_us: ")
            log.write(client, b"12\n" + line)
    return bytes(log.wire).replace(b"\n", b"\r\n")


def read_all(flood: bytes, read: Callable[[socket.socket], None]) -> Sample:
    """Send the flood from a thread; the CPU time is that of the thread that reads."""
    ours, theirs = socket.socketpair()

    def send() -> None:
        with theirs:
            for start in range(0, len(flood), _PORTION):
                theirs.sendall(flood[start : start + _PORTION])

    sender = threading.Thread(target=send)
    started, before = time.monotonic(), time.thread_time()
    sender.start()
    with ours:
        read(ours)
    cpu = time.thread_time() - before
    sender.join()
    return Sample(time.monotonic() - started, cpu, 0)


def read_with_reader(source: socket.socket) -> None:
    guest = GuestConsole()
    while data := source.recv(1 << 16):
        guest.feed(data)
    guest.close()


def read_with_expect(source: socket.socket) -> None:
    terminal = fdspawn(source, timeout=600)
    signs = [b"TAP TEST FINISHED", b"Fatal signal: ", b"Kernel panic", b"jdb: ", EOF]
    terminal.expect(signs)


def read_lines_with_expect(source: socket.socket) -> None:
    terminal = fdspawn(source, timeout=600)
    while terminal.expect([b"\r\n", EOF]) == 0:
        pass


def timed(run: Callable[[], None]) -> Sample:
    """Wall time and the CPU time of this process and all that ended below it."""
    before, started = os.times(), time.monotonic()
    run()
    after = os.times()
    return Sample(time.monotonic() - started, sum(after[:4]) - sum(before[:4]), 0)
