# SPDX-License-Identifier: GPL-2.0-only
"""The program files that Wine is given: checked before anything is launched.

Wine itself cannot be asked. It writes "Application could not be started" into the program's own
stdout, prints nothing at all for PE32 without its 32 bit half, and runs an ELF file natively.
Source of the offsets: the Microsoft "PE Format" specification.
"""

from __future__ import annotations

import struct
from pathlib import Path

from lkltest.errors import ExecutableError, LaunchError, NotInstalled
from lkltest.host.executable import Executable, identify

INSTALL_32_BIT = "dpkg --add-architecture i386 && apt-get update && apt-get install wine32:i386"

_RUNNABLE = ("console", "windows")
_SECTION_BYTES = 40


def check_program(program: Path, bits32: bool) -> Executable:
    """Identify `program` as one that Wine runs here.

    Raises LaunchError, one line with the file and what it is; NotInstalled, naming the package,
    when it is PE32 and `bits32` is False.
    """
    try:
        executable = identify(program)
    except ExecutableError as error:
        raise LaunchError(str(error)) from None
    if executable.format != "PE":
        raise LaunchError(f"{program}: is {executable}; the wine host runs PE programs")
    if executable.machine not in ("x86_64", "i386"):
        raise LaunchError(f"{program}: is {executable}; this Wine runs x86_64 programs")
    if executable.subsystem not in _RUNNABLE:
        raise LaunchError(f"{program}: is {executable}; Wine runs console and windows programs")
    end = _end_of_sections(program)
    size = program.stat().st_size
    if size < end:
        raise LaunchError(f"{program}: is a truncated PE file ({size} of {end} bytes)")
    if executable.machine == "i386" and not bits32:
        raise NotInstalled(
            f"{program.name} is PE32 and Wine's 32 bit half is missing: {INSTALL_32_BIT}"
        )
    return executable


def _end_of_sections(program: Path) -> int:
    """The end of the last section that the section table speaks of."""
    with program.open("rb") as file:
        header = file.read(65536)
    (start,) = struct.unpack_from("<I", header, 0x3C)
    (count,) = struct.unpack_from("<H", header, start + 6)
    (optional,) = struct.unpack_from("<H", header, start + 20)
    table = start + 24 + optional
    end: int = table + count * _SECTION_BYTES
    for section in range(table, min(end, len(header) - _SECTION_BYTES + 1), _SECTION_BYTES):
        size, offset = struct.unpack_from("<II", header, section + 16)
        if offset:
            end = max(end, offset + size)
    return end
