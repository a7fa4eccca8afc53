# SPDX-License-Identifier: GPL-2.0-only
"""The means of the Wine host's tests: a cache of their own, programs, skips with a reason."""

from __future__ import annotations

import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

import pytest

from lkltest.errors import Missing
from lkltest.hosts.wine.tools import find_tools
from tests.compiler import ROOT, compile_program

CACHE = ROOT / "build" / "test-cache"
"""XDG_CACHE_HOME of these tests: the prefix in it takes 15 s, so it stays."""
SOURCES = ROOT / "tests" / "programs" / "windows"
_FLAGS = ("-static", "-g")


def require_wine() -> None:
    """Skip, naming the package, where Wine is missing."""
    tools = find_tools()
    if isinstance(tools, Missing):
        pytest.skip(str(tools))


def windows_program(source: Path) -> Path:
    """Compile a C or C++ file for Windows; skips without the compiler."""
    compiler = "x86_64-w64-mingw32-g++" if source.suffix == ".cpp" else "x86_64-w64-mingw32-gcc"
    return compile_program(source, *_FLAGS, compiler=compiler, suffix=".exe")


def misbehave() -> Path:
    """The program that misbehaves in the way its first argument names."""
    return windows_program(SOURCES / "misbehave.c")


def command(*words: str | Path) -> list[str]:
    """An lkltest command line."""
    return [sys.executable, "-m", "lkltest", *map(str, words)]


def environment(**changes: str) -> dict[str, str]:
    """The environment of lkltest commands under test."""
    kept = {name: value for name, value in os.environ.items() if not name.startswith("WINE")}
    return {**kept, "XDG_CACHE_HOME": str(CACHE), **changes}


def lkltest(
    *words: str | Path, changes: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run an lkltest command to its end."""
    return subprocess.run(
        command(*words),
        env=environment(**(changes or {})),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=300,
        check=False,
    )
