# SPDX-License-Identifier: GPL-2.0-only
"""A step: one long command, with a line that says what is done and for how long.

On a terminal the line is updated in place; elsewhere a line every half minute tells a job that
works from one that hangs without flooding a log. All output goes to the step's log.
"""

from __future__ import annotations

import contextlib
import os
import re
import signal
import subprocess
import sys
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lkltest.errors import SetupError

from .diagnosis import diagnose

_GRACE_SECONDS = 0.4
"""Time that what is interrupted has to tidy up."""
_EVERY_SECONDS = 30.0
LOCK_SECONDS = 300.0


@dataclass(frozen=True, slots=True)
class Outcome:
    """A command's end, and all that it printed."""

    status: int
    text: str


def run_step(
    what: str,
    command: Sequence[str | Path],
    log: Path,
    *,
    environment: Mapping[str, str] | None = None,
    folder: Path | None = None,
    lock: re.Pattern[str] | None = None,
) -> Outcome:
    """Run a command to its end, with its line of progress. Raises SetupError, KeyboardInterrupt.

    Whatever ends this process but SIGKILL ends all that the command has started. `lock`: what it
    says when another program is at work (who, in the group `holder`), which is waited for.
    """
    line = _Line(what)
    limit = time.monotonic() + LOCK_SECONDS
    while True:
        try:
            status = _run(command, log, line, environment, folder)
        except FileNotFoundError as error:
            line.end("FAILED")
            raise SetupError(f"{what}: {error.filename} is missing") from None
        except OSError as error:
            line.end("FAILED")
            where = error.filename or log
            raise SetupError(f"{what}: {where}: {diagnose(str(error.strerror))}") from None
        text = log.read_text(encoding="utf-8", errors="replace")
        held = lock.search(text) if lock and status else None
        if held is None or time.monotonic() > limit:
            break
        who = f"process {held['holder']}" if held["holder"] else "another one"
        line.note(f"waiting for {who} to end, at most {LOCK_SECONDS:.0f} s")
        time.sleep(1)
    line.end("done in" if status == 0 else "FAILED after", seconds=True)
    return Outcome(status, text)


def _run(
    command: Sequence[str | Path],
    log: Path,
    line: _Line,
    environment: Mapping[str, str] | None,
    folder: Path | None,
) -> int:
    log.parent.mkdir(parents=True, exist_ok=True)
    with log.open("wb") as output:
        # A process group of its own: all compilers are in it, and the terminal's Ctrl-C comes to us
        # first. No session of its own: sudo would not know its user's terminal.
        process = subprocess.Popen(
            [str(word) for word in command],
            stdin=subprocess.DEVNULL,
            stdout=output,
            stderr=output,
            env=environment,
            cwd=folder,
            process_group=0,
        )
    try:
        line.wait_for(process)
    except BaseException:
        _end(process)
        line.end("interrupted")
        raise
    return process.returncode


class _Line:
    """The line of progress of one step."""

    def __init__(self, what: str) -> None:
        self._what = what
        self._terminal = sys.stdout.isatty()
        self._start = time.monotonic()
        self._noted = ""
        self._show(f"  {what} ...")

    @property
    def seconds(self) -> float:
        return time.monotonic() - self._start

    def wait_for(self, process: subprocess.Popen[bytes]) -> None:
        every = 1.0 if self._terminal else _EVERY_SECONDS
        while True:
            try:
                process.wait(every)
                return
            except subprocess.TimeoutExpired:
                so_far = "" if self._terminal else " so far"
                self._show(f"  {self._what} ... {self.seconds:.0f} s{so_far}")

    def note(self, text: str) -> None:
        """Say once why it goes on."""
        if text != self._noted:
            self._noted = text
            self._show(f"  {self._what} ... {text}")

    def end(self, how: str, *, seconds: bool = False) -> None:
        took = f" {self.seconds:.0f} s" if seconds else ""
        self._show(f"  {self._what}: {how}{took}")
        if self._terminal:
            print(flush=True)

    def _show(self, text: str) -> None:
        # \x1b[K: what the line before had more of is not to stay.
        print(f"\r{text}\x1b[K" if self._terminal else text, end="" if self._terminal else "\n")
        sys.stdout.flush()


def _end(process: subprocess.Popen[bytes]) -> None:
    """End a process group: asked first, killed when some of it is still there."""
    group = process.pid
    _signal_group(group, signal.SIGTERM)
    limit = time.monotonic() + _GRACE_SECONDS
    while time.monotonic() < limit:
        process.poll()  # else its leader would be there for ever
        if not _is_there(group):
            return
        time.sleep(0.02)
    _signal_group(group, signal.SIGKILL)
    with contextlib.suppress(subprocess.TimeoutExpired):
        process.wait(_GRACE_SECONDS)


def _signal_group(group: int, number: signal.Signals) -> None:
    try:
        os.killpg(group, number)
    except ProcessLookupError:
        return
    except PermissionError:
        # What sudo has started is root's. There need be no kill(1) in a small system.
        script = f'kill -s {number.name.removeprefix("SIG")} -- "-$1"'
        subprocess.run(
            ["sudo", "-n", "sh", "-c", script, "sh", str(group)],  # noqa: S607 - sudo(8), wherever
            stdin=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
            check=False,
        )


def _is_there(group: int) -> bool:
    """Whether the group has any process."""
    try:
        os.killpg(group, 0)
    except ProcessLookupError:
        return False
    except PermissionError:
        return True
    return True
