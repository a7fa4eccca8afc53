# SPDX-License-Identifier: GPL-2.0-only
"""Faults: the pseudo-terminal between a program and the runner is closed, from either side."""

from __future__ import annotations

import fcntl
import os
import time
from pathlib import Path

from tests.faults.arena import FAILED, PASSED, Arena, TooLate, wait_for
from tests.faults.signals import VICTIMS
from tests.faults.surroundings import ROOT

TIOCVHANGUP = 0x5437  # ioctl_tty(2); as vhangup(2), for a terminal that is not our own

CLOSER = r"""
import os, threading, time

def is_ours(path):
    try:
        return os.readlink(path) in ("/dev/ptmx", "/dev/pts/ptmx")
    except OSError:
        return False

def close():
    if b"-m\0lkltest\0" not in open("/proc/self/cmdline", "rb").read():
        return
    while True:
        for name in os.listdir("/proc/self/fd"):
            if is_ours("/proc/self/fd/" + name):
                time.sleep(float(os.environ["CLOSE_AFTER"]))
                if is_ours("/proc/self/fd/" + name):
                    os.close(int(name))
                    open(os.environ["CLOSED"], "w").close()
                return
        time.sleep(0.001)

threading.Thread(target=close, daemon=True).start()
"""
"""A `sitecustomize` module whose process loses its end of the first terminal that it opens."""


def hung_up(arena: Arena) -> None:
    """Somebody hangs up the terminal of a program: both ends are dead, and SIGHUP is sent."""
    victim = next(iter(VICTIMS[arena.host].values()))
    seconds = arena.seconds()
    run = arena.start(*arena.suites)
    wait_for(lambda: arena.find(*victim) or run.process.poll() is not None)
    time.sleep(seconds * 0.3 * arena.chance.random() ** 3)
    done = [pid for pid in arena.find(*victim) if _hang_up(pid)]
    arena.finish(run, {PASSED, FAILED})
    if not done:
        raise TooLate


def closed(arena: Arena) -> None:
    """The runner's own end is closed under it."""
    folder = arena.folder / "closer"
    folder.mkdir(exist_ok=True)
    folder.joinpath("sitecustomize.py").write_text(CLOSER, encoding="utf-8")
    flag = folder / "closed"
    flag.unlink(missing_ok=True)
    seconds = arena.seconds() * 0.3 * arena.chance.random() ** 3
    settings = {"PYTHONPATH": f"{folder}:{ROOT}", "CLOSE_AFTER": str(seconds), "CLOSED": str(flag)}
    run = arena.start(*arena.suites, settings=settings)
    arena.finish(run, {PASSED, FAILED})
    if not flag.exists():
        raise TooLate


def _hang_up(pid: int) -> bool:
    """Whether the process was there and had a terminal."""
    path = Path(f"/proc/{pid}/fd/1")
    try:
        if not os.readlink(path).startswith("/dev/pts/"):  # noqa: PTH115
            return False
        terminal = os.open(path, os.O_RDWR | os.O_NOCTTY)
    except OSError:
        return False
    try:
        fcntl.ioctl(terminal, TIOCVHANGUP)
    finally:
        os.close(terminal)
    return True
