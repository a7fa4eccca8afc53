# SPDX-License-Identifier: GPL-2.0-only
"""Does harm to runs on every host that is there, and prints what was survived."""

from __future__ import annotations

import functools
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path

from lkltest.build import BuildError
from lkltest.host import make_host
from tests.faults import nights, plugins, programs, signals, surroundings, terminals
from tests.faults.arena import Arena, NotSurvived, TooLate

HOSTS = ("native", "uml", "wine", "qemu")
RUNNER = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP)
VICTIM = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP)


@dataclass(frozen=True)
class Fault:
    """Harm that can be done on some hosts."""

    name: str
    act: Callable[[Arena], None]
    hosts: tuple[str, ...] = HOSTS
    often: bool = True
    """Whether it depends on the moment, so that trying again is worth it."""


def faults() -> Iterator[Fault]:
    """All of them."""
    for number in RUNNER:
        act = functools.partial(signals.signal_to_runner, number=number)
        yield Fault(f"runner {number.name}", act)
        yield Fault(f"runner {number.name}, -j 2", functools.partial(act, jobs=2))
    for host, victims in signals.VICTIMS.items():
        for victim in victims:
            for number in VICTIM:
                act = functools.partial(signals.signal_to_victim, victim=victim, number=number)
                yield Fault(f"{victim} {number.name}", act, (host,))
    yield Fault("xdist worker SIGKILL", signals.worker_dies)
    for act in (
        surroundings.full_tmpdir,
        surroundings.full_junit,
        surroundings.few_descriptors,
        surroundings.little_memory,
        nights.full_history,
        nights.full_night,
        surroundings.no_namespaces,
        surroundings.no_user_namespaces,
        surroundings.no_kvm,
        surroundings.read_only_home,
        surroundings.empty_read_only_home,
        surroundings.clock_jumps,
        surroundings.inside_namespaces,
        surroundings.two_at_once,
    ):
        yield Fault(act.__name__.replace("_", " "), act)
    yield Fault("terminal hung up", terminals.hung_up, ("native",))
    yield Fault("terminal closed", terminals.closed, ("native",))
    yield Fault("no tun", surroundings.no_tun, ("native", "uml", "qemu"), often=False)
    for mode in programs.MODES:
        act = functools.partial(programs.misbehaving, mode=mode)
        yield Fault(f"program: {mode}", act, ("native",), often=False)
    for mode in ("gigabyte", "endless", "points"):
        act = functools.partial(programs.torrent, mode=mode)
        yield Fault(f"program: {mode}", act, ("native",), often=False)
    for place in plugins.PLACES:
        act = functools.partial(plugins.raising_host, place=place)
        yield Fault(f"host raises: {place}", act, ("native",))


def present() -> list[str]:
    """The hosts that can run here."""
    found = []
    for name in HOSTS:
        host = make_host(name, {})
        try:
            if host.missing() is None:
                host.open_build(None)
                found.append(name)
        except BuildError:
            continue
    return found


def campaign(seed: str, times: int, only: str = "", hosts: list[str] | None = None) -> bool:
    """Do all the harm, print the table. Returns whether everything was survived."""
    print(f"{'fault':34}{'host':8}{'tried':>6}{'survived':>9}{'s':>6}", flush=True)
    total = survived = 0
    for host in present():
        if hosts and host not in hosts:
            continue
        with tempfile.TemporaryDirectory(prefix="lkltest-faults-") as name:
            arena = Arena(host, Path(name), random.Random(f"{seed}/{host}"))  # noqa: S311
            try:
                arena.settle()
            except NotSurvived as error:
                print(f"{'no harm at all':34}{host:8}{1:>6}{0:>9}\n    {error}", flush=True)
                total += 1
                continue
            for fault in faults():
                if host in fault.hosts and only in fault.name:
                    tried, good = try_fault(arena, fault, times if fault.often else 1)
                    total, survived = total + tried, survived + good
    print(f"{'all':40}{total:>6}{survived:>9}", flush=True)
    return survived == total


def try_fault(arena: Arena, fault: Fault, times: int) -> tuple[int, int]:
    """Try one fault some times on one host; prints a line of the table."""
    started = time.monotonic()
    good = 0
    reasons = []
    tried = attempts = 0
    while tried < times and attempts < 5 * times:
        attempts += 1
        try:
            fault.act(arena)
            arena.aftermath()
            tried += 1
            good += 1
        except TooLate:
            continue
        except (NotSurvived, OSError) as error:
            tried += 1
            reasons.append(str(error))
    seconds = time.monotonic() - started
    print(f"{fault.name:34}{arena.host:8}{tried:>6}{good:>9}{seconds:>6.0f}", flush=True)
    for reason in dict.fromkeys(reasons):
        print(f"    {reason}", flush=True)
    return tried, good
