# SPDX-License-Identifier: GPL-2.0-only
"""The cost of lkltest over a UML kernel run by hand."""

from __future__ import annotations

import os
import shutil
import statistics
import sys
import tempfile
import time
from pathlib import Path

from lkltest.deadline import Deadlines
from lkltest.host.api import Launch
from lkltest.host.execution import Execution
from lkltest.hosts.uml.host import MEMORY, Guest, UmlHost, kernel_of, options
from lkltest.hosts.uml.xstate import preload
from lkltest.sandbox.scope import Scope
from tests.bench.measure import in_turns, table
from tests.compiler import ROOT, compile_program

ROUNDS = 5
_BIN = Path(sys.executable).parent


def boot() -> None:
    """`lkltest run boot --host uml` against `linux.uml` by hand with the same initramfs."""
    if shutil.which("linux.uml") is None:
        print("not run: linux.uml is missing: apt-get install user-mode-linux")
        return
    host = UmlHost()
    build = host.open_build(None)
    kernel = kernel_of(build)
    with tempfile.TemporaryDirectory() as directory:
        folder = Path(directory)
        program = host.program(build, "boot")
        guest = Guest.of(Launch(program, deadlines=Deadlines(), build=build), kernel)
        initrd = folder / "initrd"
        guest.linux.write_initrd(initrd)
        # /init reports to standard error here; by hand there is nobody who would listen.
        words = [
            word.replace("ssl0=null,fd:9", "ssl0=null,fd:2")
            for word in options(initrd, folder, MEMORY)
        ]
        settings = [f"{name}={value}" for name, value in preload(kernel).items()]
        by_hand, runner = in_turns(
            {
                "linux.uml by hand": [
                    *("env", f"TMPDIR={folder}", *settings, str(kernel.path), *words)
                ],
                "lkltest run boot --host uml": [
                    *(str(_BIN / "lkltest"), "run", "boot", "--host", "uml")
                ],
            },
            ROUNDS,
        )
    print(table([by_hand, runner], by_hand))
    over = runner.wall - by_hand.wall
    print(f"wall time of lkltest over the kernel by hand: {over:+.3f} s (at most 0.25)")


def kunit() -> None:
    """The kunit suite against the kernel's own `kunit.py exec`, on one kernel."""
    build, tool = (os.environ.get(name, "") for name in ("KUNIT_KERNEL", "KUNIT_PY"))
    if not (build and tool):
        print("not run: name a UML build with KUnit by KUNIT_KERNEL=DIR, kunit.py by KUNIT_PY=FILE")
        return
    tree = Path(tool).resolve().parents[3]  # kunit.py wants to be started there
    by_kunit_py, runner = in_turns(
        {
            "kunit.py exec": [
                *("env", "-C", str(tree), sys.executable, tool, "exec", f"--build_dir={build}")
            ],
            "lkltest run kunit": [
                *(str(_BIN / "lkltest"), "run", "kunit", "--host", "uml", "--build", build)
            ],
        },
        ROUNDS,
    )
    print(table([by_kunit_py, runner], by_kunit_py))


def crash() -> None:
    """The time until the stacks of a guest that hangs are there (at most 3 s)."""
    if shutil.which("linux.uml") is None:
        print("not run: linux.uml is missing: apt-get install user-mode-linux")
        return
    program = compile_program(ROOT / "tests/programs/guest_hang.c", "-static")
    host = UmlHost()

    def run(how: str) -> float:
        launch = Launch(program, (how,), {}, Deadlines(60, 2, 60, 60))
        with Scope() as scope:
            started = time.monotonic()
            result = Execution(host, host.launch(launch, scope)).run()
        if not any("Call Trace" in problem.detail for problem in result.problems):
            raise RuntimeError(f"no stacks: {result.problems}")
        return time.monotonic() - started

    seconds = statistics.median(run("asleep") for _ in range(ROUNDS))
    print(f"a hang to report {seconds - 2:.2f} s, its boot included")
