# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's user mode emulation: programs for other processors, run on this machine."""

from __future__ import annotations

import os
import shutil
from pathlib import Path

from lkltest.errors import LaunchError
from lkltest.host.executable import identify, is_dynamic, loader_of, machine_is_native

_EMULATED = {
    "aarch64": ("qemu-aarch64", "libc6-arm64-cross", ("aarch64-linux-gnu",)),
    "arm": ("qemu-arm", "libc6-armhf-cross", ("arm-linux-gnueabihf", "arm-linux-gnueabi")),
    "riscv": ("qemu-riscv64", "libc6-riscv64-cross", ("riscv64-linux-gnu",)),
    "s390x": ("qemu-s390x", "libc6-s390x-cross", ("s390x-linux-gnu",)),
}
"""The emulator of a processor, and Debian's package of libraries for it with their places in /usr.
"""
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
    name, package, folders = _EMULATED[executable.machine]
    found = shutil.which(name) or shutil.which(f"{name}-static")
    if found is None:
        raise LaunchError(f"{program}: is {executable}; {name} is missing: {_PACKAGE}")
    if not is_dynamic(program) or os.environ.get("QEMU_LD_PREFIX"):  # QEMU's own word for them
        return (found,)
    root = next((libraries / folder for folder in folders if (libraries / folder).is_dir()), None)
    if root is None and not Path(loader_of(program)).is_file():
        how = f"apt-get install {package}, or name their place in QEMU_LD_PREFIX"
        raise LaunchError(f"{program}: is {executable}; its libraries are missing: {how}")
    return (found, "-L", str(root)) if root else (found,)
