# SPDX-License-Identifier: GPL-2.0-only
"""A running machine: its console, its monitor, its deadlines and its end."""

from __future__ import annotations

import contextlib
import select
import signal
import time
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path

from lkltest.host.api import Process
from lkltest.host.console import exit_from_status
from lkltest.sandbox.scope import Child, ScopeError
from lkltest.verdict.results import Exit, Problem, ProblemKind
from lkltest.verdict.watchdog import Watchdog
from lkltest.whole_file import write_whole

from .console import GuestConsole
from .deadlines import RunDeadlines
from .monitor import Monitor, MonitorError
from .serial import SerialLine
from .verdict import Decision, Verdict

_LIMIT = 32 << 20


class RawLog:
    """Bytes as they were received, each portion with its time; bounded (the first 32 MiB)."""

    def __init__(self) -> None:
        self._started = time.monotonic()
        self._data = bytearray()
        self._marks: list[tuple[float, int]] = []
        self._left_out = 0

    def add(self, data: bytes) -> None:
        """Take the next bytes."""
        room = _LIMIT - len(self._data)
        if room > 0 and data:
            self._marks.append((time.monotonic() - self._started, len(self._data)))
            self._data += data[:room]
        self._left_out += max(0, len(data) - max(0, room))

    def save(self, path: Path) -> None:
        """Write the bytes to `path` and, beside it with `.times`, lines of `SECONDS OFFSET`."""
        write_whole(path, bytes(self._data))
        lines = [f"{seconds:.6f} {offset}\n" for seconds, offset in self._marks]
        if self._left_out:
            lines.append(f"# {self._left_out} more bytes were not kept\n")
        write_whole(path.with_name(f"{path.name}.times"), "".join(lines))


_ENTER_JDB = b"\x1b"
_QUIT_SECONDS, _TERM_SECONDS, _KILL_SECONDS = 2.0, 2.0, 5.0
_AFTER_BAIL_OUT = 0.2


@dataclass(slots=True)
class Links:
    """Our ends of what leads into the machine."""

    monitor: Monitor
    console: SerialLine
    status: SerialLine | None
    said: Callable[[], str]
    """QEMU's own standard error."""

    def close(self) -> None:
        self.monitor.close()
        self.console.close()
        if self.status is not None:
            self.status.close()


