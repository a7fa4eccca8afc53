# SPDX-License-Identifier: GPL-2.0-only
"""Faults: signals to the runner and to whatever it has started, at random moments."""

from __future__ import annotations

import contextlib
import os
import signal
import time

from tests.faults.arena import FAILED, INTERRUPTED, PASSED, Arena, TooLate, stopped, wait_for

STOPPED_SECONDS = 5.0
VICTIMS = {
    "native": {"program": ("tests/boot",), "guard": ("lkltest.guard",)},
    "uml": {"kernel": ("linux.uml",), "guard": ("lkltest.guard",)},
    "wine": {"program": ("tests/boot.exe",), "wineserver": ("wineserver",)},
    "qemu": {"qemu": ("qemu-system",), "guard": ("lkltest.guard",)},
}


def signal_to_runner(arena: Arena, number: signal.Signals, *, jobs: int = 1) -> None:
    """The runner is signalled, from its start-up into the writing of its reports."""
    words = (*arena.suites, "net[loopback]", f"-j{jobs}") if jobs > 1 else tuple(arena.suites)
    run = arena.start(*words)
    time.sleep(arena.chance.uniform(0.02, arena.seconds * 1.05))
    shown = list(run.shown)
    with contextlib.suppress(ProcessLookupError):
        if number == signal.SIGSTOP:
            stopped(run.process.pid, STOPPED_SECONDS)
        else:
            run.process.send_signal(number)
    if number == signal.SIGSTOP:
        allowed = {PASSED}
    elif number == signal.SIGKILL:
        allowed = {-number, PASSED}
    else:  # before the plugin is there, a signal has its default effect
        allowed = {-number, INTERRUPTED, PASSED}
    arena.finish(run, allowed, shown)


def signal_to_victim(arena: Arena, victim: str, number: signal.Signals) -> None:
    """A process of the run is signalled, from its first moment on."""
    words = VICTIMS[arena.host][victim]
    run = arena.start(*arena.suites)
    wait_for(lambda: arena.find(*words) or run.process.poll() is not None)
    time.sleep(arena.chance.uniform(0, arena.seconds * 0.3))
    found = arena.find(*words)
    for pid in found:
        with contextlib.suppress(ProcessLookupError):
            if number == signal.SIGSTOP:
                stopped(pid, STOPPED_SECONDS)
            else:
                _send(pid, number)
    arena.finish(run, {PASSED, FAILED})
    if not found:
        raise TooLate


def worker_dies(arena: Arena) -> None:
    """One of two xdist workers is killed: what the other did is kept, and nothing is green."""
    run = arena.start(*arena.suites, "net[loopback]", "-j2")
    wait_for(
        lambda: len(run.shown) > arena.chance.randrange(1, 20) or run.process.poll() is not None
    )
    workers = [pid for pid in arena.find("exec(eval(sys.stdin") if pid != run.process.pid]
    for pid in workers[:1]:
        with contextlib.suppress(ProcessLookupError):
            _send(pid, signal.SIGKILL)
    arena.finish(run, {PASSED, FAILED})
    if not workers:
        raise TooLate


def _send(pid: int, number: signal.Signals) -> None:
    descriptor = os.pidfd_open(pid)
    try:
        signal.pidfd_send_signal(descriptor, number)
    finally:
        os.close(descriptor)
