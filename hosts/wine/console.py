# SPDX-License-Identifier: GPL-2.0-only
"""A Windows program under Wine: its stdout on one pipe, its stderr on another, its end judged.

Pipes, not a terminal: on a terminal Wine starts a conhost.exe that redraws the output with escape
sequences.
"""

from __future__ import annotations

import contextlib
import os
import select
import sys
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path

from lkltest.host.console import Console
from lkltest.host.disk import Disk
from lkltest.text import printable
from lkltest.verdict.results import Exit, Problem, ProblemKind

from .crash import Crash, explain_status, find_crashes
from .debugger import WineDebugger
from .server import Server

_SIDE_LINES = 60
_START_FAILED = b"Application could not be started"


class WineConsole(Console):
    """Console of a Windows program. `copies`: its private copies of disk images, taken back."""

    copies: tuple[tuple[Disk, Path], ...] = ()
    show_side: bool = False
    """Whether stderr goes to ours too: the user asked for debug channels."""
    observer: WineDebugger | None = None
    """Its debugger, who has seen where it crashed."""
    _troubles: tuple[Problem, ...] = ()
    _head = b""
    _complete = False
    server: Server | None = None
    """The session's server, None where the program has its own."""

    def chunks(self) -> Iterator[bytes]:
        for chunk in super().chunks():
            if len(self._head) < 4096:
                self._head += chunk[:4096]
            yield chunk
        if self.observer is not None and self.observer.ended_it:
            self.exit = Exit(cause="ended")
        self._drain_side()
        self._take_disks_back()
        if self.server is not None and not self._complete and self.server.has_died():
            # Programs end then in ways that say nothing of it, or not at all.
            died = Problem(ProblemKind.CRASH, "wineserver died while the program ran")
            self._troubles = (*self._troubles, died)

    def problems(self) -> list[Problem]:
        """The crash that stderr tells of, an exit status that cannot be good, a lost disk."""
        said = self.side_output.decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        told = find_crashes(said)
        others = [crash for crash in told if self.observer and self.observer.is_of_another(crash)]
        crashes = self._explained([crash for crash in told if crash not in others])
        found = [
            Problem(ProblemKind.PANIC if crash.is_panic else ProblemKind.CRASH, str(crash))
            for crash in crashes
        ]
        if _START_FAILED in self._head:
            found.append(Problem(ProblemKind.LAUNCH, "Wine could not start the program"))
        status = self.exit.status
        if self.exit.cause == "exited" and status:
            reason = f"exited with status {status}: {explain_status(status)}"
            found.append(Problem(ProblemKind.EXIT_STATUS, reason))
        found.extend(self._troubles)
        if found or not self._complete:  # else the program knew what to do about it
            reasons = (f"of a child process: {crash}" for crash in others)
            found.extend(Problem(ProblemKind.CRASH, reason) for reason in reasons)
        if found:
            stacks = self.observer.report if self.observer else ""
            if crashes and crashes[0].is_panic:
                self.hang_report, stacks = stacks, ""  # the kernel's own report has them, too
            last = "\n".join(said.splitlines()[-_SIDE_LINES:])
            found[0] = replace(found[0], detail=f"{stacks}\n\n{last}".strip())
        return found

    def stream_done(self) -> None:
        self._complete = True

    def _explained(self, crashes: list[Crash]) -> list[Crash]:
        """Describe the stacks, and name the functions that the program crashed in."""
        if self.observer is None or (not crashes and self._complete):
            return crashes  # a status that a program chose says nothing of where it was
        first = self.observer.explain(crashes[0] if crashes else None)
        return [*([first] if first else []), *crashes[1:]]

    def close(self) -> None:
        self._drain_side()
        super().close()

    def _drain_side(self) -> None:
        """Read what stderr's pipe still holds; who else holds the other end is not waited for."""
        while self._side is not None:
            poller = select.poll()
            poller.register(self._side, select.POLLIN)
            if not poller.poll(0) or not self._read_side():
                break
        if self.show_side and self.side_output:
            said = self.side_output.decode("utf-8", "backslashreplace")
            sys.stderr.write(printable(said) if sys.stderr.isatty() else said)
            self.show_side = False

    def _take_disks_back(self) -> None:
        for disk, path in self.copies:
            try:
                disk.copy_from(path)
            except OSError:
                # LKL's own disk program deletes the image when it fails.
                reason = f"the program deleted its disk image, {path.name}"
                self._troubles = (*self._troubles, Problem(ProblemKind.GUEST, reason))
            with contextlib.suppress(OSError):
                os.unlink(path)  # noqa: PTH108 - 300 MB that the run folder need not keep
        self.copies = ()
