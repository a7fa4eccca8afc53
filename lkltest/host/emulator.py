# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's user mode emulation: programs for other processors, run on this machine."""

from __future__ import annotations

import shutil
from collections.abc import Sequence
from pathlib import Path

from lkltest.errors import LaunchError
from lkltest.host.executable import identify, is_dynamic, machine_is_native

_EMULATED = {
    "aarch64": ("qemu-aarch64", ("aarch64-linux-gnu",)),
    "arm": ("qemu-arm", ("arm-linux-gnueabihf", "arm-linux-gnueabi")),
    "riscv": ("qemu-riscv64", ("riscv64-linux-gnu",)),
    "s390x": ("qemu-s390x", ("s390x-linux-gnu",)),
}
"""The emulator of a processor, and where Debian's cross compilers have its libraries, in /usr."""
_PACKAGE = "apt-get install qemu-user"


def emulator_of(program: Path, libraries: Path = Path("/usr")) -> tuple[str, ...]:
    """The words before a program for another processor; none for this one's.

    Raises LaunchError, one line, when nothing here runs it.
    """
    executable = identify(program)
    if executable.format != "ELF" or machine_is_native(executable.machine):
        return ()
    if executable.machine not in _EMULATED:
        raise LaunchError(f"{program}: is {executable}; nothing here runs that")
    name, folders = _EMULATED[executable.machine]
    found = shutil.which(name) or shutil.which(f"{name}-static")
    if found is None:
        raise LaunchError(f"{program}: is {executable}; {name} is missing: {_PACKAGE}")
    return (found, *(_root(libraries, folders) if is_dynamic(program) else ()))


def _root(libraries: Path, folders: Sequence[str]) -> tuple[str, ...]:
    """The option that names a dynamic program's libraries, where they are known."""
    root = next((libraries / folder for folder in folders if (libraries / folder).is_dir()), None)
    return ("-L", str(root)) if root else ()
