# SPDX-License-Identifier: GPL-2.0-only
"""A machine for the set-up: lkltest as it is installed, programs of the test's own in PATH."""

from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Sequence
from dataclasses import dataclass, field
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]
SECONDS = 60.0
PARTS = ("__init__.py", "errors.py", "places.py", "signals.py", "deadline.py", "text.py", "setup",
         "toml_reader.py")  # fmt: skip
TOOLS = ("sh", "make", "sleep", "touch", "cat", "cp", "rm", "mkdir", "mv", "env", "head", "tar",
         "gzip", "cksum", "cut", "rmdir", "kill", "seq", "true", "false")  # fmt: skip


@dataclass
class Machine:
    """A machine of the test's own: `programs` is all of its PATH, `cache` the user's cache."""

    folder: Path
    environment: dict[str, str] = field(default_factory=dict)
    around: Sequence[str] = ()
    """The words that every command is run under, such as unshare(1)."""

    @property
    def programs(self) -> Path:
        return self.folder / "bin"

    @property
    def cache(self) -> Path:
        return self.folder / "cache"

    @property
    def place(self) -> Path:
        """The folder in which builds are made."""
        return self.cache / "lkltest" / "build"

    @property
    def calls(self) -> list[str]:
        """The calls of the fake programs, a line a call."""
        log = self.folder / "calls"
        return log.read_text(encoding="utf-8").splitlines() if log.exists() else []

    def program(self, name: str, script: str = "") -> None:
        """Put a program into PATH: a shell script that notes how it was called."""
        path = self.programs / name
        path.unlink(missing_ok=True)
        path.write_text(
            f'#!/bin/sh\necho "{name} $*" >>{self.folder}/calls\n{script}\n', encoding="utf-8"
        )
        path.chmod(0o755)

    def tool(self, name: str) -> None:
        """Put a program of the real machine into PATH."""
        found = shutil.which(name)
        if found is None:
            pytest.skip(f"{name} is missing here")
        (self.programs / name).symlink_to(found)

    def recipe(self, text: str, makefile: str = "") -> str:
        """Write a recipe and its makefile; returns its name for the command line."""
        (self.folder / "own.toml").write_text(text, encoding="utf-8")
        (self.folder / "own.mk").write_text(makefile, encoding="utf-8")
        return str(self.folder / "own.toml")

    def start(self, *words: str, **settings: str) -> subprocess.Popen[str]:
        environment = {
            "PATH": str(self.programs),
            "XDG_CACHE_HOME": str(self.cache),
            "PYTHONPATH": str(self.folder / "site"),
            "PYTHONDONTWRITEBYTECODE": "1",
            **self.environment,
            **settings,
        }
        return subprocess.Popen(
            [*_found(self.around), python(), "-m", "lkltest.setup", *words],
            env=environment,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.PIPE,
            text=True,
            start_new_session=True,
        )

    def run(self, *words: str, **settings: str) -> subprocess.CompletedProcess[str]:
        """Run the set-up to its end; it never shows a traceback."""
        with self.start(*words, **settings) as process:
            try:
                stdout, stderr = process.communicate(timeout=SECONDS)
            except BaseException:
                os.killpg(process.pid, signal.SIGKILL)
                raise
        assert "Traceback" not in stdout + stderr, stderr
        return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def _found(words: Sequence[str]) -> list[str]:
    """A command of the real machine, its program by its path."""
    return [shutil.which(words[0]) or words[0], *words[1:]] if words else []


def python() -> str:
    """This Python itself: a virtual environment's finds itself by PATH."""
    return str(getattr(sys, "_base_executable", sys.executable))


def second() -> float:
    """A second of a machine that has nothing else to do, as long as it takes here."""
    return max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))


def wait_until(found: Path, seconds: float = 20.0) -> None:
    limit = time.monotonic() + seconds
    while not found.exists():
        assert time.monotonic() < limit, f"{found} has not come"
        time.sleep(0.01)


@pytest.fixture
def machine(tmp_path: Path) -> Machine:
    """A machine with lkltest, make and a shell, where all packages are to be had."""
    made = Machine(tmp_path)
    made.programs.mkdir()
    package = tmp_path / "site" / "lkltest"
    package.mkdir(parents=True)
    for name in PARTS:
        source = ROOT / "lkltest" / name
        copy = shutil.copytree if source.is_dir() else shutil.copy
        copy(source, package / name)
    shutil.copytree(ROOT / "hosts" / "setup", package / "hosts" / "setup")
    shutil.copytree(ROOT / "suites", package / "suites")
    for name in TOOLS:
        made.tool(name)
    made.program("apt-get")
    if os.geteuid() != 0:  # there the set-up is to find itself root
        made.around = ["unshare", "--user", "--map-root-user"]
    return made
