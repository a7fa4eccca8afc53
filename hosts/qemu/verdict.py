# SPDX-License-Identifier: GPL-2.0-only
"""The verdict on a machine's run: what console, monitor, guest and QEMU said of its end. Pure."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from lkltest.guest.init_config import GuestReport, read_report
from lkltest.verdict.results import Exit, Problem, ProblemKind

if TYPE_CHECKING:
    from .console import GuestConsole
    from .monitor import MonitorEvent

_DETAIL = 16384
_AFTER_EXIT = 0.2
"""Seconds to listen on after the program's exit status: what it wrote last may come later."""
_REPORT_SECONDS = 1.0
"""Seconds in which a kernel tells all of what it has to say of its own hang."""
_SKIPS = "exited with status 1, which the skipped points account for"
_UNAVAILABLE = 69
"""The exit status by which L4Re's tests say that they cannot run here (EX_UNAVAILABLE)."""


@dataclass(slots=True)
class Decision:
    """A run that is over: why it is lost (None: the program has ended), how long to listen on for
    more of it, and whether to look closer.
    """

    problem: Problem | None
    listen: float = 0.1
    diagnose: bool = False

    def add_detail(self, text: str) -> None:
        if self.problem is not None:
            detail = f"{self.problem.detail}\n{text}".strip()
            self.problem = replace(self.problem, detail=detail)


