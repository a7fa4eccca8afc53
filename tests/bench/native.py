# SPDX-License-Identifier: GPL-2.0-only
"""The cost of lkltest over the programs it runs, and over pytest itself."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from xml.etree import ElementTree

from lkltest.deadline import Deadlines
from lkltest.host.api import Launch
from lkltest.host.execution import Execution
from lkltest.hosts.native import NativeHost
from lkltest.sandbox.scope import Scope
from tests.bench.measure import calls_in_turns, in_turns, run_once, table
from tests.compiler import ROOT, compile_program

ROUNDS = 15
_BIN = Path(sys.executable).parent


def boot() -> None:
    """`lkltest run boot` against the program alone and pytest on an empty test."""
    with tempfile.TemporaryDirectory() as directory:
        empty = Path(directory) / "test_empty.py"
        empty.write_text("def test_empty():\n    pass\n")
        program, floor, runner = in_turns(
            {
                "the boot program alone": [str(ROOT / "build/tests/boot")],
                "pytest on an empty test": [
                    # Its own floor: no plugin but its own, ours least of all.
                    *(str(_BIN / "pytest"), "-q", "--disable-plugin-autoload"),
                    *("-p", "no:cacheprovider"),
                    *("-c", "/dev/null", "--rootdir", directory, str(empty)),
                ],
                "lkltest run boot": [str(_BIN / "lkltest"), "run", "boot"],
            },
            ROUNDS,
        )
    print(table([program, floor, runner], floor))
    beyond = runner.cpu - floor.cpu - program.cpu
    print(f"CPU of lkltest run boot over pytest's floor and the program: {beyond:+.3f} s")


def suite() -> None:
    """A boot suite in a process that runs, through the host, against the program alone."""
    program = ROOT / "build/tests/boot"
    host = NativeHost()

    def by_host() -> None:
        with Scope() as scope:
            result = Execution(host, host.launch(Launch(program), scope)).run()
        if not result.passed:
            raise RuntimeError(f"boot failed: {result.problems}")

    floor, runner = calls_in_turns(
        {
            "the boot program alone": lambda: run_once([str(program)]),
            "boot through the host": by_host,
        },
        ROUNDS,
    )
    print(table([floor, runner], floor))
    print(f"wall time over the program: {runner.wall - floor.wall:+.3f} s (at most 0.15)")


def crash() -> None:
    """The time until the stacks of a crash and of a hang are there (at most 3 s)."""
    program = compile_program(ROOT / "tests/programs/dying.c", "-pthread")
    host = NativeHost()
    for how, silence in (("deep", 60.0), ("hang", 1.0)):
        launch = Launch(program, (how,), {}, Deadlines(60, silence, 60, 60))

        def to_report(launch: Launch = launch) -> None:
            with Scope() as scope:
                result = Execution(host, host.launch(launch, scope)).run()
            if not any("dying.c:" in problem.detail for problem in result.problems):
                raise RuntimeError(f"no stacks: {result.problems}")

        (found,) = calls_in_turns({how: to_report}, 5)
        waited = silence if how == "hang" else 0.0
        print(
            f"{how} to report {found.wall - waited:.2f} s wall, {found.cpu:.2f} s CPU, run included"
        )


def everything() -> None:
    """The whole of `make run-tests` against the sum of the programs' own times."""
    for jobs in (1, 2):
        overheads = []
        for _ in range(5):
            with tempfile.TemporaryDirectory() as junit:
                command = ["make", "-C", str(ROOT), "-s", f"JOBS={jobs}", f"JUNIT={junit}"]
                sample = run_once([*command, "run-tests"])
                if sample.status != 0:
                    raise RuntimeError(f"make run-tests failed with {sample.status}")
                programs = sum(program_seconds(file) for file in Path(junit).glob("*.xml"))
            overheads.append((sample.wall - programs / jobs, sample.wall, programs))
        over, wall, programs = sorted(overheads)[len(overheads) // 2]
        print(
            f"make run-tests JOBS={jobs}: {wall:.2f} s wall, programs' own times {programs:.2f} s: "
            f"{over:+.2f} s over {'them' if jobs == 1 else 'half of them'} "
            f"(ratio {wall / (programs / jobs):.2f})"
        )


def program_seconds(junit_file: Path) -> float:
    """The time of a suite's main programs, from the JUnit property of that name."""
    for entry in ElementTree.parse(junit_file).iter("property"):
        if entry.get("name") == "program seconds":
            return float(entry.get("value", "0"))
    raise RuntimeError(f"{junit_file} has no property 'program seconds'")
