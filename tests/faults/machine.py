# SPDX-License-Identifier: GPL-2.0-only
"""Does harm to runs on every host that is there, and prints what was survived."""

from __future__ import annotations

import contextlib
import functools
import random
import signal
import tempfile
import time
from collections.abc import Callable, Iterator
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from pathlib import Path

from lkltest.errors import BuildError
from lkltest.host.registry import make_host
from tests.faults import nights, plugins, programs, signals, surroundings, terminals
from tests.faults.arena import Arena, NotSurvived, TooLate

HOSTS = ("native", "qemu", "wine", "uml")
RUNNER = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP)
VICTIM = (signal.SIGKILL, signal.SIGTERM, signal.SIGINT, signal.SIGHUP, signal.SIGSTOP)
GUARD = (signal.SIGKILL, signal.SIGTERM, signal.SIGSTOP)


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
            for number in GUARD if victim == "guard" else VICTIM:
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
        yield Fault(f"host raises: {place}", act, ("native",), often=False)


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


def campaign(
    seed: str, times: int, only: str = "", hosts: list[str] | None = None, jobs: int = 1
) -> bool:
    """Do all the harm, `jobs` hosts at once; print the table. Returns whether all was survived."""
    print(f"{'fault':34}{'host':8}{'tried':>6}{'survived':>9}{'s':>6}", flush=True)
    with contextlib.ExitStack() as stack:
        arenas = []
        for host in present():
            if not hosts or host in hosts:
                folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="lkltest-faults-"))
                chance = random.Random(f"{seed}/{host}")  # noqa: S311
                arenas.append(Arena(host, Path(folder), chance))
        # First runs fill the cache, which the census of another arena would find.
        settled = [_settle(arena) for arena in arenas]
        ready = [arena for arena, good in zip(arenas, settled, strict=True) if good]
        pool = stack.enter_context(ThreadPoolExecutor(jobs))
        counts = list(pool.map(lambda arena: _attack(arena, times, only), ready))
    total = sum(tried for tried, _ in counts) + settled.count(False)
    survived = sum(good for _, good in counts)
    print(f"{'all':42}{total:>6}{survived:>9}", flush=True)
    return survived == total


def _settle(arena: Arena) -> bool:
    try:
        arena.settle()
    except NotSurvived as error:
        print(f"{'no harm at all':34}{arena.host:8}{1:>6}{0:>9}\n    {error}", flush=True)
        return False
    return True


def _attack(arena: Arena, times: int, only: str) -> tuple[int, int]:
    """All that can be done to one host: (tried, survived)."""
    total = survived = 0
    for fault in faults():
        if arena.host in fault.hosts and only in fault.name:
            tried, good = try_fault(arena, fault, times if fault.often else 1)
            if not tried:
                print("    it always came too late, so nothing is known", flush=True)
            total, survived = total + max(tried, 1), survived + good
    return total, survived


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
    row = f"{fault.name:34}{arena.host:8}{tried:>6}{good:>9}{seconds:>6.0f}"
    print("\n    ".join((row, *dict.fromkeys(reasons))), flush=True)
    return tried, good
