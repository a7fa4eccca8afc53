# SPDX-License-Identifier: GPL-2.0-only
"""A person's terminal, given to another program: gdb above all."""

from __future__ import annotations

import contextlib
import ctypes
import fcntl
import os
import select
import signal
import subprocess
import sys
import termios
import tty
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field

from lkltest.errors import LaunchError

_CHUNK = 1 << 16
_END_OF_INPUT = b"\x04"
_PR_SET_PDEATHSIG = 1


@dataclass(frozen=True, slots=True)
class Command:
    """A command line: words, the whole environment, descriptors by their number in the program."""

    words: tuple[str, ...]
    environment: Mapping[str, str] = field(default_factory=lambda: dict(os.environ))
    descriptors: Mapping[int, int] = field(default_factory=dict)


def run_by_hand(command: Command) -> int:
    """Run a command on this process's terminal; returns its exit status, negative for a signal.

    It has a terminal of its own, so that Ctrl-C is for it, and none of a scope's namespaces but
    those that its words enter. Where input or output are no terminal it has those. Raises
    LaunchError.
    """
    if not (os.isatty(0) and os.isatty(1)):
        sys.stdout.flush()
        child = _started(command, None)
        try:
            return child.wait()
        finally:
            child.kill()
            child.wait()
    ours, theirs = os.openpty()
    _like_ours(theirs)
    try:
        child = _started(command, theirs)
    except LaunchError:
        os.close(ours)
        raise
    finally:
        os.close(theirs)
    try:
        with _keys_at_once():
            _copy(ours, os.pidfd_open(child.pid))
        return child.wait()
    finally:
        os.close(ours)  # a hang-up for all that is left in its session
        child.kill()
        child.wait()


def _started(command: Command, terminal: int | None) -> subprocess.Popen[bytes]:
    """A command's process, with a terminal of its own where there is one. Raises LaunchError."""

    def before_exec() -> None:
        if terminal is None:  # nobody hangs up
            prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
        else:
            fcntl.ioctl(terminal, termios.TIOCSCTTY, 0)
        copies = {number: fcntl.fcntl(fd, fcntl.F_DUPFD, 100) for number, fd in given.items()}
        for number, copy in copies.items():
            os.dup2(copy, number)
            os.close(copy)

    given = dict(command.descriptors)
    prctl = ctypes.CDLL(None).prctl
    try:
        return subprocess.Popen(
            command.words,
            env=command.environment,
            stdin=terminal,
            stdout=terminal,
            stderr=terminal,
            start_new_session=terminal is not None,
            close_fds=False,  # all others close themselves
            preexec_fn=before_exec,  # noqa: PLW1509 - takes no lock
        )
    except OSError as error:
        missing = isinstance(error, FileNotFoundError)
        what = f"missing: apt-get install {command.words[0]}" if missing else error.strerror
        raise LaunchError(f"{command.words[0]}: {what}") from None


def show(data: bytes) -> None:
    """Bytes for the person's terminal, as they are."""
    sys.stdout.buffer.write(data)
    sys.stdout.buffer.flush()


def _like_ours(terminal: int) -> None:
    """Make a new terminal as large as the person's."""
    with contextlib.suppress(OSError, ValueError):
        size = fcntl.ioctl(sys.stdin.fileno(), termios.TIOCGWINSZ, b"\0" * 8)
        fcntl.ioctl(terminal, termios.TIOCSWINSZ, size)


@contextlib.contextmanager
def _keys_at_once() -> Iterator[None]:
    """Each key goes on as it is typed; what it means, the other terminal knows."""
    if not sys.stdin.isatty():
        yield
        return
    before = termios.tcgetattr(sys.stdin)
    tty.setraw(sys.stdin)
    try:
        yield
    finally:
        with contextlib.suppress(termios.error):  # the terminal has gone (SIGHUP)
            termios.tcsetattr(sys.stdin, termios.TCSADRAIN, before)


def _copy(terminal: int, ended: int) -> None:
    """Copy keys to a terminal and what it shows to the person, until its program has ended.

    `ended` is the program's pidfd, which is closed.
    """
    keys = sys.stdin.fileno()
    poller = select.poll()
    for source in (terminal, keys, ended):
        poller.register(source, select.POLLIN)
    with os.fdopen(ended):
        _copy_ready(poller, terminal, keys, ended)


def _copy_ready(poller: select.poll, terminal: int, keys: int, ended: int) -> None:
    while True:
        ready = {descriptor for descriptor, _ in poller.poll()}
        if terminal in ready:
            try:
                shown = os.read(terminal, _CHUNK)
            except OSError:  # nobody holds its other end
                return
            show(shown)
        elif ended in ready:
            return
        if keys in ready:
            typed = os.read(keys, _CHUNK)
            os.write(terminal, typed or _END_OF_INPUT)
            if not typed:
                poller.unregister(keys)
