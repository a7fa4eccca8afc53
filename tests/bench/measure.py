# SPDX-License-Identifier: GPL-2.0-only
"""Times commands side by side: in turns, so that a machine whose speed drifts is fair to all."""

from __future__ import annotations

import os
import statistics
import subprocess
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Sample:
    """One run of a command: wall and CPU time (its children's too) in seconds."""

    wall: float
    cpu: float
    status: int


@dataclass(frozen=True, slots=True)
class Figures:
    """All runs of one command."""

    name: str
    samples: tuple[Sample, ...]

    @property
    def wall(self) -> float:
        return statistics.median(sample.wall for sample in self.samples)

    @property
    def cpu(self) -> float:
        return statistics.median(sample.cpu for sample in self.samples)


def run_once(command: Sequence[str], environment: Mapping[str, str] | None = None) -> Sample:
    """Run `command` with its output thrown away and return what it cost."""
    nothing = subprocess.DEVNULL
    started = time.monotonic()
    before = os.times()
    process = subprocess.run(
        command,
        stdin=nothing,
        stdout=nothing,
        stderr=nothing,
        env=environment,
        check=False,
        timeout=600,
    )
    after = os.times()
    cpu = (after.children_user - before.children_user) + (
        after.children_system - before.children_system
    )
    return Sample(time.monotonic() - started, cpu, process.returncode)


def in_turns(commands: Mapping[str, Sequence[str]], rounds: int) -> list[Figures]:
    """Run the commands A B C A B C ... after one round that is not counted.

    Raises RuntimeError when one of them fails: the time of a failure means nothing.
    """
    samples: dict[str, list[Sample]] = {name: [] for name in commands}
    for number in range(rounds + 1):
        for name, command in commands.items():
            sample = run_once(command)
            if sample.status != 0:
                raise RuntimeError(f"{name}: status {sample.status}: {' '.join(command)}")
            if number > 0:
                samples[name].append(sample)
    return [Figures(name, tuple(found)) for name, found in samples.items()]


def timed(run: Callable[[], object]) -> Sample:
    """The cost of `run`: wall time, and CPU time of this process and its children."""
    started, before = time.monotonic(), os.times()
    run()
    after = os.times()
    return Sample(time.monotonic() - started, sum(after[:4]) - sum(before[:4]), 0)


def calls_in_turns(calls: Mapping[str, Callable[[], object]], rounds: int) -> list[Figures]:
    """As `in_turns`, of functions of this process."""
    samples: dict[str, list[Sample]] = {name: [] for name in calls}
    for number in range(rounds + 1):
        for name, call in calls.items():
            sample = timed(call)
            if number > 0:
                samples[name].append(sample)
    return [Figures(name, tuple(found)) for name, found in samples.items()]


def table(figures: Sequence[Figures], base: Figures) -> str:
    """One line a command: medians, and difference and ratio to `base`."""
    lines = [f"{'':34} {'wall':>8} {'cpu':>8}   over {base.name}: wall, cpu, ratio of wall"]
    for entry in figures:
        lines.append(
            f"{entry.name:34} {entry.wall:7.3f}s {entry.cpu:7.3f}s"
            f"   {entry.wall - base.wall:+7.3f}s {entry.cpu - base.cpu:+7.3f}s"
            f" {entry.wall / base.wall:6.2f}"
        )
    return "\n".join(lines)
