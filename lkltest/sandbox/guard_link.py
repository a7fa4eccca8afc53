# SPDX-License-Identifier: GPL-2.0-only
"""The runner's end of a guard: its process and the socket whose closing ends it (guard.py)."""

import contextlib
import errno
import marshal
import os
import signal
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any

from lkltest.errors import LkltestError

ANSWER_SECONDS = 30.0  # a guard answers in milliseconds; this is for machines that swap
CLOSE_SECONDS = 10.0
# Imported, not run as a script, because only an import uses the compiled file: 5 ms less.
START = "import sys; sys.path.append(sys.argv[1]); from lkltest.sandbox.guard import main; main()"
PACKAGES = os.fspath(Path(__file__).parents[2])

Answer = tuple[dict[str, Any], list[int]]


class ScopeError(LkltestError):
    """A scope could not be made or its guard is gone; the text is one line."""


def temporary_folders() -> list[str]:
    """The folders in which a run folder may be made, best first, as tempfile has it.

    Not tempfile.gettempdir(): it tries them out with a file, which a SIGKILL at that moment leaves.
    """
    wanted = [os.environ.get(name) for name in ("TMPDIR", "TEMP", "TMP")]
    return [*(os.fspath(Path(name).absolute()) for name in wanted if name), "/tmp", "/var/tmp"]  # noqa: S108


class GuardLink:
    """A running guard. Not for several threads."""

    def __init__(self, prefix: Sequence[str], settings: Mapping[str, Any]) -> None:
        """Start it behind the command `prefix` (unshare, nsenter). Raises ScopeError."""
        self.lock = threading.RLock()  # one request and its answer at a time
        self._ended: dict[int, Callable[[int], None]] = {}
        self.pidfd = -1
        self._said = os.memfd_create("stderr", os.MFD_CLOEXEC)
        self._control, theirs = socket.socketpair(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        runner = os.pidfd_open(os.getpid())
        try:
            self.send({"parents": temporary_folders(), **settings})
            command = [sys.executable, "-I", "-S", "-c", START, PACKAGES]
            self._process = subprocess.Popen(
                [*prefix, *command, str(theirs.fileno()), str(runner)],
                stdin=subprocess.DEVNULL,
                stdout=subprocess.DEVNULL,
                stderr=self._said,
                pass_fds=(theirs.fileno(), runner),
                start_new_session=True,
            )
        except BaseException as error:
            self._control.close()
            os.close(self._said)
            if isinstance(error, OSError):
                raise ScopeError(f"cannot start a scope: {error}") from error
            raise
        finally:
            os.close(runner)
            theirs.close()

    def hello(self) -> dict[str, Any]:
        """The guard's first message. Raises ScopeError when the scope could not be made."""
        message, descriptors = self.answer()
        if message["kind"] == "failed":
            raise ScopeError(f"cannot start a scope: {message['where']}")
        self.pidfd = descriptors[0]
        return message

    def send(self, message: dict[str, Any], descriptors: Sequence[int] = ()) -> None:
        """Raises ScopeError when the guard is gone, OSError for a bad descriptor."""
        self._wait_at_most(ANSWER_SECONDS)
        try:
            socket.send_fds(self._control, [marshal.dumps(message)], descriptors)
        except (ConnectionError, TimeoutError) as error:
            raise self._gone() from error

    def answer(self) -> Answer:
        """The guard's answer to a request. An interruption here ends the scope, because the
        answer would be taken for that of the next request.
        """
        deadline = time.monotonic() + ANSWER_SECONDS
        try:
            while True:
                message, descriptors = self._receive(deadline)
                if message["kind"] != "exited":
                    return message, descriptors
        except BaseException:
            self.close()
            raise

    def watch(self, child: int, ended: Callable[[int], None]) -> None:
        """Call `ended` with the raw wait status once it is known."""
        self._ended[child] = ended

    def receive_until(self, done: Callable[[], bool]) -> None:
        """Read statuses until the awaited one is there. Raises ScopeError."""
        deadline = time.monotonic() + ANSWER_SECONDS
        while not done():
            self._receive(deadline)

    def _receive(self, deadline: float) -> Answer:
        self._wait_at_most(max(deadline - time.monotonic(), 0.001))
        try:
            data, descriptors, flags, _ = socket.recv_fds(
                self._control, 65536, 4, socket.MSG_CMSG_CLOEXEC
            )
        except TimeoutError as error:
            raise ScopeError("the guard of the scope does not answer") from error
        except ConnectionError as error:
            raise self._gone() from error
        if not data:
            raise self._gone()
        if flags & socket.MSG_CTRUNC:
            raise OSError(errno.EMFILE, os.strerror(errno.EMFILE))
        message: dict[str, Any] = marshal.loads(data)  # noqa: S302  # from our own guard
        if message["kind"] == "exited":
            ended = self._ended.pop(message["child"], None)
            if ended is not None:
                ended(message["status"])
        return message, descriptors

    def _wait_at_most(self, seconds: float) -> None:
        if self._control.fileno() < 0:
            raise ScopeError("the scope has ended")
        self._control.settimeout(seconds)

    def _gone(self) -> ScopeError:
        said = os.pread(self._said, 2000, 0).decode(errors="backslashreplace").strip()
        # Once the guard runs, what unshare says about its death is not the reason.
        reason = said.splitlines()[-1] if said and self.pidfd < 0 else "it was killed"
        return ScopeError(f"the guard of the scope is gone: {reason}")

    def close(self) -> None:
        """End the guard, and with it the scope, and wait for both. Safe when repeated."""
        if self._control.fileno() < 0:
            return
        deadline = time.monotonic() + CLOSE_SECONDS
        try:
            with contextlib.suppress(ScopeError, OSError):
                self._control.shutdown(socket.SHUT_WR)
                while True:  # the last statuses come, then the guard's end
                    self._receive(deadline)
        finally:
            self._control.close()
            self._end_process()

    def _end_process(self) -> None:
        try:
            self._process.wait(1)
        except subprocess.TimeoutExpired:  # it is stopped, or something in it cannot die
            if self.pidfd >= 0:
                signal.pidfd_send_signal(self.pidfd, signal.SIGKILL)
            self._process.kill()
            self._process.wait()
        finally:
            os.close(self._said)
            if self.pidfd >= 0:
                os.close(self.pidfd)
                self.pidfd = -1
