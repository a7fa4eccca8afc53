# SPDX-License-Identifier: GPL-2.0-only
"""A program on a target: its console through a terminal there, its end as the last line of it."""

from __future__ import annotations

import contextlib
import os
import secrets
import signal
import subprocess
from collections.abc import Iterator
from dataclasses import dataclass, field
from typing import TYPE_CHECKING

from lkltest.deadline import Deadlines
from lkltest.errors import ConnectionLost, LaunchError
from lkltest.host.console import Console
from lkltest.host.disk import Disk
from lkltest.verdict.results import Exit, Problem, ProblemKind

if TYPE_CHECKING:
    from lkltest.hosts.remote.agent import Agent
    from lkltest.sandbox.scope import Child

_END_SECONDS = 5.0


@dataclass(frozen=True, slots=True)
class Run:
    """One run on a target: who is asked, its name there, its disk images by their names there.

    `mark` is what the target's script begins its last line with; nobody else knows it.
    """

    agent: Agent
    name: str
    disks: dict[str, Disk]
    mark: str = field(default_factory=lambda: "m" + secrets.token_hex(16))


class RemoteConsole(Console):
    """The console of one run on a target.

    Args:
        child: the client of the transport, on whose terminal the console comes.
        streams: that terminal, and a pipe with what the client itself says.
    """

    def __init__(
        self,
        child: Child,
        streams: tuple[int, int],
        command: tuple[str, ...],
        deadlines: Deadlines,
        run: Run,
    ) -> None:
        terminal, side = streams
        super().__init__(child, terminal, command, deadlines, side=side, diagnose=self._look)
        self._run = run
        self._splitter = _Splitter(run.mark.encode())
        self._problems: list[Problem] = []
        self._fetched = False
        self._looked_at = False
        self._lost = ""  # why the connection is gone, if it is
        self._killed = False

    def chunks(self) -> Iterator[bytes]:
        """Yield bytes as they arrive; afterwards `exit` says how the program ended."""
        for data in super().chunks():
            if console := self._splitter.feed(data):
                yield console
            if self._splitter.status and not self._looked_at:
                status = self._splitter.status.strip()
                if name := self._run.agent.exception(status):
                    self._problems.append(Problem(ProblemKind.CRASH, name))
                self._finish(_exit(status))
                return
        if rest := self._splitter.rest():
            yield rest
        if self._lost:
            self.exit = Exit(cause="ended", note=self._lost)
        elif self._ended_too_early():
            said = bytes(self.side_output).decode("utf-8", "replace").strip().splitlines()
            why = self._run.agent.last_words() or (said[-1] if said else "it ended")
            self._lose(f"{self._run.agent.address}: {why}")

    def problems(self) -> list[Problem]:
        return self._problems

    def kill(self) -> None:
        self._killed = True
        super().kill()

    def close(self) -> None:
        """End the run there, in any state; its folder goes with it."""
        with contextlib.suppress(OSError):
            os.write(self._descriptor, b"end\n")
        if not self._fetched and not self._lost and self.child.poll() is None:
            self._wait_for_end()
        super().close()

    def _ended_too_early(self) -> bool:
        """Whether the client has ended and nobody here wanted it to."""
        wanted = self._killed or self._after_bail_out is not None
        return not wanted and self.exit.cause not in ("deadline", "stall", "hung")

    def _finish(self, end: Exit) -> None:
        self._fetch()
        with contextlib.suppress(OSError):
            os.write(self._descriptor, b"end\n")
        if not self._lost:
            self._wait_for_end()
        self.exit = end

    def _wait_for_end(self) -> None:
        """The script removes the folder, and then the client ends."""
        self.child.wait(_END_SECONDS)

    def _look(self) -> str:
        """The stacks of a program that hangs; then it is ended and its disks are here."""
        self._looked_at = True  # its end is ours, not its own
        try:
            report = self._run.agent.look(self._run.name)
            self._run.agent.stop(self._run.name)
        except ConnectionLost as error:
            # A program whose connection stands still is not one that hangs.
            self._lose(str(error))
            return str(error)
        except LaunchError as error:
            self._problems.append(Problem(ProblemKind.SETUP, str(error)))
            return str(error)
        self._fetch()
        return report

    def _fetch(self) -> None:
        self._fetched = True
        for name, disk in self._run.disks.items():
            try:
                self._run.agent.fetch_image(self._run.name, name, disk)
            except ConnectionLost as error:
                self._lose(f"{error} (while disk image {name} was fetched)")
                return
            except (LaunchError, OSError, subprocess.SubprocessError) as error:
                reason = f"disk image {name} could not be fetched: {error}"
                self._problems.append(Problem(ProblemKind.SETUP, reason))

    def _lose(self, reason: str) -> None:
        """Take note of the loss: nothing more is asked by this connection."""
        self._lost = reason
        self._run.agent.lost = True
        self.exit = Exit(cause="ended", note=reason)
        self._problems.append(Problem(ProblemKind.CONNECTION, reason))


class _Splitter:
    """Tells the script's last line, `RS MARK STATUS`, from the console before it."""

    def __init__(self, mark: bytes) -> None:
        self._start = b"\x1e" + mark + b" "
        self._held = b""
        self.status = ""

    def feed(self, data: bytes) -> bytes:
        """Take bytes, return those that are the program's; keeps back what may be the mark."""
        data = self._held + data
        at = data.find(self._start[:1])
        while at >= 0:
            tail = data[at:]
            if tail.startswith(self._start) and b"\n" in tail:
                self.status = (
                    tail[len(self._start) :].partition(b"\n")[0].decode("ascii", "replace")
                )
                self._held = b""
                return data[:at]
            if tail.startswith(self._start) or self._start.startswith(tail):
                self._held = tail
                return data[:at]
            at = data.find(self._start[:1], at + 1)
        self._held = b""
        return data

    def rest(self) -> bytes:
        """The last bytes of the program's, kept back until the end of the stream."""
        return self._held


def _exit(status: str) -> Exit:
    """The exit that the target's shell saw: a number, or a signal's name there (SEGV)."""
    if status.removeprefix("-").isdigit():
        return Exit(status=int(status), cause="exited")
    try:
        return Exit(signal=signal.Signals[f"SIG{status.removeprefix('SIG')}"], cause="signalled")
    except KeyError:
        return Exit(cause="ended", note=f"killed by signal {status}")
