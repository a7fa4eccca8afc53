# SPDX-License-Identifier: GPL-2.0-only
"""What lkltest costs over a UML kernel run by hand."""

from __future__ import annotations

import shutil
import sys
import tempfile
from pathlib import Path

from lkltest.deadline import Deadlines
from lkltest.host.api import Launch
from lkltest.hosts.uml.host import MEMORY, Guest, UmlHost, kernel_of, options
from lkltest.hosts.uml.xstate import preload
from tests.bench.measure import in_turns, table

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
    print(f"wall time of lkltest over the kernel by hand: {over:+.3f} s (at most 0.4)")
