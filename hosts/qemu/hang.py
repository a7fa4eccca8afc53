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

from ..l4re import jdb
from . import sysrq
from .monitor import Monitor, MonitorError
from .symbols import Symbols

if TYPE_CHECKING:
    from .process import QemuProcess

_ENTER_SECONDS = 5.0
_REPORT_SECONDS, _PAUSE, _SILENT = 15.0, 0.2, 10
"""Seconds for JDB's report, of silence in it that are looked at, and how many of these end it."""
_USER = 3
"""The privilege level of programs."""
_NMI, _PANIC = (0.2, 1.0), (0.5, 5.0)
"""Seconds of silence after the answer to an NMI, and in all; Linux panics."""
SAMPLES = 5
_BETWEEN = 0.02
_SPREAD = 64
"""Bytes: a loop that stays within them is called one address."""

_RIP = re.compile(r"\b[RE]?IP=([0-9a-f]+)|\bPC=([0-9a-f]+)")
_CPL = re.compile(r"\bCPL=(\d)")
_HLT = re.compile(r"\bHLT=(\d)")
_VECTORS = re.compile(r"^(?:Q\d\d=|[XY]MM\d\d=).*\n?", re.MULTILINE)
"""Registers that tell nobody where a processor is."""


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
    symbols: Symbols,
    *,
    linux: bool,
    debugger: bool,
    picture: Path | None,
) -> str:
    """Look at a machine that hangs. Never raises; says what could not be had.

    What matters comes first: what threads do, then registers, then all that debuggers have said.

    Args:
        process: the machine.
        symbols: names of addresses.
        linux: ask its kernel by sysrq.
        debugger: ESC enters Fiasco's kernel debugger, which is asked anyway at its prompt.
        picture: where to write a PNG of the display, None when there is none.
    """
    monitor = process.links.monitor
    parts: list[str] = []
    try:
        status = str(monitor.execute("query-status", seconds=2.0)["status"])
        running = status == "running"
        asked = linux and running
        told = sysrq.ask(process) if asked else []
        parts += [*told[:1], f"machine: {status}"]
        samples, registers = _sampled(monitor, running=running)
        stopped = process.in_debugger or not running
        said = _ask_debugger(process, debugger)
        shown = [registers, *([_picture(monitor, picture)] if picture is not None else [])]
        answer = "" if said or told else _after_nmi(process, linux=linux)
        if answer.endswith(jdb.PROMPT.decode().strip()):
            said = _report(process)
        parts += _threads(_text(said), samples, symbols, stopped=stopped) + shown
        if asked and not told:
            parts = ["\n".join([*sysrq.after_nmi(answer), sysrq.NO_ANSWER]), *parts]
        if said:
            parts.append(_whole(process, _text(said)))
        elif told:
            on_console = ["the kernel's answers to sysrq stand on the console"]
            parts += on_console if process.listener is not None else told[1:]
        else:
            parts += ["the kernel debugger does not answer"] if debugger else []
            parts.append("after an NMI: " + (answer or "no answer"))
    except MonitorError as error:
        parts.append(str(error))
    if linux and parts:
        parts[0] = _named(parts[0], symbols) + "\n"
    return "\n".join(parts)


def _named(text: str, symbols: Symbols) -> str:
    """A kernel's word on its tasks, with the functions of the program that it cannot know."""
    return re.sub(
        f"({sysrq.IN_PROGRAM})(0x[0-9a-f]+)",
        lambda match: match[1] + _where(int(match[2], 16), symbols),
        text,
    )


def _sampled(monitor: Monitor, *, running: bool) -> tuple[list[Sample], str]:
    """A few samples of the processor, and all its registers."""
    samples = []
    registers = ""
    for _ in range(SAMPLES if running else 1):
        registers = monitor.human("info registers", seconds=2.0)
        sample = read_sample(registers)
        if sample is not None:
            samples.append(sample)
        time.sleep(_BETWEEN)
    return samples, _VECTORS.sub("", registers.replace("\r\n", "\n")).strip()


