# SPDX-License-Identifier: GPL-2.0-only
"""Guest programs: the suites' C programs as static executables for a guest's own Linux kernel.

They are compiled when they are first needed: in a checkout into `build/guest`, where `make guest`
puts them too, from an installed package into the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import tempfile
from collections.abc import Sequence
from pathlib import Path

from lkltest.build import PROGRAMS
from lkltest.host import LaunchError, Missing
from lkltest.initramfs import cache_directory

INIT = "init"
"""The guest's first program; what it does stands in suites/init.c."""

FLAGS = (
    *("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-g", "-Wall", "-Wextra", "-Wno-unused-parameter"),
    *("-pthread", "-DLKLTEST_GUEST", "-static"),
)
FEATURES = {
    "LKLTEST_DISK_REMOUNT": "y",
    "LKLTEST_NET_TCP": "y",
    "LKLTEST_NET_IPV6": "y",
}
"""What the guest programs can do, in the words of a build's autoconf.sh."""

_PACKAGE = Path(__file__).parent
_SOURCES = _PACKAGE / "suites"
_SECONDS = 120.0


def missing_compiler() -> Missing | None:
    """What is missing to compile guest programs; None when all is there."""
    if _compiler() is None:
        return Missing("gcc is missing", "apt-get install gcc libc6-dev")
    return None


def guest_programs() -> dict[str, Path]:
    """Where each guest program is, or will be once `guest_program` was asked for it."""
    return {name: _target(name) for name in PROGRAMS}


def guest_program(name: str) -> Path:
    """The executable of guest program `name`, compiled unless it is newer than its sources.

    Raises LaunchError, one line, when it cannot be compiled.
    """
    target = _target(name)
    if not _is_fresh(target, _source_files(name)):
        compile_program(_source(name), target)
    return target


def compile_program(source: Path, target: Path, flags: Sequence[str] = FLAGS) -> None:
    """Compile one C file; `target` has its name only when it is complete. Raises LaunchError."""
    compiler = _compiler()
    if compiler is None:
        raise LaunchError(f"{target.name}: cannot be compiled: {missing_compiler()}")
    try:
        target.parent.mkdir(parents=True, exist_ok=True)
        with tempfile.TemporaryDirectory(prefix=f".{target.name}.", dir=target.parent) as directory:
            part = Path(directory) / target.name
            _run([compiler, *flags, f"-I{_SOURCES}", "-o", str(part), str(source)], target.name)
            part.replace(target)
    except OSError as error:
        raise LaunchError(f"{target}: cannot be written: {error.strerror}") from None


def _run(command: list[str], name: str) -> None:
    try:
        done = subprocess.run(
            command,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            timeout=_SECONDS,
            check=False,
            env={**os.environ, "LC_ALL": "C"},
        )
    except subprocess.TimeoutExpired:
        raise LaunchError(f"{name}: compiling did not end within {_SECONDS:g} s") from None
    if done.returncode:
        text = done.stdout.decode("utf-8", "backslashreplace")
        raise LaunchError(f"{name}: cannot be compiled: {_cause(text)}")


def _cause(text: str) -> str:
    """The line of a compiler's output that matters, and what to install if it is that."""
    if "cannot find -lc" in text or "cannot find -lpthread" in text:
        return "the static C library is missing: apt-get install libc6-dev"
    lines = [line for line in text.splitlines() if "error" in line] or text.splitlines()
    if any(f"{header}: No such file" in text for header in ("stdio.h", "errno.h", "elf.h")):
        return f"{lines[0]}: apt-get install libc6-dev"
    return lines[0] if lines else "the compiler failed and said nothing"


def _compiler() -> str | None:
    return shutil.which(os.environ.get("GUEST_CC") or "gcc")


def _source(name: str) -> Path:
    """Every program has its own file in a suite's directory, /init in the directory above."""
    found = [*_SOURCES.glob(f"{name}.c"), *_SOURCES.glob(f"*/{name}.c")]
    if not found:
        raise LaunchError(f"{name}: no {name}.c among the suites: there is no such guest program")
    return found[0]


def _source_files(name: str) -> list[Path]:
    return [_source(name), *sorted(_SOURCES.glob("*.h"))]


def _target(name: str) -> Path:
    checkout = _PACKAGE.resolve().parent
    if (checkout / "pyproject.toml").exists() and os.access(checkout, os.W_OK):
        return checkout / "build" / "guest" / name
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in _source_files(name)))
    return cache_directory("guest") / digest.hexdigest()[:16] / name


def _is_fresh(target: Path, sources: list[Path]) -> bool:
    try:
        made = target.stat().st_mtime
    except OSError:
        return False
    return all(source.stat().st_mtime <= made for source in sources)
