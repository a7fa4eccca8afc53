# SPDX-License-Identifier: GPL-2.0-only
"""Faults: programs that do not behave, and a host that raises."""

from __future__ import annotations

from pathlib import Path

from tests.compiler import compile_program
from tests.fake_build import fake_build
from tests.faults.arena import FAILED, PASSED, Arena, NotSurvived

# mode of the contract program: (status, the problem that must be named)
MODES = {
    "daemon": (PASSED, ""),
    "daemon-with-console": (PASSED, ""),
    "close-stdout": (FAILED, "plan not met"),
    "deaf": (FAILED, "stall"),
    "garbage": (PASSED, ""),
    "late-segfault": (FAILED, "signal"),
}


def misbehaving(arena: Arena, mode: str) -> None:
    """A program does what it should not."""
    build = fake_build(arena.folder / f"build-{mode}", boot=mode)
    status, problem = MODES[mode]
    words = ("boot", f"--build={build}", "--timeout=6")
    run = arena.start(*words)
    arena.finish(run, {status}, reference={})
    text = "".join(run.output)
    if problem not in text:
        raise NotSurvived(f"{problem!r} is not named: {text[-400:]}")


def torrent(arena: Arena, mode: str) -> None:
    """A program writes more than anybody wants to read."""
    build = arena.folder / f"build-{mode}" / "tests"
    build.mkdir(parents=True, exist_ok=True)
    program = build / "boot"
    program.unlink(missing_ok=True)
    source = Path(__file__).with_name("torrent.c")
    program.hardlink_to(compile_program(source, f"-DMODE={mode}"))
    allowed = FAILED if mode == "endless" else PASSED  # a cut line is damage
    words = ("boot", f"--build={build.parent}", "--timeout=1800")
    run = arena.start(*words, verbose=False)
    arena.finish(run, {allowed}, reference={})
