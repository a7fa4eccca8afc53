# SPDX-License-Identifier: GPL-2.0-only
"""The state of a machine that hangs: its kernel's words, and registers with a verdict.

What changes nothing is asked first, the NMI sent last. See QEMU's QMP reference (query-status,
human-monitor-command, inject-nmi, screendump) and Fiasco's manual for JDB.
"""

from __future__ import annotations

import re
import time
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lkltest.host.elf_symbols import elf_symbols

from . import sysrq
from .monitor import Monitor, MonitorError

if TYPE_CHECKING:
    from .process import QemuProcess

_FAR = 1 << 20
"""A symbol without a size that is further away than this says nothing."""


class Symbols:
    """The symbols of some files, read when an address is asked for."""

    def __init__(self, files: Sequence[Path]) -> None:
        self._files = files

    def name(self, address: int) -> str:
        """`function+0x12 of file`, or empty when no file has a symbol for it."""
        for path in self._files:
            best: tuple[int, str] | None = None
            for start, size, name in elf_symbols(path):
                inside = start <= address < start + size if size else 0 <= address - start < _FAR
                if inside and (best is None or start > best[0]):
                    best = (start, name)
            if best is not None:
                offset = address - best[0]
                return f"{best[1]}{f'+{offset:#x}' if offset else ''} of {path.name}"
        return ""


_NMI, _PANIC = (0.2, 1.0), (0.5, 5.0)
"""Seconds of silence after the answer to an NMI, and in all; Linux panics."""
SAMPLES = 5
_BETWEEN = 0.02
_SPREAD = 64
"""Bytes: a loop that stays within them is called one address."""

_RIP = re.compile(r"\b[RE]?IP=([0-9a-f]+)|\bPC=([0-9a-f]+)")
_CPL = re.compile(r"\bCPL=(\d)")
_HLT = re.compile(r"\bHLT=(\d)")


@dataclass(frozen=True, slots=True)
class Sample:
    """The place of a processor: address, privilege level (0: kernel), if it waits in HLT.

    None for what `info registers` does not say, as that of Arm.
    """

    address: int
    level: int | None
    halted: bool | None


def read_sample(registers: str) -> Sample | None:
    """Read the output of `info registers`; None when it holds no address."""
    address = _RIP.search(registers)
    if address is None:
        return None
    level = _CPL.search(registers)
    halted = _HLT.search(registers)
    return Sample(
        int(address[1] or address[2], 16),
        int(level[1]) if level else None,
        halted[1] == "1" if halted else None,
    )


def verdict(samples: Sequence[Sample], symbols: Symbols | None = None) -> str:
    """The verdict on samples taken one after the other: idle, spinning at, or busy."""
    if not samples:
        return "no registers could be read"
    if all(sample.halted for sample in samples):
        return "idle: the processor waits in HLT, nobody has anything to do"
    awake = [sample for sample in samples if not sample.halted]
    addresses = [sample.address for sample in awake]
    where = _where(addresses[-1], symbols)
    level = {0: " in the kernel", 3: " in a program"}.get(awake[-1].level or 0, "")
    level = level if awake[-1].level is not None else ""
    if len(awake) < len(samples):
        return f"mostly idle, last seen at {where}{level}"
    if max(addresses) - min(addresses) <= _SPREAD:
        doing = "idle or spinning" if awake[-1].halted is None else "spinning"
        return f"{doing} at {where}{level}"
    return f"busy{level}, last seen at {where}"


def hang_report(
    process: QemuProcess,
    files: Sequence[Path],
    *,
    linux: bool,
    debugger: bool,
    picture: Path | None,
) -> str:
    """Look at a machine that hangs. Never raises; says what could not be had.

    Args:
        process: the machine.
        files: ELF files whose symbols may name an address.
        linux: ask its kernel by sysrq.
        debugger: ask Fiasco's kernel debugger (the image was started with -serial_esc).
        picture: where to write a PNG of the display, None when there is none.
    """
    monitor = process.links.monitor
    parts: list[str] = []
    try:
        status = str(monitor.execute("query-status", seconds=2.0)["status"])
        running = status == "running"
        asked = linux and running
        parts += sysrq.ask(process) if asked else []
        answered = bool(parts)
        parts.append(f"machine: {status}")
        parts += _registers(monitor, files, running=running)
        if picture is not None:
            parts.append(_picture(monitor, picture))
        if debugger:
            parts.append(_debugger(process))
        monitor.execute("inject-nmi", seconds=2.0)
        answer = _text(process.read_quiet(*(_PANIC if linux else _NMI)))
        if asked and not answered:
            parts = ["\n".join([*sysrq.after_nmi(answer), sysrq.NO_ANSWER]), *parts]
        parts.append("after an NMI: " + (answer or "no answer"))
    except MonitorError as error:
        parts.append(str(error))
    if linux and parts:
        parts[0] = _named(parts[0], Symbols(files)) + "\n"
    return "\n".join(parts)


def _named(text: str, symbols: Symbols) -> str:
    """A kernel's word on its tasks, with the functions of the program that it cannot know."""
    return re.sub(
        f"({sysrq.IN_PROGRAM})(0x[0-9a-f]+)",
        lambda match: match[1] + _where(int(match[2], 16), symbols),
        text,
    )


def _registers(monitor: Monitor, files: Sequence[Path], *, running: bool) -> list[str]:
    samples = []
    registers = ""
    for _ in range(SAMPLES if running else 1):
        registers = monitor.human("info registers", seconds=2.0)
        sample = read_sample(registers)
        if sample is not None:
            samples.append(sample)
        time.sleep(_BETWEEN)
    symbols = Symbols(files)
    if running or not samples:
        said = verdict(samples, symbols)
    else:
        said = f"stopped at {_where(samples[0].address, symbols)}"
    return [said, registers.replace("\r\n", "\n").strip()]


def _picture(monitor: Monitor, file: Path) -> str:
    try:
        monitor.execute("screendump", {"filename": str(file), "format": "png"}, 5.0)
    except MonitorError as error:
        return f"no picture of the display: {error}"
    return f"picture of the display: {file}"


def _debugger(process: QemuProcess) -> str:
    """ESC enters JDB, `Y` and a line feed is its report of the whole system."""
    process.send(b"\x1b")
    said = process.read_quiet(0.2, 2.0)
    if b"jdb: " not in said:
        return "the kernel debugger does not answer"
    process.send(b"Y\n")
    return "kernel debugger:\n" + _text(process.read_quiet(0.3, 5.0))


def _text(data: bytes) -> str:
    from ..l4re.console import strip_escapes

    lines = (strip_escapes(line.rstrip(b"\r")) for line in data.split(b"\n"))
    return b"\n".join(lines).decode("utf-8", "backslashreplace").strip()


def _where(address: int, symbols: Symbols | None) -> str:
    name = symbols.name(address) if symbols is not None else ""
    return f"{address:#x} ({name})" if name else f"{address:#x}"
