# SPDX-License-Identifier: GPL-2.0-only
"""The accelerators that really work here: a machine is booted with them.

That /dev/kvm opens proves nothing: where virtual machines are nested it may open, and then the
machine stops with an internal error, hangs, or is many times slower than one that is emulated.
"""

from __future__ import annotations

import json
import os
import platform
import shutil
import subprocess
import tempfile
import time
from pathlib import Path

from lkltest.errors import Missing
from lkltest.host.cache import cache_directory
from lkltest.whole_file import write_whole

from .machine import Machine

PROBE_SECONDS = 4.0
OLDEST = (7, 1)
"""The oldest version that has all that is used: screendump in PNG came last."""

# A boot sector: write 0x10 to port 0xf4 (isa-debug-exit: status 33), then halt.
#   mov dx, 0xf4; mov al, 0x10; out dx, al; 1: hlt; jmp 1b
_SECTOR = bytes.fromhex("baf400b010eef4ebfd").ljust(510, b"\0") + b"\x55\xaa"
_PASSED = 0x10 << 1 | 1


def missing_qemu(machine: Machine) -> Missing | None:
    """The reason why QEMU cannot be used, with what to install; None when it can."""
    install = f"apt-get install {machine.package}"
    if shutil.which(machine.program) is None:
        return Missing(f"{machine.program} is missing", install)
    found = qemu_version(machine)
    if found is None:
        return Missing(f"{machine.program} does not say its version", install)
    if _numbers(found) < OLDEST:
        oldest = ".".join(map(str, OLDEST))
        return Missing(f"{machine.program} is version {found}; {oldest} is needed", install)
    return None


_versions: dict[str, str | None] = {}


def qemu_version(machine: Machine) -> str | None:
    """QEMU's version, "7.2.22", asked once a process; None when it cannot be had."""
    program = shutil.which(machine.program)
    if program is None:
        return None
    if program not in _versions:
        _versions[program] = _ask_version(program)
    return _versions[program]


def kvm_works(machine: Machine, *, probe: bool) -> bool:
    """Whether a machine has booted with KVM here, and no slower than without.

    Tried when `probe`, which may take seconds, else only remembered.
    """
    if not _is_pc(machine) or not os.access("/dev/kvm", os.R_OK | os.W_OK):
        return False
    try:
        cache = cache_directory("qemu") / "kvm.json"
    except OSError:
        return probe and _boots(machine)
    key = f"{qemu_version(machine)} {platform.release()} {platform.version()}"
    known = _read(cache)
    if key not in known and probe:
        known[key] = _boots(machine)
        try:
            write_whole(cache, json.dumps(known).encode())
        except OSError:
            return known[key]
    return known.get(key, False)


def _is_pc(machine: Machine) -> bool:
    """Whether the sector, which is for x86, says something about `machine` here."""
    return machine.architecture == platform.machine() == "x86_64"


def _boots(machine: Machine) -> bool:
    """Boot the sector with KVM, and without it to compare."""
    with_kvm = _boot_seconds(machine, ["-accel", "kvm", "-cpu", "host"])
    if with_kvm is None:
        return False
    emulated = _boot_seconds(machine, ["-accel", "tcg"])
    return emulated is None or with_kvm <= emulated


def _boot_seconds(machine: Machine, accelerator: list[str]) -> float | None:
    """Boot the sector and wait for its exit; None when that does not come."""
    with tempfile.NamedTemporaryFile(prefix="lkltest-kvm-") as disk:
        disk.write(_SECTOR.ljust(1 << 16, b"\0"))
        disk.flush()
        command = [machine.program, "-nodefaults", "-no-user-config", "-display", "none"]
        # On this machine type SeaBIOS boots from a plain IDE disk.
        command += ["-M", "pc", "-m", "32", *accelerator]
        command += ["-no-reboot", "-device", "isa-debug-exit,iobase=0xf4,iosize=4"]
        command += ["-drive", f"file={disk.name},format=raw,if=ide,snapshot=on"]
        started = time.monotonic()
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                timeout=PROBE_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
    return time.monotonic() - started if done.returncode == _PASSED else None


def _ask_version(program: str) -> str | None:
    try:
        done = subprocess.run(
            [program, "--version"],
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=10,
            check=False,
            text=True,
            errors="replace",
        )
    except (OSError, subprocess.TimeoutExpired):
        return None
    _, found, rest = done.stdout.partition("version ")
    return rest.split()[0] if found and rest.split() and done.returncode == 0 else None


def _numbers(version: str) -> tuple[int, ...]:
    parts = version.split(".")[:2]
    return tuple(int(part) for part in parts if part.isdigit())


def _read(cache: Path) -> dict[str, bool]:
    try:
        known = json.loads(cache.read_bytes())
    except (OSError, ValueError):
        return {}
    return {key: value is True for key, value in known.items()} if isinstance(known, dict) else {}