def _threads(
    report: str, samples: Sequence[Sample], symbols: Symbols, *, stopped: bool
) -> list[str]:
    """A line on the processor, and where JDB has made a report, one for each thread.

    stopped: the machine is, or its debugger has stopped all of its programs.
    """
    threads = jdb.read_threads(report)
    last = samples[-1] if samples else None
    current = next((thread for thread in threads if thread.current), None)
    program = current.program if current and last and last.level == _USER else ""

    def where(thread: jdb.Thread) -> str:
        if thread.address is not None:
            own = symbols.of(thread.program, thread.address, thread.code)
            return _where(thread.address, own)
        if thread.current and last is not None and last.level == _USER:
            return _where(last.address, symbols.of(program))
        return ""

    lines = jdb.summary(threads, where)
    if not stopped or last is None:
        return [verdict(samples, symbols.of(program)), *lines]
    return lines or [f"stopped at {_where(last.address, symbols)}"]


def _picture(monitor: Monitor, file: Path) -> str:
    try:
        monitor.execute("screendump", {"filename": str(file), "format": "png"}, 5.0)
    except MonitorError as error:
        return f"no picture of the display: {error}"
    return f"picture of the display: {file}"


def _ask_debugger(process: QemuProcess, by_escape: bool) -> bytes:
    """JDB's report; empty where it is not there and ESC does not lead to it."""
    if not process.in_debugger:
        if not by_escape:
            return b""
        process.send(jdb.ENTER)
        said, end = b"", time.monotonic() + _ENTER_SECONDS
        while jdb.PROMPT not in said:
            if time.monotonic() > end:
                return b""
            said += process.read_quiet(_PAUSE, _ENTER_SECONDS)
    return _report(process)


def is_deserted(process: QemuProcess) -> bool:
    """Whether no program is left in L4Re, nor anybody who waits for a moment to go on.

    JDB is asked, where the processor idles, and left again. Raises MonitorError.
    """
    samples, _ = _sampled(process.links.monitor, running=True)
    if not samples or not all(sample.halted for sample in samples):
        return False
    threads = jdb.read_threads(_text(_ask_debugger(process, by_escape=True)))
    if jdb.is_deserted(threads) and not any(thread.has_timeout for thread in threads):
        return True
    if threads:
        process.send(jdb.GO_ON)
        process.read_quiet(_PAUSE, 2.0)
    return False


def _after_nmi(process: QemuProcess, *, linux: bool) -> str:
    """The answer to an NMI, or why there is none."""
    try:
        process.links.monitor.execute("inject-nmi", seconds=2.0)
    except MonitorError as error:
        return str(error)
    return _text(process.read_quiet(*(_PANIC if linux else _NMI)))


def _report(process: QemuProcess) -> bytes:
    """JDB's report, up to its next prompt."""
    process.send(jdb.REPORT)
    end = time.monotonic() + _REPORT_SECONDS
    said, silent = b"", 0
    while silent < _SILENT and time.monotonic() < end:
        part = process.read_quiet(_PAUSE, _REPORT_SECONDS)
        silent = 0 if part else silent + 1
        said += part
        if jdb.PROMPT in said[said.rfind(b"Done") :] and b"Done" in said:
            break
    return said


def _whole(process: QemuProcess, report: str) -> str:
    if process.listener is not None:
        return "kernel debugger: its report stands on the console"
    return f"kernel debugger:\n{report}"


def _text(data: bytes) -> str:
    from ..l4re.console import strip_escapes

    lines = (strip_escapes(line.rstrip(b"\r")) for line in data.split(b"\n"))
    return b"\n".join(lines).decode("utf-8", "backslashreplace").strip()


def _where(address: int, symbols: Symbols | None) -> str:
    name = symbols.name(address) if symbols is not None else ""
    return f"{address:#x} ({name})" if name else f"{address:#x}"
