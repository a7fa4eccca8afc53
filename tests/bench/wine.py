# SPDX-License-Identifier: GPL-2.0-only
"""The cost of the Wine host over `wine boot.exe` by hand, and the gain of runs side by side."""

from __future__ import annotations

import statistics
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import contextmanager
from pathlib import Path

from lkltest.deadline import Deadlines
from lkltest.errors import Missing
from lkltest.host.api import Launch
from lkltest.host.execution import Execution
from lkltest.hosts.wine.host import WineHost
from lkltest.hosts.wine.prefix import copy, name_socket_folder
from lkltest.hosts.wine.tools import WineTools, find_tools, program_environment
from lkltest.sandbox.scope import Scope
from tests.bench.measure import calls_in_turns, table
from tests.compiler import ROOT, compile_program

ROUNDS = 15
AT_ONCE = 8
CRASHES = 5
PROGRAM = ROOT / "build/windows-kernel/tests/boot.exe"


def boot() -> None:
    """A warm run through the host against Wine by hand, each with a persistent server."""
    tools = find_tools()
    if isinstance(tools, Missing) or not PROGRAM.exists():
        print(f"skipped: {tools if isinstance(tools, Missing) else f'{PROGRAM} is missing'}")
        return
    host = WineHost()
    with host.session(), server_by_hand(tools, host.properties()["prefix"]) as environment:
        floor, runner = calls_in_turns(
            {
                "wine boot.exe by hand": lambda: run_by_hand(tools, environment),
                "boot through the host": lambda: run_by_host(host),
            },
            ROUNDS,
        )
        print(table([floor, runner], floor))
        side_by_side(host)
        crash_to_report(host)


def crash_to_report(host: WineHost) -> None:
    """The cost of a crash and a hang until their stacks are there, with symbols and lines."""
    for mode, silence in (("panic", 60.0), ("spin", 1.0)):
        launch = Launch(crashing(), (mode,), {}, Deadlines(60, silence, 60, 60))
        seconds = []
        for _ in range(CRASHES):
            started = time.monotonic()
            with Scope(join=host.namespace_pid()) as scope:
                result = Execution(host, host.launch(launch, scope)).run()
            seconds.append(time.monotonic() - started - (silence if mode == "spin" else 0))
            if not any("Thread 0x" in problem.detail for problem in result.problems):
                raise RuntimeError(f"no stacks: {result.problems}")
        print(f"{mode} to report {statistics.median(seconds):.2f} s, its run included")


def crashing() -> Path:
    """The program that panics and spins."""
    source = ROOT / "tests/programs/windows/test.c"
    return compile_program(source, "-static", compiler="x86_64-w64-mingw32-gcc", suffix=".exe")


def side_by_side(host: WineHost) -> None:
    """Eight runs at once in one prefix against eight in a row."""
    started = time.monotonic()
    for _ in range(AT_ONCE):
        run_by_host(host)
    row = time.monotonic() - started
    with ThreadPoolExecutor(AT_ONCE) as pool:
        started = time.monotonic()
        for run in [pool.submit(run_by_host, host) for _ in range(AT_ONCE)]:
            run.result()
        once = time.monotonic() - started
    print(f"{AT_ONCE} in a row {row:.2f} s, at once {once:.2f} s: ratio {once / row:.2f}")


def run_by_host(host: WineHost) -> None:
    """One run of boot.exe through the host, scope and verdict included."""
    with Scope(join=host.namespace_pid()) as scope:
        result = Execution(host, host.launch(Launch(PROGRAM), scope)).run()
    if not result.passed:
        raise RuntimeError(f"boot.exe failed: {result.problems}")


def run_by_hand(tools: WineTools, environment: Mapping[str, str]) -> None:
    """One run of boot.exe as a person would do it."""
    subprocess.run(
        [tools.wine, PROGRAM],
        env=environment,
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        check=True,
    )


@contextmanager
def server_by_hand(tools: WineTools, described: str) -> Iterator[Mapping[str, str]]:
    """A persistent server on a copy of the prefix; yields the environment for its programs."""
    with tempfile.TemporaryDirectory() as folder:
        prefix = copy(Path(described.partition(" (")[0]), Path(folder, "prefix"))
        name_socket_folder(prefix, Path(folder, "wine"))
        environment = program_environment(tools, prefix)
        server = subprocess.Popen(
            [tools.server, "--foreground", "--persistent"],
            env=environment,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            yield environment
        finally:
            subprocess.run([tools.server, "-k"], env=environment, check=False)
            server.wait(20)
