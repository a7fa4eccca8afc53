# SPDX-License-Identifier: GPL-2.0-only
"""A running program: its console's bytes, its deadlines, its end."""

from __future__ import annotations

import os
import select
import signal
import tty
from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Protocol, cast

from pexpect import EOF, TIMEOUT
from pexpect.fdpexpect import fdspawn

from lkltest.deadline import Deadline, Deadlines
from lkltest.host.api import Process
from lkltest.verdict.results import Cause, Exit, PointResult, Problem
from lkltest.verdict.watchdog import Watchdog

if TYPE_CHECKING:
    from lkltest.host.wrapper import Wrapper
    from lkltest.sandbox.scope import Child

_CHUNK = 65536
_QUIET_AFTER_EXIT = 0.1
"""Seconds without output after the exit before a console that something still holds is left."""
_DEATH_SECONDS = 5.0
"""Seconds that a program has to die of a fault in after it has been looked at."""
_AFTER_BAIL_OUT = 2.0
"""Seconds in which a program that has given up ends by itself, or is ended."""
_REPORT_SECONDS = 1.0
"""Seconds in which a kernel tells all of what it has to say of its own hang."""
_SIDE_LIMIT = 1 << 20
_WAKING_BYTES = 400


def open_terminal() -> tuple[int, int]:
    """Open a pseudo-terminal in raw mode: bytes pass unchanged. Returns (our end, program's end).

    A terminal, not a pipe, because C programs buffer whole blocks on a pipe and a crash would lose
    them.
    """
    ours, theirs = os.openpty()
    tty.setraw(theirs)
    return ours, theirs


class Observer(Protocol):
    """An onlooker that is asked about a program when it is dying or hangs."""

    report: str
    """The findings; "" before anything has happened."""

    def look(self) -> str:
        """Observe a program that hangs; says why when nothing can be seen."""

    def join_if_dying(self) -> bool:
        """Whether a fault was seen, after which the end is near and silence no stall.

        Waits for the look at it, in which the program says nothing.
        """

    def settle(self) -> Iterator[bytes]:
        """Wait for the look at a program that has died; yield what it had not printed."""


