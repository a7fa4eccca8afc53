# SPDX-License-Identifier: GPL-2.0-only
"""The TAP parser against others, on generated streams in LKL's dialect.

Also alone: `python -m tests.bench.tap`. Each reading is a process of its own, so that the peaks of
memory are the parsers' own; the parsers take turns, so that a busy machine is busy for all.
"""

from __future__ import annotations

import json
import os
import shutil
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

from tests.bench.tap_contender import CONTENDERS

ROOT = Path(__file__).resolve().parents[2]
TAP_JUNIT = "tap-junit@5.0.4"
ROUNDS = 3


@dataclass(frozen=True, slots=True)
class Stream:
    """A kind of stream: what each of its points looks like, and the ratio to tap.py to reach."""

    name: str
    points: int
    point: Callable[[int], str]
    goal: float | None = None


def _result(number: int) -> str:
    return f"ok {number} test point {number}\n"


def _announced(number: int) -> str:
    return f"* {number} test point {number}\nok {number} test point {number}\n"


def _timed(number: int) -> str:
    return _announced(number) + f" ---\n time_us: {number % 9999}\n log: |\n ...\n"


_LOG = "".join(
    f"  [    0.{n:06}] lkl: line {n} of a kernel log of usual length\n" for n in range(20)
)


def _logged(number: int) -> str:
    return _announced(number) + f" ---\n time_us: {number % 9999}\n log: |\n{_LOG} ...\n"


STREAMS = (
    Stream("1,000,000 results", 1_000_000, _result, 2),
    Stream("1,000,000 points, announced, no logs", 1_000_000, _announced, 2),
    Stream("1,000,000 points with times and empty logs", 1_000_000, _timed),
    Stream("100,000 points with 20 log lines each", 100_000, _logged, 6),
)


def _generate(stream: Stream, file: Path) -> None:
    with file.open("w") as out:
        out.write(f"1..{stream.points} # bench\n")
        out.writelines(stream.point(number) for number in range(1, stream.points + 1))


def parsers() -> None:
    """The parser against tap.py and against line-by-line regexes."""
    with tempfile.TemporaryDirectory() as directory:
        for stream in STREAMS:
            file = Path(directory) / "stream.tap"
            _generate(stream, file)
            print(f"{stream.name} ({file.stat().st_size / 1e6:.0f} MB)")
            samples: dict[str, list[dict[str, float]]] = {name: [] for name in CONTENDERS}
            for _ in range(ROUNDS):
                for name in CONTENDERS:
                    samples[name].append(_read_with(name, file, stream.points))
            _print_parsers(stream, samples)


def _read_with(name: str, file: Path, points: int) -> dict[str, float]:
    command = [sys.executable, "-m", "tests.bench.tap_contender", name, str(file)]
    output = subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout
    sample: dict[str, float] = json.loads(output)
    if sample["points"] != points:
        raise RuntimeError(f"{name} found {sample['points']} of {points} points")
    return sample


def _print_parsers(stream: Stream, samples: dict[str, list[dict[str, float]]]) -> None:
    cpu = {
        name: statistics.median(sample["cpu"] for sample in found)
        for name, found in samples.items()
    }
    for name, found in samples.items():
        peak = max(sample["peak"] for sample in found) / 1024
        before = max(sample["before"] for sample in found) / 1024
        ratio = cpu[name] / cpu["lkltest"]
        goal = f" (goal {stream.goal:.0f})" if stream.goal and name == "tap.py" else ""
        print(
            f"  {name:22} {stream.points / cpu[name]:11,.0f} points/s   {cpu[name]:6.2f} s CPU = "
            f"{ratio:5.2f} x lkltest{goal}   peak {peak:.1f} MiB, {peak - before:.1f} over start"
        )


def to_junit() -> None:
    """`lkltest tap2junit` against node's tap-junit, at two lengths: is memory constant?"""
    other = _tap_junit()
    if isinstance(other, str):
        print(f"skipped: {other}")
        return
    commands = {
        "lkltest tap2junit": [sys.executable, "-m", "lkltest", "tap2junit", "-"],
        "tap-junit": [str(other)],
    }
    with tempfile.TemporaryDirectory() as directory:
        file = Path(directory) / "stream.tap"
        for kind, goal in ((_announced, 3), (_logged, 3)):
            for points in (25_000, 100_000):
                _generate(Stream("", points, kind), file)
                shown = kind.__name__.strip("_")
                print(f"{points:,} points, {shown} ({file.stat().st_size / 1e6:.0f} MB)")
                _print_converters(commands, file, goal)


def _print_converters(commands: dict[str, list[str]], file: Path, goal: float) -> None:
    samples: dict[str, list[tuple[float, float, float]]] = {name: [] for name in commands}
    for _ in range(ROUNDS):
        for name, command in commands.items():
            samples[name].append(_converted(command, file))
    first = statistics.median(sample[0] for sample in samples["lkltest tap2junit"])
    for name, found in samples.items():
        cpu, wall = (statistics.median(column) for column in list(zip(*found, strict=True))[:2])
        peak = max(sample[2] for sample in found)
        note = f" (goal {goal:.0f})" if name == "tap-junit" else ""
        print(
            f"  {name:22} {cpu:6.2f} s CPU, {wall:6.2f} s wall = {cpu / first:5.2f} x lkltest{note}"
            f"   peak {peak:.1f} MiB"
        )


def _converted(command: Sequence[str], file: Path) -> tuple[float, float, float]:
    """CPU seconds, wall seconds, peak MiB of the command reading the file."""
    started = time.monotonic()
    with file.open("rb") as stdin:
        process = subprocess.Popen(command, cwd=ROOT, stdin=stdin, stdout=subprocess.DEVNULL)
        _, status, usage = os.wait4(process.pid, 0)
    process.returncode = os.waitstatus_to_exitcode(status)
    if process.returncode != 0:
        raise RuntimeError(f"{' '.join(command)}: status {process.returncode}")
    wall = time.monotonic() - started
    return usage.ru_utime + usage.ru_stime, wall, usage.ru_maxrss / 1024


def _tap_junit() -> Path | str:
    """node's tap-junit, installed under build/, or why there is none."""
    program = ROOT / "build" / "bench" / "node_modules" / ".bin" / "tap-junit"
    if program.exists():
        return program
    npm = shutil.which("npm")
    if npm is None:
        return "npm is not installed (Debian package npm)"
    program.parents[2].mkdir(parents=True, exist_ok=True)
    command = [npm, "install", "--no-audit", "--no-fund", "--ignore-scripts"]
    command += ["--prefix", str(program.parents[2]), TAP_JUNIT]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if not program.exists():
        return f"npm could not install {TAP_JUNIT}: {_last_line(done.stderr)}"
    return program


def _last_line(text: str) -> str:
    lines: Iterator[str] = (line for line in reversed(text.splitlines()) if line.strip())
    return next(lines, "no message")


if __name__ == "__main__":
    parsers()
    to_junit()
