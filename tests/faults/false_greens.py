# SPDX-License-Identifier: GPL-2.0-only
"""Searches for false greens: mutants that lkltest passes and an oracle does not."""
# ruff: noqa: S311  # chance, not secrets

from __future__ import annotations

import random
from collections import Counter
from collections.abc import Callable, Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import dataclass, field
from pathlib import Path

from lkltest.hosts.qemu.console import GuestConsole
from lkltest.tap.parser import Parser
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit
from tests.compiler import ROOT
from tests.faults.legal import why_not
from tests.faults.mutants import interrupted, mutant, truncations, with_failure
from tests.faults.weaker import why_not_ktap, why_not_l4re

SHARED = ROOT.parent / "shared"
"""More streams, where they lie beside the checkout."""
GOLDEN, STREAMS = ROOT / "tests" / "golden", ROOT / "tests" / "streams"


@dataclass
class Tally:
    """The outcome of some mutants. `wrong` holds a few false greens: stream, reason, bytes."""

    mutants: int = 0
    green: int = 0
    strict: int = 0
    false_greens: int = 0
    wrong: list[tuple[str, str, bytes]] = field(default_factory=list)

    def add(self, other: Tally) -> None:
        """Add up."""
        self.mutants += other.mutants
        self.green += other.green
        self.strict += other.strict
        self.false_greens += other.false_greens
        self.wrong = (self.wrong + other.wrong)[:20]


@dataclass(frozen=True)
class Family:
    """Streams of one dialect: how lkltest reads them, and the oracle."""

    name: str
    paths: tuple[Path, ...]
    is_green: Callable[[bytes], bool]
    why_not: Callable[[bytes], str]


def tap_is_green(data: bytes) -> bool:
    """A program's stream, as most hosts read it."""
    return _green(data, Parser())


def ktap_is_green(data: bytes) -> bool:
    """A kernel's log."""
    return _green(data, Parser(printk=True))


def l4re_is_green(data: bytes) -> bool:
    """The console of an L4Re machine."""
    console = GuestConsole()
    stream = console.feed(data) + console.flush() + console.close()
    if console.signatures or console.booted_again:
        return False
    return _green(stream, Parser(), reboot_is_failure=True)


def guest_is_green(data: bytes) -> bool:
    """A program's stream on the console of a machine, which it shares with its kernel."""
    console = GuestConsole(tags=False, whole=True)
    stream = console.feed(data) + console.close()
    return not console.signatures and _green(stream, Parser())


def file_is_green(data: bytes) -> bool:
    """A stream in a file, as tap2junit reads it."""
    recorder, parser = Recorder(is_file=True), Parser(printk=None)
    for event in parser.feed(data) + parser.close():
        recorder.add(event)
    return recorder.finish(Exit(cause="ended")).passed


def families() -> list[Family]:
    """All streams that are there."""

    def paths(*patterns: tuple[Path, str]) -> tuple[Path, ...]:
        found = (path for folder, pattern in patterns for path in sorted(folder.glob(pattern)))
        return tuple(path for path in found if path.is_file())

    peers = SHARED / "tap" / "peers"
    lkl = paths(
        (GOLDEN / "lkl-4.9", "**/*.tap"),
        (GOLDEN / "wine", "*.out"),
        (SHARED / "tap", "lkl-6.1*/*.tap"),
        (SHARED / "console" / "wine", "*.out"),
    )
    ktap = paths(
        (STREAMS / "kunit", "*.log"),
        (peers / "kunit", "*.log"),
        (peers / "kselftest", "*.log"),
        (peers / "ktap", "*.tap"),
    )
    l4re = paths((STREAMS / "l4re", "*.raw"))
    return [
        Family("LKL", lkl, tap_is_green, why_not),
        Family("KTAP", ktap, ktap_is_green, why_not_ktap),
        Family("L4Re", l4re, l4re_is_green, why_not_l4re),
    ]


