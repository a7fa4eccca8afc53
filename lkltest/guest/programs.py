# SPDX-License-Identifier: GPL-2.0-only
"""Guest programs: the suites' C programs as static executables for a guest's own Linux kernel.

They are compiled when they are first needed: in a checkout into `build/guest`, from an installed
package into the user's cache.
"""

from __future__ import annotations

import hashlib
import os
import platform
import shutil
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lkltest.errors import LaunchError, Missing
from lkltest.host.cache import cache_directory
from lkltest.host.executable import machine_is_native
from lkltest.places import checkout
from lkltest.whole_file import write_whole

if TYPE_CHECKING:
    from lkltest.sandbox.scope import Scope

HERE = platform.machine()
WINDOWS = "windows"
"""The machine of programs for Windows on x86_64."""
INIT = "init"
"""The guest's first program; what it does stands in suites/init.c."""

FEATURES = {
    "LKLTEST_DISK_REMOUNT": "y",
    "LKLTEST_NET_TCP": "y",
    "LKLTEST_NET_IPV6": "y",
}
"""The abilities of guest programs, in the words of a build's autoconf.sh."""

_PACKAGE = Path(__file__).parent.parent
_SOURCES = _PACKAGE / "suites"

FLAGS = tuple((_SOURCES / "cflags").read_text(encoding="ascii").split())
"""The flags of every suite's program, which hosts/setup/*.mk hand to gcc as a file."""
_GUEST_FLAGS = (*FLAGS, "-DLKLTEST_GUEST", "-static")
_SECONDS = 120.0


def missing_compiler(machine: str = HERE) -> Missing | None:
    """The obstacle to compiling programs for `machine`; None when all is there."""
    if shutil.which(_compiler(machine)) is not None:
        return None
    if machine_is_native(machine):
        return Missing("gcc is missing", "apt-get install gcc libc6-dev")
    package = f"gcc-{machine}-linux-gnu".replace("_", "-")
    package = "gcc-mingw-w64-x86-64" if machine == WINDOWS else package
    return Missing(f"{_compiler(machine)} is missing", f"apt-get install {package}")


def guest_programs(machine: str = HERE) -> dict[str, Path]:
    """The path of each guest program, where it will be once `guest_program` was asked for it."""
    names = sorted(path.stem for path in _SOURCES.glob("*/*.c"))
    return {name: _target(name, machine) for name in names}


def guest_program(name: str, machine: str = HERE) -> Path:
    """The executable of guest program `name`, compiled unless it is newer than its sources.

    Raises LaunchError, one line, when it cannot be compiled.
    """
    target = _target(name, machine)
    if not _is_fresh(target, _source_files(name)):
        compile_program(_source(name), target, machine=machine)
    return target


def compiled(
    source: Path,
    flags: Sequence[str] = _GUEST_FLAGS,
    libraries: Sequence[Path] = (),
    machine: str = HERE,
) -> Path:
    """The executable of one C file of somebody's own, from the cache where it was made before.

    Raises LaunchError, one line, when it cannot be compiled.
    """
    try:
        made = [f"{file}:{file.stat().st_mtime_ns}" for file in libraries]
        parts = [source.read_bytes(), *map(os.fsencode, (*flags, *made, machine))]
    except OSError as error:
        raise LaunchError(f"{error.filename}: {error.strerror}") from None
    digest = hashlib.sha256(b"\0".join(parts)).hexdigest()[:16]
    target = _place("programs") / digest / (source.stem + (".exe" if machine == WINDOWS else ""))
    if not _is_fresh(target, sorted(source.parent.glob("*.h"))):
        compile_program(source, target, flags, libraries, machine)
    return target


