# SPDX-License-Identifier: GPL-2.0-only
"""The console of a UML kernel: its program's lines made whole, its end judged by /init's report."""

from __future__ import annotations

import os
from collections.abc import Callable, Iterator
from dataclasses import replace

from lkltest.console import Console
from lkltest.deadline import Deadlines
from lkltest.guest_orders import GuestReport, read_report
from lkltest.rejoin import Rejoiner
from lkltest.results import Exit, Problem, ProblemKind
from lkltest.scope import Child


class UmlConsole(Console):
    """A `Console` whose program is a whole kernel.

    status: a pipe from the guest's status device. token: what each of /init's reports begins with.
    """

    def __init__(
        self,
        child: Child,
        terminal: int,
        command: tuple[str, ...],
        deadlines: Deadlines,
        *,
        status: int,
        token: str,
        diagnose: Callable[[], str],
    ) -> None:
        super().__init__(child, terminal, command, deadlines, side=status, diagnose=diagnose)
        self._token = token
        self._rejoiner = Rejoiner()
        self._problems: list[Problem] = []

    def chunks(self) -> Iterator[bytes]:
        """Yield bytes with kernel messages on lines of their own."""
        for data in super().chunks():
            text = self._rejoiner.feed(data)
            if text:
                yield text
        rest = self._rejoiner.close()
        if rest:
            yield rest
        self._problems += [
            Problem(ProblemKind.CONSOLE_DAMAGE, damage) for damage in self._rejoiner.damage
        ]
        report = read_report(bytes(self.side_output), self._token)
        self._problems += [Problem(ProblemKind.GUEST, warning) for warning in report.warnings]
        self.exit, problem = judge_end(self.exit, report)
        if problem is not None:
            self._problems.append(problem)

    def problems(self) -> list[Problem]:
        """What the guest's /init and the console had to say."""
        return self._problems


def judge_end(kernel: Exit, report: GuestReport) -> tuple[Exit, Problem | None]:
    """How the program ended, from how the kernel did and from what /init reported. Pure."""
    if report.failure:
        return Exit(cause="ended"), Problem(ProblemKind.LAUNCH, f"in the guest: {report.failure}")
    if kernel.cause in ("deadline", "stall"):
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


def status_pipe() -> tuple[int, int]:
    """A pipe for a guest's reports: our end, the kernel's end."""
    return os.pipe2(os.O_CLOEXEC)