class Verdict:
    """The evidence of a run so far, and the first decision.

    Args:
        token: of /init's reports; empty for a guest that makes none.
        debug_exit: whether QEMU's status can be the guest's (isa-debug-exit).
        place_of: names the functions in a program's crash dump.
    """

    def __init__(
        self,
        *,
        token: str = "",
        debug_exit: bool = False,
        place_of: Callable[[str], str] = lambda dump: "",
    ) -> None:
        self._place_of = place_of
        self.decision: Decision | None = None
        self._token = token
        self._debug_exit = debug_exit
        self._status = bytearray()
        self._more: list[Problem] = []
        self._shutdown = ""
        self._console: GuestConsole | None = None
        self._time_out: Exit | None = None
        self._waited = ""
        self._tentative = False
        self._dump: tuple[str, bytes | None] | None = None  # the line that it began with, and whose

    @property
    def problems(self) -> list[Problem]:
        """Everything that is wrong beside the stream."""
        lost = self.decision.problem if self.decision else None
        return ([lost] if lost else []) + self._more

    def decide(self, decision: Decision) -> None:
        """The run is over. The first reason for its loss is the one that counts."""
        if self.decision is None or self.decision.problem is None:
            self.decision = decision

    def look(self, console: GuestConsole) -> None:
        """See what the console has shown since the last look."""
        self._console = console
        for signature, line, tag in console.signatures:
            reason = f"{signature.what}: {line}"
            if tag is None or not console.found or tag == console.program_tag:
                if self._tentative and signature.kind is ProblemKind.SETUP:
                    self.decision = None
                if self.decision is None:
                    self._tentative = signature.tentative
                    self._dump = self._dump or (line, tag)
                problem = Problem(signature.kind, reason, console.in_flight)
                self.decide(Decision(problem, signature.listen, signature.diagnose))
            else:
                name = tag.decode("utf-8", "backslashreplace")
                self._more.append(Problem(ProblemKind.HELPER, f"program {name}: {reason}"))
        console.signatures.clear()
        if console.booted_again:
            reason = f"the machine booted twice: {console.booted_again}'s banner came again"
            self.decide(Decision(Problem(ProblemKind.REPEATED, reason)))
        if console.status is not None and self.decision is None:
            self.decide(Decision(None, _AFTER_EXIT))
        lost = self.decision.problem if self.decision else None
        if self.decision is not None and lost is not None and self._dump is not None:
            # A dump goes on after the line that announced it.
            detail = _text(console.after(*self._dump)[:_DETAIL])
            first, _, rest = detail.partition("\n")
            if rest.strip() and first.endswith(":") and lost.reason.endswith(first.strip()):
                lost = replace(lost, reason=f"{lost.reason} {rest.partition(chr(10))[0].strip()}")
            self.decision.problem = replace(lost, detail=detail)

    @staticmethod
    def needs_status(event: MonitorEvent) -> bool:
        """Whether only query-status tells what an event means."""
        return event.name == "STOP"

    def stopped(self, status: str) -> None:
        """QEMU has stopped the machine: "internal-error", "io-error", "guest-panicked", ..."""
        if status == "internal-error":
            reason = "QEMU stopped the machine: internal error of the accelerator"
            self.decide(Decision(Problem(ProblemKind.GUEST, reason), diagnose=True))
        elif status in ("io-error", "shutdown"):
            reason = f"QEMU stopped the machine: {status}"
            self.decide(Decision(Problem(ProblemKind.GUEST, reason)))

    def take_event(self, event: MonitorEvent) -> None:
        """Take an event of the monitor's."""
        if event.name == "GUEST_PANICKED":
            reason = "the guest says that it panicked (pvpanic)"
            self.decide(Decision(Problem(ProblemKind.PANIC, reason), 0.2, diagnose=True))
        elif event.name == "RESET" and event.data.get("guest"):
            self.decide(Decision(Problem(ProblemKind.CRASH, "the guest reset the machine")))
        elif event.name == "SHUTDOWN":
            self._shutdown = str(event.data.get("reason", ""))

    def take_status(self, data: bytes) -> None:
        """Take what the guest's /init reports."""
        self._status += data

    @property
    def unavailable(self) -> str:
        """The program's reason why it cannot run here; empty when it gives none."""
        console = self._console
        if console is None or console.found or console.status != _UNAVAILABLE:
            return ""
        return f"exited with status {_UNAVAILABLE}: not available here"

    def hung(self) -> None:
        """The guest's kernel says that it hangs: what it tells of it is listened to."""
        if self.decision is None:
            self._time_out = Exit(cause="hung")
            self.decide(Decision(None, _REPORT_SECONDS, diagnose=True))

    def deserted(self) -> None:
        """The kernel debugger says that no program is left."""
        self._waited = "no program was left"
        self.decide(Decision(None))

    def waited(self, seconds: float) -> None:
        """All was there, and for so long nothing more came."""
        self._waited = f"nothing more came for {seconds:g} s"

    def out_of_time(self, cause: str, seconds: float, report: str, console: GuestConsole) -> None:
        """A deadline has passed."""
        if cause == "first_byte":
            reason = f"not a byte on the console within {seconds:g} s"
            self.decide(Decision(Problem(ProblemKind.NO_BOOT, reason, detail=report)))
        elif cause == "plan":
            reason = f"no plan within {seconds:g} s; the console ends with {_last_line(console)!r}"
            detail = f"{report}\nthe console's end:\n{_text(console.recent)}"
            self.decide(Decision(Problem(ProblemKind.NO_BOOT, reason, detail=detail)))
        else:
            note = ", ".join([f"{seconds:g} s", *console.missing_tests])
            self._time_out = Exit(cause="stall" if cause == "silence" else "deadline", note=note)

    def exit(self, ended: Exit | None, said: str, *, complete: bool) -> Exit:
        """The end of the program.

        ended: QEMU, when it did by itself; `said`: its last words. complete: the plan was met.
        """
        report = self._report()
        self._more += [Problem(ProblemKind.GUEST, warning) for warning in report.warnings]
        if report.failure:
            self.decide(Decision(Problem(ProblemKind.SETUP, f"in the guest: {report.failure}")))
        if self._console is not None:
            self._more += [
                Problem(ProblemKind.PLAN_NOT_MET, missing)
                for missing in self._console.missing_tests
            ]
            if self._console.missing_output:
                self._more.append(Problem(ProblemKind.GUEST, self._console.missing_output))
        self._name_place()
        if self._time_out is not None:
            return self._time_out
        if ended is not None:
            self._check_end(ended, said, report, complete=complete)
        return self._exit_of_program(ended, said, report)

    def _name_place(self) -> None:
        """Say first in which function the program has crashed."""
        lost = self.decision.problem if self.decision else None
        if self.decision is None or lost is None or lost.kind is not ProblemKind.CRASH:
            return
        place = self._place_of(lost.detail)
        if place:
            self.decision.problem = replace(lost, detail=f"in {place}\n{lost.detail}")

    def _exit_of_program(self, ended: Exit | None, said: str, report: GuestReport) -> Exit:
        """The program's end as /init, isa-debug-exit or the console tell it."""
        if report.signal is not None:
            return Exit(signal=report.signal, cause="signalled", note="in the guest")
        if report.status is not None:
            return Exit(status=report.status, cause="exited")
        if ended is not None and self._is_debug_exit(ended, said):
            return Exit(status=((ended.status or 0) - 1) // 2, cause="exited")
        if self.unavailable:
            return Exit(cause="ended", note=self.unavailable)
        if self._console is not None and self._console.status is not None:
            return Exit(status=self._console.status, cause="exited", note="as the console says")
        skips = self._console is not None and self._console.status_of_skips
        return Exit(cause="ended", note=_SKIPS if skips else self._waited)

    def _report(self) -> GuestReport:
        """The report of /init: on the console, before it has opened its own device."""
        if not self._token:
            return GuestReport()
        console = bytes(self._console.recent) if self._console else b""
        return read_report(console + b"\n" + bytes(self._status), self._token)

    def _check_end(self, ended: Exit, said: str, report: GuestReport, *, complete: bool) -> None:
        """QEMU has ended by itself: see who is to blame, if anybody is."""
        if ended.signal is not None:
            reason = f"QEMU was killed by signal {ended.signal}"
            self.decide(Decision(Problem(ProblemKind.SIGNAL, reason, detail=said)))
        elif self._is_debug_exit(ended, said) or report.ended or report.failure:
            return
        elif ended.status != 0:
            reason = f"QEMU failed with status {ended.status}: {_first(said)}"
            self.decide(Decision(Problem(ProblemKind.LAUNCH, reason, detail=said)))
        elif complete and self._console is not None and self._console.blocks_finished:
            return  # `TAP TEST FINISHED` is an end, and some reboot then
        elif self._shutdown == "guest-reset":
            reason = "the guest reset the machine (a reboot or a triple fault)"
            self.decide(Decision(Problem(ProblemKind.CRASH, reason)))
        elif self._shutdown == "host-signal":
            reason = f"QEMU was ended by a signal: {_first(said)}"
            self.decide(Decision(Problem(ProblemKind.SIGNAL, reason)))
        elif self._token and not report.started:
            reason = "the guest's first program did not start"
            self.decide(Decision(Problem(ProblemKind.NO_BOOT, reason)))
        elif not complete:
            reason = "the guest powered off before its program had ended"
            self.decide(Decision(Problem(ProblemKind.GUEST, reason)))

    def _is_debug_exit(self, ended: Exit, said: str) -> bool:
        """isa-debug-exit ends QEMU with an odd status, and QEMU says nothing then."""
        odd = ended.status is not None and ended.status % 2 == 1
        return self._debug_exit and odd and not said.strip()


def _text(data: bytes | bytearray) -> str:
    return bytes(data[-_DETAIL:]).decode("utf-8", "backslashreplace")


def _last_line(console: GuestConsole) -> str:
    lines = _text(console.recent).strip().splitlines()
    return lines[-1] if lines else ""


def _first(text: str) -> str:
    lines = [line for line in text.splitlines() if line.strip()]
    return lines[0] if lines else "it said nothing"
