# SPDX-License-Identifier: GPL-2.0-only
"""A wineserver and the Wine services, alive as long as a scope, which programs join.

One per session: a lone run pays 2.7 s for a server of its own. The server and all its clients must
be in one PID namespace, or TerminateProcess reports success and kills nothing; so runs enter the
namespaces of the server's scope. When the session's process dies, by SIGKILL too, the scope's guard
ends all of it.
"""

from __future__ import annotations

import contextlib
import json
import os
import select
import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lkltest.deadline import Deadline
from lkltest.errors import LaunchError
from lkltest.plain import from_plain, to_plain
from lkltest.report.terminal import echo_error
from lkltest.sandbox.scope import Child, Scope, ScopeError
from lkltest.whole_file import write_whole

from .prefix import copy, ensure, in_use, listens, name_socket_folder
from .tools import WineTools, program_environment

_MAKE_SECONDS = 240.0
"""A cold prefix takes 11 to 16 s on an idle machine; this is for one that swaps."""
_WARM_SECONDS = 60.0
_END_SECONDS = 10.0
_PROGRESS_SECONDS = 5.0
_ANSWER = 42
_HANDLE = "wine.json"


class BrokenPrefix(LaunchError):
    """Wine does not start in a prefix that looks whole."""


@dataclass(frozen=True, slots=True)
class Server:
    """A running server.

    Attributes:
        pid: a process of its scope.
        process: the server's own, 0 where it is not ours to watch.
        temporary: the folder of its socket.
    """

    pid: int
    process: int
    prefix: Path
    temporary: Path

    def lifeline(self) -> int | None:
        """A descriptor that becomes readable when the server dies; None when it has."""
        try:
            descriptor = os.pidfd_open(self.process)
        except OSError:
            return None
        if not _readable(descriptor):
            return descriptor
        os.close(descriptor)
        return None

    def has_died(self) -> bool:
        """Whether it has died or is about to: then it listens no more, and its clients die."""
        descriptor = self.lifeline()
        if descriptor is None:
            return True
        os.close(descriptor)
        return not any(listens(path) for path in self.temporary.glob("*/server-*/socket"))

    def save(self, shared: Path) -> None:
        """Leave word of it in the directory that xdist's workers share."""
        write_whole(shared / _HANDLE, json.dumps(to_plain(self)))

    @classmethod
    def load(cls, shared: Path) -> Server | None:
        """The server that the controller has started, if it has."""
        try:
            return from_plain(cls, json.loads((shared / _HANDLE).read_text(encoding="utf-8")))
        except FileNotFoundError:
            return None


def _readable(descriptor: int) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(0))


@contextlib.contextmanager
def session_server(tools: WineTools, prefix: Path, *, ours: bool) -> Iterator[Server]:
    """A session's server on `prefix`, or on a copy when another session has the prefix.

    ours: the prefix is lkltest's own, to be made anew when it is broken. Raises LaunchError.
    """
    ensure(prefix, lambda path: make_prefix(tools, path))
    with contextlib.ExitStack() as stack:
        try:
            server = stack.enter_context(_locked_server(tools, prefix))
        except BrokenPrefix as error:
            if not ours:
                raise LaunchError(f"{error}; remove it to have it made again") from None
            echo_error(f"{error}; making it anew")
            ensure(prefix, lambda path: make_prefix(tools, path), rebuild=True)
            server = stack.enter_context(_locked_server(tools, prefix))
        yield server


def make_prefix(tools: WineTools, path: Path) -> None:
    """Fill an empty directory with a prefix, with progress on stderr. Raises LaunchError."""
    echo_error(f"making the Wine prefix {path.with_suffix('')}, once")
    started = time.monotonic()
    try:
        with Scope(daemons=True) as scope, _server(tools, path, scope):
            environment = program_environment(tools, path)
            with _log(scope.folder / "wineboot.log") as log:
                child = scope.spawn(
                    [tools.wine, "wineboot.exe", "--init"],
                    env=environment, cwd=path, stdout=log, stderr=log,
                )  # fmt: skip
                _wait_with_progress(child, started)
            said = _last_line(scope.folder / "wineboot.log")
            status = child.wait(0)
    except (ScopeError, OSError) as error:
        raise LaunchError(f"Wine prefix {path}: {error}") from None
    if status is None or not os.WIFEXITED(status):
        limit = f"wineboot did not end within {_MAKE_SECONDS:g} s"
        raise LaunchError(
            f"Wine prefix {path}: {limit if status is None else 'wineboot died'}{said}"
        )
    echo_error(f"Wine prefix made in {time.monotonic() - started:.0f} s")


