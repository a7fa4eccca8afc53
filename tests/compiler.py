# SPDX-License-Identifier: GPL-2.0-only
"""Compiles the tests' small C programs, each once per content."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[1]
_CACHE = ROOT / "build" / "test-programs"


def compile_program(source: Path, *flags: str, compiler: str = "gcc", suffix: str = "") -> Path:
    """Compile `source` with `flags`; returns the program. Skips the test without a compiler."""
    if shutil.which(compiler) is None:
        pytest.skip(f"{compiler} is missing")
    key = hashlib.sha256(source.read_bytes() + repr((flags, compiler)).encode()).hexdigest()[:16]
    program = _CACHE / f"{source.stem}-{key}{suffix}"
    if not program.exists():
        _CACHE.mkdir(parents=True, exist_ok=True)
        part = program.with_name(f"{program.name}.{os.getpid()}.part")
        command = [compiler, "-O1", "-g", "-Wall", "-o", part, source, *flags]
        subprocess.run(command, check=True, timeout=120)
        part.rename(program)
    return program
