# SPDX-License-Identifier: GPL-2.0-only
"""A target's control shell: one command there that is held open, and answers what it is asked.

It reads its script from here, as a shell reads standard input. So a request costs no new channel of
the connection, and whoever listens there knows by the end of the script that nobody is here.
"""

from __future__ import annotations

import contextlib
import os
import re
import secrets
import select
import signal
import subprocess
import threading
from collections.abc import Callable, Sequence
from pathlib import Path

from lkltest.deadline import Deadline
from lkltest.errors import ConnectionLost, LaunchError

_CLIENT_SCRIPT = """\
exec 4<&0 </dev/null
"$@" <&4 3<&- 4<&- &
client=$!
exec 4<&-
{ read -r _ <&3; kill $client; } >/dev/null 2>&1 &
reader=$!
wait $client
status=$?
kill $reader 2>/dev/null
exit $status
"""
"""Starts a client, which is ended when nobody is left who could write to descriptor 3."""
_END_SECONDS = 5.0
_WORDS_BYTES = 4096


class Client:
    """A transport's process, which ends with this one, however that ends."""

    def __init__(self, command: Sequence[str], folder: Path) -> None:
        self._said = folder / "said"  # a pipe that nobody reads would fill up
        alive, self._lifeline = os.pipe2(os.O_CLOEXEC)
        try:
            with self._said.open("wb") as said:
                self.process = subprocess.Popen(
                    ["/bin/sh", "-c", f"exec 3</dev/fd/{alive}\n{_CLIENT_SCRIPT}", "sh", *command],
                    stdin=subprocess.PIPE,
                    stdout=subprocess.PIPE,
                    stderr=said,
                    pass_fds=[alive],
                    start_new_session=True,  # Ctrl-C is for us to hear
                )
        finally:
            os.close(alive)

    def said(self) -> str:
        """The last line of its errors, or ""."""
        try:
            text = self._said.read_bytes()[-_WORDS_BYTES:].decode("utf-8", "replace")
        except OSError:  # it is closed, and the folder gone
            return ""
        return last_line(text)

    def close(self, seconds: float) -> None:
        """End it; it has so many seconds to do so by itself."""
        if self.process.stdin is not None:
            with contextlib.suppress(OSError):
                self.process.stdin.close()
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(seconds)
        if self.process.stdout is not None:
            self.process.stdout.close()
        os.close(self._lifeline)
        with contextlib.suppress(ProcessLookupError):
            os.killpg(self.process.pid, signal.SIGKILL)
        self.process.wait()


class Control:
    """The shell at the other end of a client. Every method raises LaunchError, one line."""

    def __init__(
        self, address: str, client: Client, lost: Callable[[int, str], str | None]
    ) -> None:
        """`lost` says why a client's status is one of a lost connection (`Transport.lost`)."""
        self._address = address
        self._client = client
        self._lost = lost
        self._lock = threading.Lock()
        self._answered = False
        self._heard = b""

    def send(self, script: bytes) -> None:
        """Have it do something; what it prints comes before the answer to what is asked next."""
        assert self._client.process.stdin is not None  # noqa: S101 - a pipe
        try:
            self._client.process.stdin.write(script)
            self._client.process.stdin.flush()
        except OSError:
            raise self._ended() from None

    def ask(self, script: bytes, seconds: float) -> bytes:
        """The output of a script that it runs; the last line is the error if that fails."""
        mark = secrets.token_hex(16)
        with self._lock:
            self.send(script + f"printf '\\n%s %s\\n' {mark} $?\n".encode())
            end = re.compile(b"\n" + mark.encode() + rb" (\d+)\n")
            limit = Deadline(seconds)
            while (found := end.search(self._heard)) is None:
                self._hear(limit)
            said, self._heard = self._heard[: found.start()], self._heard[found.end() :]
            self._answered = True
        if found[1] != b"0":
            reason = last_line(said.decode("utf-8", "replace"))
            raise LaunchError(f"{self._address}: {reason or f'status {int(found[1])}'}")
        return said

    def close(self, script: bytes) -> None:
        """Have it do something last, and end it; without a script it is ended at once."""
        if script:
            with contextlib.suppress(LaunchError):
                self.send(script)
        self._client.close(_END_SECONDS if script else 0)

    def _hear(self, limit: Deadline) -> None:
        assert self._client.process.stdout is not None  # noqa: S101 - a pipe
        output = self._client.process.stdout.fileno()
        if not select.select([output], [], [], limit.remaining())[0]:
            raise ConnectionLost(f"{self._address}: no answer within {limit.seconds:g} s")
        data = os.read(output, 65536)
        if not data:
            raise self._ended()
        self._heard += data

    def _ended(self) -> LaunchError:
        """The error of a client that has ended, or of a shell that was none."""
        try:
            status = self._client.process.wait(_END_SECONDS)
        except subprocess.TimeoutExpired:
            return ConnectionLost(f"{self._address}: the connection was lost")
        said = self._client.said()
        if (reason := self._lost(status, said)) is not None:
            where = self._address if self._answered else f"cannot connect to {self._address}"
            return ConnectionLost(f"{where}: {reason}")
        if self._answered:
            return ConnectionLost(f"{self._address}: {said or 'its shell has ended'}")
        heard = last_line(self._heard.decode("utf-8", "replace"))
        return LaunchError(f"{self._address}: {heard or said or 'has no POSIX shell'}")


def last_line(text: str) -> str:
    """The last line of a text that holds anything, or ""."""
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    return lines[-1] if lines else ""
