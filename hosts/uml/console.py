# SPDX-License-Identifier: GPL-2.0-only
"""The console of a UML kernel, whose end is judged by /init's report."""

from __future__ import annotations

import re
import select
import signal
from collections.abc import Callable, Iterator
from dataclasses import replace

from lkltest.deadline import Deadlines
from lkltest.guest.init_config import GuestReport, read_report
from lkltest.host.console import Console
from lkltest.sandbox.scope import Child
from lkltest.tap.patterns import STAMP
from lkltest.verdict.results import Exit, Problem, ProblemKind

_HALTED = re.compile(STAMP + rb" reboot: (?:System halted|Power down)\s*\Z")
_REBOOTS = re.compile(STAMP + rb" (?:reboot: Restarting system|sysrq: Resetting)[^\n]*\n?")
_BOOTS = re.compile(rb"^Core dump limits :\r?\n", re.MULTILINE)
"""The first that UML says (os-Linux/start_up.c), also when it starts itself again."""
_LAST_BYTES = 256
_DIED_HALTED = b"# lkltest: the kernel aborted while it exited, after it had halted\n"


class UmlConsole(Console):
    """A `Console` whose program is a whole kernel.

    console: a pipe from it. status: a pipe from the guest's status device. token: what each of
    /init's reports begins with. ask: called when it hangs, with the program's process number in the
    guest, if that is known, and a function that reads the console; returns what hangs.
    """

    def __init__(
        self,
        child: Child,
        console: int,
        command: tuple[str, ...],
        deadlines: Deadlines,
        *,
        status: int,
        token: str,
        ask: Callable[[int | None, Callable[[], bytes]], str],
    ) -> None:
        super().__init__(child, console, command, deadlines, side=status, diagnose=self._what_hangs)
        self._token = token
        self._ask = ask
        self._asked = False
        self._last = b""
        self._rebooted = False
        self._boots = 0
        self._problems: list[Problem] = []

    def chunks(self) -> Iterator[bytes]:
        """Yield bytes, and judge the end once there are no more."""
        for data in super().chunks():
            if self._rebooted:
                continue  # the next boot's
            end = self._end_of_boot(data)
            if end is not None:
                self._rebooted = True
                self.kill()  # or it boots again in the same process, and gets stuck
            self._last = (self._last + data)[-_LAST_BYTES:]
            # What the kernel prints when it is asked is its answer, no part of the stream.
            if not self._asked:
                yield data[:end]
        report = self._report()
        self._problems += [Problem(ProblemKind.GUEST, warning) for warning in report.warnings]
        kernel = self.exit
        if died_halted(kernel, report, self._last):
            yield _DIED_HALTED
            kernel = Exit(status=0, cause="exited")
        self.exit, problem = end_of_run(kernel, report, rebooted=self._rebooted)
        if problem is not None:
            self._problems.append(problem)

    def _end_of_boot(self, data: bytes) -> int | None:
        """The length of what `data` has of this boot, where the guest says or shows a reboot."""
        before = len(self._last)
        text = self._last + data
        if told := _REBOOTS.search(text):
            return max(0, told.end() - before)
        for boot in _BOOTS.finditer(text):
            if boot.end() > before:
                self._boots += 1
                if self._boots > 1:
                    return max(0, boot.start() - before)
        return None

    def problems(self) -> list[Problem]:
        """The problems that the guest's /init and the console told."""
        return self._problems

    def _report(self) -> GuestReport:
        return read_report(bytes(self.side_output), self._token)

    def _what_hangs(self) -> str:
        self._asked = True
        return self._ask(self._report().process, self._read_now)

    def _read_now(self) -> bytes:
        poller = select.poll()
        poller.register(self._descriptor, select.POLLIN)
        return self._read() if poller.poll(0) else b""


def died_halted(kernel: Exit, report: GuestReport, last: bytes) -> bool:
    """Whether a kernel died of its own exit, when all that it was booted for was done. Pure.

    arch/um/os-Linux/main.c lets pending signals fire after the kernel has halted, and a timer's
    then finds no current task: irq_enter() panics, unseen as the console is closed, and a panic is
    an abort. So did 3 of 840 boots of Linux 6.1 on a busy machine. last: bytes of the console.
    """
    return kernel.signal == signal.SIGABRT and report.ended and bool(_HALTED.search(last))


def end_of_run(
    kernel: Exit, report: GuestReport, *, rebooted: bool = False
) -> tuple[Exit, Problem | None]:
    """The program's end, from the kernel's and from /init's report. Pure."""
    if rebooted:
        return Exit(cause="ended"), Problem(ProblemKind.CRASH, "the guest rebooted")
    if report.failure:
        return Exit(cause="ended"), Problem(ProblemKind.LAUNCH, f"in the guest: {report.failure}")
    if kernel.cause in ("deadline", "stall", "hung", "ended"):
        return kernel, None
    if not report.ended:
        return _unreported(kernel, report)
    if report.signal is not None:
        program = Exit(signal=report.signal, cause="signalled", note="in the guest")
    else:
        program = Exit(status=report.status, cause="exited")
    if kernel.status == 0:
        return program, None
    return program, Problem(
        ProblemKind.GUEST, f"the kernel {_how(kernel)} after the program had ended"
    )


def _unreported(kernel: Exit, report: GuestReport) -> tuple[Exit, Problem | None]:
    """The kernel is gone and nobody said how the program ended."""
    if not report.started:
        reason = f"the guest's first program did not start: the kernel {_how(kernel)}"
        return Exit(cause="ended"), Problem(ProblemKind.NO_BOOT, reason)
    if kernel.signal is not None:
        return replace(kernel, note="the kernel itself"), None
    reason = f"the kernel {_how(kernel)} before the program did"
    return Exit(cause="ended"), Problem(ProblemKind.GUEST, reason)


def _how(kernel: Exit) -> str:
    if kernel.signal is not None:
        return f"was killed by signal {kernel.signal}"
    return f"ended with status {kernel.status}"
