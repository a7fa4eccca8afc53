# SPDX-License-Identifier: GPL-2.0-only
"""QEMU's user mode emulation: programs for other processors, run on this machine."""

from __future__ import annotations

import functools
import os
import shutil
import subprocess
from collections.abc import Sequence
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
_NAMES_OF_GDB = {"arm": "arm", "riscv": "riscv:rv64", "s390x": "s390:64-bit"}
"""gdb's names of processors, where they are others than ours."""
_UNDER_GDB = """\
socket=$1 gdb=$2 root=$3 program=$4
shift 4
trap : INT QUIT
exec 9<&0
env --ignore-signal=INT --default-signal=QUIT "$@" <&9 9<&- &
emulator=$!
env --default-signal=INT sh -c '
	trap "kill -QUIT $1" INT
	while kill -0 "$1"; do sleep 1; done' - $emulator 2>/dev/null 9<&- &
while [ ! -S "$socket" ] && kill -0 $emulator; do sleep 0.02; done
"$gdb" -q -iex "set sysroot $root" -iex 'handle SIGQUIT nopass' \
	-ex "target remote $socket" "$program" 9<&-
status=$?
kill -KILL $emulator 2>/dev/null
exit $status
"""
"""A shell's words: the emulator beside gdb, both on one terminal.

Ctrl-C comes to the emulator as SIGQUIT: of the signals that a person can send, those of QEMU since
8.2 tell a debugger of the ones alone that would leave a core file, and die of all others. A shell
gives what stands behind no input and no Ctrl-C, of its own accord.
"""


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


def libraries_of(emulator: Sequence[str]) -> str:
    """The folder that stands for / where a program's libraries are looked for."""
    place = emulator[emulator.index("-L") + 1] if "-L" in emulator else ""
    return place or os.environ.get("QEMU_LD_PREFIX", "/")


def under_gdb(
    words: Sequence[str], program: Path, emulator: Sequence[str], socket: Path
) -> tuple[str, ...]:
    """The words for a person's terminal that run a program under gdb, held at its beginning.

    `words` run it, up to the emulator; `socket` is a file that is not there yet. Raises
    LaunchError.
    """
    gdb = gdb_for(identify(program).machine)
    fixed = (str(socket), gdb, libraries_of(emulator), str(program))
    return ("sh", "-c", _UNDER_GDB, "lkltest", *fixed, *words)


@functools.cache
def gdb_for(machine: str) -> str:
    """The gdb that knows a processor. Raises LaunchError, one line, when there is none."""
    if machine_is_native(machine):
        return "gdb"
    if shutil.which("gdb-multiarch"):  # Debian's; elsewhere gdb knows them all
        return "gdb-multiarch"
    known = f"set architecture {_NAMES_OF_GDB.get(machine, machine)}"
    try:
        words = ["gdb", "--batch", "-nx", "-ex", known]
        done = subprocess.run(words, capture_output=True, check=False, stdin=subprocess.DEVNULL)
    except OSError:
        done = None
    if done is None or done.returncode or b"ndefined" in done.stderr:
        raise LaunchError(f"no gdb for {machine}: apt-get install gdb-multiarch")
    return "gdb"
