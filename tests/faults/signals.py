# SPDX-License-Identifier: GPL-2.0-only
"""Faults: signals to the runner and to whatever it has started, at random moments."""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import time
from collections.abc import Sequence
from pathlib import Path

from tests.faults.arena import (
    FAILED,
    INTERRUPTED,
    PASSED,
    USED_WRONGLY,
    Arena,
    Run,
    TooLate,
    wait_for,
)

STOPPED_SECONDS = 5.0
VICTIMS = {
    "native": {"program": ("/tests/boot", "/tests/disk"), "guard": ("lkltest.sandbox.guard",)},
    "uml": {"kernel": ("linux.uml",), "guard": ("lkltest.sandbox.guard",)},
    "wine": {
        "program": ("tests/boot.exe",),
        "wineserver": ("wineserver",),
        "guard": ("lkltest.sandbox.guard",),
    },
    "qemu": {"qemu": ("qemu-system",), "guard": ("lkltest.sandbox.guard",)},
}


def signal_to_runner(arena: Arena, number: signal.Signals, *, jobs: int = 1) -> None:
    """The runner is signalled: in turn while it starts, anywhere, and as it writes reports."""
    words = (*arena.suites, "net[loopback]", f"-j{jobs}") if jobs > 1 else tuple(arena.suites)
    seconds = arena.seconds(*words)
    run = arena.start(*words)
    _wait_for_part(arena, run, next(arena.parts), seconds)
    shown = list(run.shown)
    with contextlib.suppress(ProcessLookupError):
        if number == signal.SIGSTOP:
            stop([run.process.pid], STOPPED_SECONDS)
        else:
            run.process.send_signal(number)
    if number == signal.SIGSTOP:
        allowed = {PASSED}
    elif number == signal.SIGKILL:
        allowed = {-number, PASSED}
    else:  # before the plugin is there, a signal has its default effect
        allowed = {-number, INTERRUPTED, PASSED}
    arena.finish(run, allowed, shown, jobs=jobs if number == signal.SIGKILL else 0)


def _wait_for_part(arena: Arena, run: Run, part: str, seconds: float) -> None:
    """Wait for a random moment of a part of a run which takes so many seconds."""
    if part == "set-up":
        time.sleep(arena.chance.uniform(0.02, seconds * 0.5))
    elif part == "run":
        time.sleep(arena.chance.uniform(0.02, seconds * 1.05))
    else:
        wanted = arena.chance.randrange(1, 2 * len(arena.suites) + 1)

        def written() -> bool:
            files = [*run.junit.glob("*"), *run.json.glob("*")]
            return len(files) >= wanted or run.process.poll() is not None

        wait_for(written, every=0.0005)
        time.sleep(arena.chance.uniform(0, 0.01))


def signal_to_victim(arena: Arena, victim: str, number: signal.Signals) -> None:
    """A process of the run is signalled, from its first moment on."""
    words = VICTIMS[arena.host][victim]
    seconds = arena.seconds()
    run = arena.start(*arena.suites)
    wait_for(lambda: arena.find(*words) or run.process.poll() is not None)
    time.sleep(seconds * 0.3 * arena.chance.random() ** 3)  # most of them live for moments
    found = arena.find(*words)
    if number == signal.SIGSTOP:
        struck = stop(found, STOPPED_SECONDS)
        allowed = {PASSED}
    elif (arena.host, victim, number) == ("native", "program", signal.SIGKILL):
        # Who can be stopped has not exited yet: no end but this signal, and no green, is left.
        struck = stop(found, 0.0, go_on=False)
        allowed = {FAILED} if struck else {PASSED, FAILED}
        send(struck, number)
    else:
        struck = send(found, number)
        # The session's own guard or server may not even have been there for a suite.
        allowed = {PASSED, FAILED} if run.shown else {PASSED, FAILED, USED_WRONGLY}
    arena.finish(run, allowed)
    if not struck:
        raise TooLate


def worker_dies(arena: Arena) -> None:
    """One of two xdist workers is killed: what the other did is kept, and nothing is green."""
    # Where it is known how long these suites take, no worker is started: they would not pay.
    nothing_known = {"XDG_CACHE_HOME": str(arena.report_folders()[0].with_name("cache"))}
    shutil.rmtree(nothing_known["XDG_CACHE_HOME"], ignore_errors=True)
    run = arena.start(*arena.suites, "net[loopback]", "-j2", settings=nothing_known)
    wanted = arena.chance.randrange(20)
    wait_for(lambda: len(run.shown) > wanted or run.process.poll() is not None)
    workers = [pid for pid in arena.find("exec(eval(sys.stdin") if pid != run.process.pid]
    struck = send(workers[:1], signal.SIGKILL)
    arena.finish(run, {PASSED, FAILED})
    if not struck:
        raise TooLate


def stop(pids: Sequence[int], seconds: float, *, go_on: bool = True) -> list[int]:
    """Stop processes and let them go on after some seconds; returns those that were stopped."""
    sent = send(pids, signal.SIGSTOP)
    struck = [pid for pid in sent if wait_for(lambda pid=pid: _state(pid) in "TtZ", 1.0)]
    struck = [pid for pid in struck if _state(pid) in ("T", "t")]
    time.sleep(seconds if struck else 0)
    if go_on:
        send(sent, signal.SIGCONT)
    return struck


def send(pids: Sequence[int], number: signal.Signals) -> list[int]:
    """Send a signal; returns the processes that were there to get it."""
    found = []
    for pid in pids:
        with contextlib.suppress(ProcessLookupError):
            descriptor = os.pidfd_open(pid)
            try:
                signal.pidfd_send_signal(descriptor, number)
                found.append(pid)
            finally:
                os.close(descriptor)
    return found


def _state(pid: int) -> str:
    """As proc(5) has it; Z for who is gone."""
    try:
        return Path(f"/proc/{pid}/stat").read_text("utf-8").rpartition(")")[2].split()[0]
    except (OSError, IndexError):
        return "Z"
