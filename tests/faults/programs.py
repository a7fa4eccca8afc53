# SPDX-License-Identifier: GPL-2.0-only
"""Faults: programs that do not behave, and a host that raises."""

from __future__ import annotations

import sys
from pathlib import Path

from tests.compiler import compile_program
from tests.fake_build import fake_build
from tests.faults.arena import FAILED, PASSED, Arena, NotSurvived

RAISER = """
import pytest
from lkltest.host import Host, register


class Raiser(Host):
    name = "raiser"

    def __getattribute__(self, name):
        if name.startswith("__") or name == "name":
            return object.__getattribute__(self, name)
        raise RuntimeError(f"no {name} today")

    def missing(self): ...
    def launch(self, launch, scope): ...
    def suits(self, build): ...


register(Raiser)
"""

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
    arena.reference.clear()
    run = arena.start(*words)
    text = run.output
    arena.finish(run, {status})
    if problem not in "".join(text):
        raise NotSurvived(f"{problem!r} is not named: {''.join(text)[-400:]}")
    arena.reference.clear()


def torrent(arena: Arena, mode: str) -> None:
    """A program writes more than anybody wants to read."""
    build = arena.folder / f"build-{mode}" / "tests"
    build.mkdir(parents=True, exist_ok=True)
    program = build / "boot"
    program.unlink(missing_ok=True)
    source = Path(__file__).with_name("torrent.c")
    program.hardlink_to(compile_program(source, f"-DMODE={mode}"))
    allowed = FAILED if mode == "endless" else PASSED  # a cut line is damage
    arena.reference.clear()
    words = ("boot", f"--build={build.parent}", "--timeout=1800")
    run = arena.start(*words, verbose=False)
    arena.finish(run, {allowed})
    arena.reference.clear()


def raising_host(arena: Arena) -> None:
    """A host plugin raises in whatever it is asked; the other host's suites run."""
    import subprocess

    folder = arena.folder / "plugin"
    folder.mkdir(exist_ok=True)
    (folder / "conftest.py").write_text(RAISER, encoding="utf-8")
    (folder / "test_one.py").write_text("def test_boot(lkl):\n    lkl.run('boot')\n", "utf-8")
    command = [sys.executable, "-m", "pytest", "-p", "no:cacheprovider", str(folder)]
    done = subprocess.run(
        [*command, "--lkl-host=raiser", "-c", "/dev/null", "--rootdir", str(folder)],
        capture_output=True,
        text=True,
        timeout=120,
        check=False,
        cwd=folder,
    )
    text = done.stdout + done.stderr
    # A host that cannot even be made is one that this machine does not have: a skip that says so.
    if (done.returncode == PASSED and "1 skipped" not in text) or "INTERNALERROR" in text:
        raise NotSurvived(f"status {done.returncode}: {text[-500:]}")
    if "today" not in text:
        raise NotSurvived(f"nobody says what the host raised: {text[-500:]}")