class QemuProcess(Process):
    """A machine as a `Process`.

    Args:
        child: QEMU.
        links: what leads to it.
        command: its command line.
        console: takes the raw console apart.
        deadlines: the four of them.
        verdict: on what the console, the monitor and the end say.
        diagnose: takes a hang report; asked once, while the machine still lives.
        is_deserted: whether no program is left; None where the machine cannot tell.
        interactive: only a person or the machine itself ends it.
        held: a debugger lets the machine run, not we.
        enter_debugger: a machine that is out of time is given to a person, in JDB.
    """

    def __init__(
        self,
        child: Child,
        links: Links,
        command: tuple[str, ...],
        *,
        console: GuestConsole,
        deadlines: RunDeadlines,
        verdict: Verdict,
        diagnose: Callable[[QemuProcess], str],
        is_deserted: Callable[[QemuProcess], bool] | None = None,
        interactive: bool = False,
        held: bool = False,
        enter_debugger: bool = False,
    ) -> None:
        self.child = child
        self.links = links
        self.command = command
        self.exit = Exit(cause="ended")
        self.hang_report = ""
        self.raw = RawLog()
        self.listener: Callable[[bytes], object] | None = None
        """Called with the raw bytes of the console, for people."""
        self.on_end: Callable[[QemuProcess], None] | None = None
        self._console = console
        self._deadlines = deadlines
        self._verdict = verdict
        self._diagnose = diagnose
        self._is_deserted = is_deserted
        self._interactive = interactive
        self._held = held
        self._enter_debugger = enter_debugger
        self._watchdog = Watchdog()
        self._done = False
        self._closed = False
        self._asked = False  # by a diagnosis: what the machine does then is an answer
        self._ended_by_hand = False

    def chunks(self) -> Iterator[bytes]:
        """Let the machine run; yield the program's bytes until it is over."""
        try:
            if not self._held:
                self.links.monitor.execute("cont")
        except MonitorError as error:
            self._verdict.decide(Decision(Problem(ProblemKind.LAUNCH, str(error))))
        self._deadlines.start()
        yield from self._run()
        yield from self._last()

    def stream_done(self) -> None:
        """The program's plan is met: listen on for a moment, then end the machine."""
        self._done = True

    def bailed_out(self) -> None:
        """The program has given up: the run is over, whatever else the machine waits for."""
        self._verdict.decide(Decision(None, _AFTER_BAIL_OUT))

    def problems(self) -> list[Problem]:
        """The problems that were seen beside the stream."""
        return self._verdict.problems

    def send(self, data: bytes) -> None:
        """Type on the machine's console."""
        self.links.console.send(data)

    def read_quiet(self, quiet: float, limit: float) -> bytes:
        """Read the console until it has been silent for `quiet` seconds, at most for `limit`."""
        data = bytearray()
        end = time.monotonic() + limit
        while (left := end - time.monotonic()) > 0:
            poller = select.poll()
            poller.register(self.links.console, select.POLLIN)
            if not poller.poll(min(quiet, left) * 1000):
                break
            portion = self._receive()
            if not portion:
                break
            data += portion
        return bytes(data)

    @property
    def properties(self) -> Mapping[str, str]:
        """The properties that L4Re's tests have given their points."""
        return self._console.properties

    @property
    def in_debugger(self) -> bool:
        """Whether the console shows the prompt of Fiasco's kernel debugger."""
        return self._console.in_debugger

    def stop(self, why: str) -> None:
        """End the machine because a person wants it. May be called from another thread."""
        if self._interactive:
            self._ended_by_hand = True
            self.kill()
            return
        self._verdict.decide(Decision(Problem(ProblemKind.INTERRUPTED, why)))
        self.child.kill(signal.SIGTERM)

    def kill(self) -> None:
        """End the machine now."""
        self.child.kill(signal.SIGKILL)

    def close(self) -> None:
        """End the machine, whatever state it is in, and free what it holds."""
        if self._closed:
            return
        self._closed = True
        with contextlib.suppress(ScopeError):
            self._end()
        self.links.close()
        if self.on_end is not None:
            self.on_end(self)

    def _run(self) -> Iterator[bytes]:
        """Yield bytes until something ends the run."""
        poller = self._poller()
        while True:
            settling = self._done and self._console.others_done and not self._interactive
            limit = self._deadlines.limit(
                plan_seen=self._console.found,
                settling=settling,
                drain=self._console.settling_time,
                decision=None if self._interactive else self._verdict.decision,
                ask=self._is_deserted is not None and not self._interactive,
            )
            ready = {descriptor for descriptor, _ in poller.poll(limit.remaining() * 1000)}
            if self.links.monitor.fileno() in ready:
                self._take_events()
            if self.links.status is not None and self.links.status.fileno() in ready:
                self._take_status(poller)
            if self.links.console.fileno() in ready:
                data = self._receive()
                if data:
                    yield from self._hand_on(data)
                    continue
                poller.unregister(self.links.console)
            if self.child.fileno() in ready:
                return
            if not ready and limit.expired:
                yield from self._some(self._console.flush())
                if limit.cause == "settle":
                    self._deadlines.settled()
                    yield b""
                    continue
                if limit.cause == "ask":
                    self._look_for_programs()
                    continue
                if limit.cause == "quiet" and settling and not self._done:
                    continue
                if self._enter_debugger and limit.cause not in ("quiet", "settle"):
                    self._hand_over(limit.cause, limit.seconds)
                    continue
                self._give_up(limit.cause, limit.seconds)
                return

    def _look_for_programs(self) -> None:
        """A program that ends with status 0 says nothing: see whether any is left."""
        self._deadlines.asked()
        listener, self.listener = self.listener, None
        with contextlib.suppress(MonitorError):
            if self._is_deserted is not None and self._is_deserted(self):
                self._verdict.deserted()
        self.listener = listener

    def _poller(self) -> select.poll:
        poller = select.poll()
        for source in (self.links.monitor, self.links.console, self.child, self.links.status):
            if source is not None:
                poller.register(source, select.POLLIN)
        return poller

    def _receive(self) -> bytes:
        data = self.links.console.receive()
        self.raw.add(data)
        if data and self.listener is not None:
            self.listener(data)
        return data

    def _hand_on(self, data: bytes) -> Iterator[bytes]:
        self._deadlines.heard()
        if self._watchdog.feed(data):
            self._verdict.hung()
        yield from self._some(self._console.feed(data))
        self._verdict.look(self._console)

    def _some(self, data: bytes) -> Iterator[bytes]:
        """Yield the program's bytes; the consumer says again whether they complete the stream."""
        if data:
            self._done = False
            yield data

    def _take_events(self) -> None:
        for event in self.links.monitor.events():
            if self._verdict.needs_status(event):
                with contextlib.suppress(MonitorError):
                    status = self.links.monitor.execute("query-status")["status"]
                    self._verdict.stopped(str(status))
            else:
                self._verdict.take_event(event)

    def _take_status(self, poller: select.poll) -> None:
        assert self.links.status is not None  # noqa: S101 - it was polled
        data = self.links.status.receive()
        if data:
            self._verdict.take_status(data)
        else:
            poller.unregister(self.links.status)

    def _hand_over(self, cause: str, seconds: float) -> None:
        """The machine is out of time, which is its verdict, and now a person's, in JDB."""
        self._verdict.out_of_time(cause, seconds, "", self._console)
        self._enter_debugger = False
        self._interactive = True
        self._deadlines.lift()
        self.send(_ENTER_JDB)

    def _give_up(self, cause: str, seconds: float) -> None:
        """Nothing more is waited for: because all is there, or because it is not."""
        decided = self._verdict.decision
        if decided is not None:
            if decided.diagnose:
                self._asked = True
                report = self._diagnose(self)
                decided.add_detail(report)
                if decided.problem is None:
                    self.hang_report = report
            return
        if cause == "quiet":
            self._verdict.waited(seconds)
            return
        self._asked = True
        self.hang_report = self._diagnose(self)
        self._verdict.out_of_time(cause, seconds, self.hang_report, self._console)

    def _last(self) -> Iterator[bytes]:
        """End the machine and yield what is left."""
        wanted = self._ended_by_hand or self._asked
        by_itself = self.child.poll() is not None and not wanted
        self._end()
        if by_itself:
            rest = self.read_quiet(0.05, 2.0)
            if rest:
                yield from self._some(self._console.feed(rest))
                self._verdict.look(self._console)
            yield b""  # the last result is complete as it is
            self.links.monitor.closed.wait(1.0)
        if self.links.status is not None:
            while data := self.links.status.receive():
                self._verdict.take_status(data)
        # A machine that goes on printing when all is done is cut short by us, in mid-line.
        complete = self._done
        yield from self._some(self._console.close(whole_lines=complete))
        if self._verdict.unavailable:
            yield f"1..0 # SKIP {self._verdict.unavailable}\n".encode()
        if not self._asked:
            self._take_last_events()
        ended = exit_from_status(self.child.poll()) if by_itself else None
        self.exit = self._verdict.exit(ended, self.links.said(), complete=complete)

    def _take_last_events(self) -> None:
        for event in self.links.monitor.events():
            if not self._verdict.needs_status(event):
                self._verdict.take_event(event)

    def _end(self) -> None:
        """End QEMU: by its own command, then by signals."""
        if self.child.poll() is None:
            with contextlib.suppress(MonitorError):
                self.links.monitor.execute("quit", seconds=_QUIT_SECONDS)
                if self.child.wait(_QUIT_SECONDS) is not None:
                    return
        for number, seconds in ((signal.SIGTERM, _TERM_SECONDS), (signal.SIGKILL, _KILL_SECONDS)):
            if self.child.poll() is not None:
                return
            self.child.kill(number)
            self.child.wait(seconds)