def compile_program(
    source: Path,
    target: Path,
    flags: Sequence[str] = _GUEST_FLAGS,
    libraries: Sequence[Path] = (),
    machine: str = HERE,
) -> None:
    """Compile one C file; `target` has its name only when it is complete. Raises LaunchError.

    The compiler dies with the runner, and its files with it.
    """
    from lkltest.sandbox.scope import Scope, ScopeError

    missing = missing_compiler(machine)
    if missing is not None:
        raise LaunchError(f"{target.name}: cannot be compiled: {missing}")
    compiler = _compiler(machine)
    try:
        with Scope() as scope:
            part = scope.folder / target.name
            command = [compiler, *flags, f"-I{_SOURCES}", "-o", str(part), str(source.absolute())]
            _run([*command, *map(str, libraries)], target.name, scope)
            write_whole(target, part.read_bytes(), 0o755)
    except ScopeError as error:
        raise LaunchError(f"{target.name}: cannot be compiled: {error}") from None
    except OSError as error:
        raise LaunchError(f"{target}: cannot be written: {error.strerror}") from None


def _run(command: list[str], name: str, scope: Scope) -> None:
    with open(os.memfd_create("compiler", os.MFD_CLOEXEC), "rb") as output:
        child = scope.spawn(
            command,
            env={**os.environ, "LC_ALL": "C", "TMPDIR": str(scope.folder)},
            stdout=output.fileno(),
            stderr=output.fileno(),
        )
        status = child.wait(_SECONDS)
        if status is None:
            raise LaunchError(f"{name}: compiling did not end within {_SECONDS:g} s")
        if status != 0:
            output.seek(0)
            text = output.read().decode("utf-8", "backslashreplace")
            raise LaunchError(f"{name}: cannot be compiled: {_cause(text)}")


def _cause(text: str) -> str:
    """The line of a compiler's output that matters, and what to install if it is that."""
    if "cannot find -lc" in text or "cannot find -lpthread" in text:
        return "the static C library is missing: apt-get install libc6-dev"
    lines = [line for line in text.splitlines() if "error" in line] or text.splitlines()
    if any(f"{header}: No such file" in text for header in ("stdio.h", "errno.h", "elf.h")):
        return f"{lines[0]}: apt-get install libc6-dev"
    return lines[0] if lines else "the compiler failed and said nothing"


def _compiler(machine: str) -> str:
    """The name of a compiler: Debian's cross compiler for what is not this machine's."""
    if machine_is_native(machine):
        return os.environ.get("GUEST_CC") or "gcc"
    return "x86_64-w64-mingw32-gcc" if machine == WINDOWS else f"{machine}-linux-gnu-gcc"


def _source(name: str) -> Path:
    """The file of a program: in a suite's directory; that of /init in the directory above."""
    found = [*_SOURCES.glob(f"{name}.c"), *_SOURCES.glob(f"*/{name}.c")]
    if not found:
        raise LaunchError(f"{name}: no {name}.c among the suites: there is no such guest program")
    return found[0]


def _source_files(name: str) -> list[Path]:
    source = _source(name)
    headers = sorted({*_SOURCES.glob("*.h"), *source.parent.glob("*.h")})
    return [source, *headers, _SOURCES / "cflags"]


def _target(name: str, machine: str) -> Path:
    place = _place("guest") if machine_is_native(machine) else _place("guest") / machine
    if _writable_checkout() is not None:
        return place / name
    digest = hashlib.sha256(b"\0".join(file.read_bytes() for file in _source_files(name)))
    return place / digest.hexdigest()[:16] / name


def _place(kind: str) -> Path:
    """The folder for programs: in a checkout's `build/`, else in the user's cache."""
    ours = _writable_checkout()
    return ours / "build" / kind if ours else cache_directory(kind)


def _writable_checkout() -> Path | None:
    ours = checkout()
    return ours if ours is not None and os.access(ours, os.W_OK) else None


def _is_fresh(target: Path, sources: list[Path]) -> bool:
    try:
        made = target.stat().st_mtime
    except OSError:
        return False
    return all(source.stat().st_mtime <= made for source in sources)