class Console(Process):
    """A child's terminal, read until its end.

    `side` is a second descriptor (a pipe with the program's stderr) whose bytes are kept apart.
    `diagnose` is called once, while the program still lives, when a deadline has passed; what it
    returns becomes the detail of the failure. A `debugger` does that, too, and sees faults.
    `lifeline` is a descriptor that becomes readable when something has died that the program needs.
    """

    def __init__(
        self,
        child: Child,
        terminal: int,
        command: tuple[str, ...],
        deadlines: Deadlines,
        *,
        side: int | None = None,
        lifeline: int | None = None,
        diagnose: Callable[[], str] | None = None,
        debugger: Observer | None = None,
        wrapper: Wrapper | None = None,
    ) -> None:
        self.child = child
        self.command = command
        self._wrapper = wrapper
        self.exit = Exit(cause="ended")
        self.side_output = bytearray()
        self.hang_report = ""
        self._terminal = fdspawn(terminal, use_poll=True)
        self._side = side
        self._lifeline = lifeline
        self._debugger = debugger
        self._diagnose = debugger.look if debugger else diagnose
        self._total = Deadline(deadlines.total)
        self._silence = Deadline(deadlines.silence)
        self._after_bail_out: Deadline | None = None
        self._watchdog = Watchdog()
        self._hung = False

    def chunks(self) -> Iterator[bytes]:
        """Yield bytes as they arrive; afterwards `exit` says how the program ended."""
        while True:
            ready = self._wait(self._wait_limit())
            if self._after_bail_out is not None and self._after_bail_out.expired:
                self.child.kill(signal.SIGKILL)
                self.exit = Exit(cause="ended")
                return
            if not ready and self._debugger is not None and self._debugger.join_if_dying():
                ready = self._wait(_DEATH_SECONDS)
            if not ready or (self._hung and self._silence.expired):
                yield from self._give_up()
                return
            if self._descriptor in ready:
                data = self._read()
                if data:
                    self._heard(data)
                    yield data
                    continue
            if self.child.fileno() in ready:
                break
            if self._lifeline in ready:
                self.child.kill(signal.SIGKILL)
                break
        yield from self._drain(_QUIET_AFTER_EXIT)
        yield from self._what_was_seen()
        status = self.child.wait(5.0)
        self.exit = Exit(cause="ended") if self._lifeline in ready else exit_from_status(status)

    def _heard(self, data: bytes) -> None:
        """Count the silence from now on, or what is left to hear of a kernel that has given up."""
        if self._hung:
            return
        self._hung = self._watchdog.feed(data)
        if self._hung:
            self._silence = Deadline(_REPORT_SECONDS)
        else:
            self._silence.restart()

    def stream_done(self) -> None:
        """A program ends by itself: nothing to do."""

    def bailed_out(self) -> None:
        """Begin to count the time that is left to it."""
        if self._after_bail_out is None:
            self._after_bail_out = Deadline(_AFTER_BAIL_OUT)

    def more_points(self) -> list[PointResult]:
        """The test points of a wrapper such as valgrind."""
        return self._wrapper.points() if self._wrapper else []

    def problems(self) -> list[Problem]:
        """The problems beside the stream and the exit: none."""
        return []

    def look(self) -> str:
        """The stacks of the program, which hangs."""
        self.hang_report = self.hang_report or (self._diagnose() if self._diagnose else "")
        return self.hang_report

    def kill(self) -> None:
        """End the program now. One that is dying of a fault is left to it, or nobody would know."""
        if self._debugger is None or not self._debugger.join_if_dying():
            self.child.kill(signal.SIGKILL)

    def close(self) -> None:
        """Kill the program if it lives and close the terminal."""
        if self.child.poll() is None:
            self.child.kill(signal.SIGKILL)
        self._terminal.close()
        self._close_side()
        if self._lifeline is not None:
            os.close(self._lifeline)
            self._lifeline = None

    @property
    def _descriptor(self) -> int:
        return int(self._terminal.child_fd)

    def _wait_limit(self) -> float:
        limits = [self._total, self._silence, self._after_bail_out]
        return min(limit.remaining() for limit in limits if limit is not None)

    def _wait(self, seconds: float) -> set[int]:
        """Wait for the terminal, side channel or child's end; an empty set is a time-out."""
        poller = select.poll()
        if not self._terminal.flag_eof:
            poller.register(self._descriptor, select.POLLIN)
        if self._side is not None:
            poller.register(self._side, select.POLLIN)
        poller.register(self.child.fileno(), select.POLLIN)
        if self._lifeline is not None:
            poller.register(self._lifeline, select.POLLIN)
        limit = Deadline(seconds)
        while True:
            ready = {descriptor for descriptor, _ in poller.poll(limit.remaining() * 1000)}
            if self._side in ready and self._side is not None:
                ready.discard(self._side)
                if not self._read_side():
                    poller.unregister(self._side)
                    self._close_side()
            if ready or limit.expired:
                return ready

    def _read(self) -> bytes:
        """Read what is there; empty at the end, when nobody holds the terminal's other end."""
        try:
            # Without an encoding pexpect returns bytes; its stubs know only str.
            return cast(bytes, self._terminal.read_nonblocking(_CHUNK, timeout=0))
        except (EOF, TIMEOUT):
            return b""

    def _drain(self, quiet: float) -> Iterator[bytes]:
        while not self._terminal.flag_eof:
            poller = select.poll()
            poller.register(self._descriptor, select.POLLIN)
            if not poller.poll(quiet * 1000):
                return
            data = self._read()
            if data:
                yield data
            if self._total.expired:
                return

    def _what_was_seen(self) -> Iterator[bytes]:
        """Yield what the debugger found in the program that it had not printed."""
        if self._debugger is not None:
            yield from self._debugger.settle()
            self.hang_report = self.hang_report or self._debugger.report

    def _give_up(self) -> Iterator[bytes]:
        """A deadline has passed: find out what the program was doing, then kill it."""
        limit = self._total if self._total.expired else self._silence
        if self._diagnose is not None:
            self.hang_report = self._diagnose()
        self.child.kill(signal.SIGKILL)
        self.child.wait(5.0)
        for data in self._drain(_QUIET_AFTER_EXIT):
            if limit is self._total or self._hung:
                yield data
            else:  # the point where it was silent is to blame, not where it is now
                said = data[:_WAKING_BYTES].decode("utf-8", "backslashreplace").strip()
                woke = f"it woke up while it was looked at, and said: {said}"
                self.hang_report = f"{self.hang_report}\n\n{woke}".strip()
            break  # a flood would go on for ever; the buffer's content is all that can be late
        yield from self._what_was_seen()
        if self._hung and limit is self._silence:
            self.exit = Exit(cause="hung")
            return
        cause: Cause = "deadline" if limit is self._total else "stall"
        self.exit = Exit(cause=cause, note=f"{limit.seconds:g} s")

    def _read_side(self) -> bool:
        if self._side is None:
            return False
        data = os.read(self._side, _CHUNK)
        self.side_output += data[: max(0, _SIDE_LIMIT - len(self.side_output))]
        return bool(data)

    def _close_side(self) -> None:
        if self._side is not None:
            os.close(self._side)
            self._side = None


def exit_from_status(status: int | None) -> Exit:
    """Turn a raw wait status into an Exit; None means that the guard lost the child."""
    if status is None:
        return Exit(cause="ended", note="its end was not seen")
    if os.WIFSIGNALED(status):
        return Exit(signal=os.WTERMSIG(status), cause="signalled")
    return Exit(status=os.WEXITSTATUS(status), cause="exited")