def search(family: Family, path: Path, seed: str, count: int, *, cut: bool) -> Tally:
    """Judge `count` mutants of one stream, and with `cut` all its truncations besides."""
    chance = random.Random(f"{seed}/{family.name}/{path.parent.name}/{path.name}")
    stream = path.read_bytes()
    others = [other.read_bytes() for other in family.paths]
    tally = Tally()
    for data in _mutants(stream, others, chance, count, cut=cut):
        judge(tally, path.name, data, family.is_green(data), family.why_not(data))
    return tally


CONSOLES = {"LKL, torn": tap_is_green, "LKL, guest": guest_is_green, "LKL, file": file_is_green}
"""The readers of streams that kernel messages cut: most hosts', Linux guests' in QEMU, a file's."""


def search_interrupted(path: Path, seed: str, count: int, console: str) -> Tally:
    """Judge `count` mutants whose lines kernel messages cut: what failed before still fails.

    Three in four have a failure that was put in, and cuts about it.
    """
    is_green = CONSOLES[console]
    chance = random.Random(f"{seed}/interrupted/{path.parent.name}/{path.name}")
    stream = path.read_bytes().replace(b"\r\n", b"\n")
    tally, reason = Tally(), why_not(stream)
    for number in range(count):
        failing, at = with_failure(stream, chance) if number % 4 else (stream, 0)
        planted = failing is not stream
        data = interrupted(failing, chance, at if planted else None)
        judge(tally, path.name, data, is_green(data), "a point failed" if planted else reason)
    return tally


def judge(tally: Tally, name: str, data: bytes, green: bool, reason: str) -> None:
    """Count one mutant, with why it should not be green."""
    tally.mutants += 1
    tally.green += green
    tally.strict += not green and not reason
    if green and reason:
        tally.false_greens += 1
        if len(tally.wrong) < 5:
            tally.wrong.append((name, reason, data))


def campaign(seed: str, each: int, *, cut: bool, jobs: int) -> dict[str, Tally]:
    """Search all families with `each` mutants a stream; returns a tally for each family."""
    tallies: dict[str, Tally] = {}
    with ProcessPoolExecutor(jobs) as pool:
        work = []
        for family in families():
            for path in family.paths:
                done = pool.submit(search, family, path, seed, each, cut=cut)
                work.append((family.name, done))
                if family.name == "LKL":
                    for console in CONSOLES:
                        done = pool.submit(search_interrupted, path, seed, each, console)
                        work.append((console, done))
        for name, done in work:
            tallies.setdefault(name, Tally()).add(done.result())
    return tallies


def lines(tallies: dict[str, Tally]) -> Iterator[str]:
    """The table, and the reasons of what is wrong."""
    yield f"{'streams':16}{'mutants':>10}{'green':>9}{'too strict':>12}{'false green':>13}"
    for name, tally in tallies.items():
        figures = f"{tally.mutants:>10,}{tally.green:>9,}{tally.strict:>12,}"
        yield f"{name:16}{figures}{tally.false_greens:>13,}"
    yield f"{'all':16}{sum(tally.mutants for tally in tallies.values()):>10,}"
    reasons = Counter(
        (name, reason) for tally in tallies.values() for name, reason, _ in tally.wrong
    )
    yield from (f"false green: {name}: {reason}" for name, reason in reasons)


def _mutants(
    stream: bytes, others: list[bytes], chance: random.Random, count: int, *, cut: bool
) -> Iterator[bytes]:
    if cut:
        yield from truncations(stream)
    for _ in range(count):
        yield mutant(stream, chance, others)


def _green(stream: bytes, parser: Parser, *, reboot_is_failure: bool = False) -> bool:
    recorder = Recorder(reboot_is_failure=reboot_is_failure)
    for event in parser.feed(stream) + parser.close():
        recorder.add(event)
    return recorder.finish(Exit(0)).passed