@contextlib.contextmanager
def _locked_server(tools: WineTools, prefix: Path) -> Iterator[Server]:
    try:
        with in_use(prefix) as alone, Scope(daemons=True) as scope:
            own = prefix if alone else copy(prefix, scope.folder / "prefix")
            with _server(tools, own, scope) as server:
                _warm_up(tools, server, scope)
                yield server
    except ScopeError as error:
        raise LaunchError(f"wineserver: {error}") from None


@contextlib.contextmanager
def _server(tools: WineTools, prefix: Path, scope: Scope) -> Iterator[Server]:
    """A wineserver in `scope`, in the foreground and persistent, its output on a file.

    A pipe would be inherited by every Wine process and never come to its end.
    """
    environment = program_environment(tools, prefix)
    named = name_socket_folder(prefix, scope.folder / "wine")
    with _log(scope.folder / "wineserver.log") as log:
        server = scope.spawn(
            [tools.server, "--foreground", "--persistent"],
            env=environment, cwd=prefix, stdout=log, stderr=log,
        )  # fmt: skip
        try:
            yield Server(scope.pid, server.pid, prefix, scope.folder)
        finally:
            with contextlib.suppress(ScopeError, OSError):
                _end(tools, environment, server, scope)
                named.unlink()


def _warm_up(tools: WineTools, server: Server, scope: Scope) -> None:
    """Start the services, in the session's scope: those that a run started would die with it.

    It also proves that the prefix works. Raises BrokenPrefix.
    """
    command: list[str | Path] = [
        tools.wine,
        r"C:\windows\system32\cmd.exe",
        "/c",
        f"exit {_ANSWER}",
    ]
    environment = program_environment(tools, server.prefix)
    output = scope.folder / "warm-up.log"
    with _log(output) as log:
        try:
            child = scope.spawn(command, env=environment, cwd=server.prefix, stdout=log, stderr=log)
        except OSError as error:
            raise LaunchError(f"{tools.wine}: {error.strerror}") from None
        status = child.wait(_WARM_SECONDS)
    if status is None or not os.WIFEXITED(status) or os.WEXITSTATUS(status) != _ANSWER:
        what = f"does not answer within {_WARM_SECONDS:g} s" if status is None else "does not work"
        said = _last_line(output) or _last_line(scope.folder / "wineserver.log")
        raise BrokenPrefix(f"Wine prefix {server.prefix}: {what}{said}")


def _end(tools: WineTools, environment: Mapping[str, str], server: Child, scope: Scope) -> None:
    """End the server and its services, and wait until the registry is written.

    Never by SIGKILL: the services outlive that. Whatever is left dies with the scope.
    """
    deadline = Deadline(_END_SECONDS)
    for word in ("-k", "-w"):
        child = scope.spawn([tools.server, word], env=environment, cwd=scope.folder)
        child.wait(deadline.remaining())
    server.wait(deadline.remaining())


def _wait_with_progress(child: Child, started: float) -> None:
    deadline = Deadline(_MAKE_SECONDS)
    while child.wait(min(_PROGRESS_SECONDS, deadline.remaining())) is None:
        if deadline.expired:
            return
        echo_error(f"  ... {time.monotonic() - started:.0f} s")


@contextlib.contextmanager
def _log(path: Path) -> Iterator[int]:
    with path.open("ab") as file:
        yield file.fileno()


def _last_line(path: Path) -> str:
    with contextlib.suppress(OSError):
        lines: Sequence[str] = path.read_text("utf-8", "backslashreplace").strip().splitlines()
        if lines:
            return f" ({lines[-1].strip()})"
    return ""
