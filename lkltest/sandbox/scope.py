# SPDX-License-Identifier: GPL-2.0-only
"""A scope: programs, namespaces and a folder that die together, and with the runner.

A *run scope* holds one program and its helpers, a *session scope* what several runs share (Wine's
server); other processes enter the latter with `Scope(join=PID)`. Who does the work is a guard
process (guard.py); the runner holds one end of a socket, and its closing, by exit or by SIGKILL, is
what ends the scope. See namespaces(7), pidfd_open(2), unix(7).
"""

import contextlib
import marshal
import os
import select
import signal
import subprocess
from collections.abc import Callable, Mapping, Sequence
from pathlib import Path
from typing import Any, Self

from lkltest.sandbox.guard_link import Answer, GuardLink, ScopeError
from lkltest.sandbox.isolation import NAMESPACE, SUBREAPER, Isolation, joined, probe

__all__ = ["NAMESPACE", "SUBREAPER", "Child", "Isolation", "Scope", "ScopeError", "probe"]


class Child:
    """A program in a scope. Made by `Scope.spawn`; ends with the scope at the latest."""

    def __init__(self, link: GuardLink, pidfd: int, inner_pid: int) -> None:
        self._link = link
        self.inner_pid = inner_pid
        """The pid as programs of the scope see it."""
        self._pidfd = pidfd
        self._status: int | None = None
        self.pid = _pid_of(pidfd)
        """The pid as the runner sees it: for gdb, /proc and kill(1)."""

    def _ended(self, status: int) -> None:
        self._status = status

    def fileno(self) -> int:
        """A descriptor that becomes readable when the program ends (a pidfd)."""
        return self._pidfd

    def poll(self) -> int | None:
        """The raw wait status (os.WIFSIGNALED and so on), None while the program runs.

        Raises ScopeError when the guard died and the status with it.
        """
        return self.wait(0)

    def wait(self, seconds: float | None = None) -> int | None:
        """As `poll`, after waiting for the end for at most `seconds` (None: for ever)."""
        if self._status is None and self._pidfd < 0:
            raise ScopeError("the program ended with its scope, its status is not known")
        if self._status is None and _readable(self._pidfd, seconds):
            # The lock lets helpers be waited for in threads of their own.
            with self._link.lock:
                self._link.receive_until(lambda: self._status is not None)
        return self._status

    def kill(self, number: int = signal.SIGKILL) -> None:
        """Send a signal to the program; nothing happens when it has ended."""
        if self._pidfd >= 0:
            with contextlib.suppress(ProcessLookupError):
                signal.pidfd_send_signal(self._pidfd, number)


class Scope:
    """Context manager: enter makes the namespaces and the run folder, exit ends all of it.

    network: a network namespace of its own (devices: lkltest.sandbox.netdev).
    mounts: a private mount namespace: a tmpfs on `folder/dev` (device nodes work on it when root
        made it), a private /proc, with `network` a private sysfs on `folder/sys`.
    daemons: what programs leave behind lives on until the scope ends. Without it, the end of the
        last program ends its daemons too, so that a console they hold comes to its end.
    join: the `pid` of another scope, perhaps made by another process, whose namespaces are entered
        instead of making new ones. Its end ends this one; this one's end leaves it alone. The run
        folder is made in that scope's, whose guard removes it if ours dies with the namespace.
    isolation: for tests; the default is what `probe()` found.
    """

    def __init__(
        self,
        *,
        network: bool = False,
        mounts: bool = False,
        daemons: bool = False,
        join: int | None = None,
        isolation: Isolation | None = None,
    ) -> None:
        self._isolation = isolation or probe()
        self._network, self._mounts, self._daemons, self._join = network, mounts, daemons, join
        self._link: GuardLink | None = None
        self._children: list[Child] = []
        self.isolated_by = self._isolation.kind
        """NAMESPACE or SUBREAPER."""
        self.user = self._isolation.user
        """Whether the namespaces belong to a user namespace of their own."""
        self.pid = 0
        """The guard's pid as the runner sees it: /proc/<pid>/ns/* are the scope's namespaces."""
        self.folder = Path()
        """The run folder: 0700, unguessable, removed by the guard."""
        self.unmounted: dict[str, str] = {}
        """File systems that `mounts` could not mount, with the reason ("proc", "sysfs")."""

    def __enter__(self) -> Self:
        """Raises ScopeError with the reason in one line."""
        if (self._network or self._mounts) and self.isolated_by == SUBREAPER:
            raise ScopeError(f"no namespaces here: {self._isolation.reason}")
        try:
            self._link = GuardLink(self._prefix(), self._settings())
            hello = self._link.hello()
            self.pid = _pid_of(self._link.pidfd)
            self.folder = Path(hello["folder"])
            self.unmounted = hello["unmounted"]
        except BaseException:
            self._close()
            raise
        return self

    def __exit__(self, *_: object) -> None:
        """End everything. Raises ScopeError only when something could not be removed."""
        self._close()
        if self.folder != Path() and self.folder.exists():
            # The guard was killed before it could. shutil.rmtree removes no tree of any depth.
            subprocess.run(
                ["rm", "-rf", "--", self.folder],  # noqa: S607 - rm(1), wherever it is
                stdin=subprocess.DEVNULL,
                stderr=subprocess.DEVNULL,
                check=False,
            )
            if self.folder.exists():
                raise ScopeError(f"cannot remove {self.folder}")

    def spawn(
        self,
        argv: Sequence[str | bytes | os.PathLike[str]],
        *,
        env: Mapping[str, str] | None = None,
        cwd: str | os.PathLike[str] | None = None,
        stdin: int | None = None,
        stdout: int | None = None,
        stderr: int | None = None,
        pass_fds: Mapping[int, int] | None = None,
        terminal: bool = False,
        before_exec: Callable[[int], object] | None = None,
    ) -> Child:
        """Start a program in the scope, in a session of its own, all signals at their defaults.

        env: the whole environment, by default the runner's. cwd: by default the runner's.
        stdin, stdout, stderr: descriptors, by default /dev/null. pass_fds: number in the program to
        descriptor here; all others are closed. terminal: stdin is a pty slave and becomes the
        controlling terminal. before_exec: called with the process number, as the runner sees it,
        when the process is there and the program has not begun.

        Raises OSError (FileNotFoundError, PermissionError, ENOEXEC, ...) naming the file when the
        program cannot be started, ScopeError when the scope is gone.
        """
        link = self._open_link()
        devnull = os.open(os.devnull, os.O_RDWR | os.O_CLOEXEC)
        request = os.memfd_create("spawn", os.MFD_CLOEXEC)
        try:
            streams = {0: stdin, 1: stdout, 2: stderr, **(pass_fds or {})}
            numbers = {number: devnull if fd is None else fd for number, fd in streams.items()}
            directory = os.getcwd() if cwd is None else cwd  # noqa: PTH109  # a string either way
            body = {
                "argv": [os.fsencode(word) for word in argv],
                "env": {
                    os.fsencode(name): os.fsencode(value)
                    for name, value in (os.environ if env is None else env).items()
                },
                "directory": os.fsencode(directory),
                "numbers": list(numbers),
                "terminal": terminal,
                "gate": before_exec is not None,
            }
            with open(request, "wb", closefd=False) as file:
                marshal.dump(body, file)
            with link.lock:
                given = [request, *numbers.values()]
                if before_exec is None:
                    link.send({"kind": "spawn"}, given)
                    answer, descriptors = link.answer()
                else:
                    answer, descriptors = _spawn_held(link, given, before_exec)
                if answer["kind"] == "failed":
                    raise _failure(answer, directory if answer["where"] == "directory" else argv[0])
                child = Child(link, descriptors[0], answer["child"])
                self._children.append(child)
                link.watch(answer["child"], child._ended)
                link.send({"kind": "seen"})
                return child
        finally:
            os.close(request)
            os.close(devnull)

    def make_node(self, path: Path, mode: int, major: int, minor: int) -> None:
        """mknod(2) as the programs of the scope see it; `mode` holds the type (stat.S_IFCHR).

        Raises OSError, ScopeError.
        """
        message = {"kind": "node", "path": os.fspath(path), "mode": mode, "device": (major, minor)}
        link = self._open_link()
        link.send(message)
        answer, _ = link.answer()
        if answer["kind"] == "failed":
            raise _failure(answer, path)

    def entering(self) -> tuple[str, ...]:
        """The words before a command of a person's, outside of the scope, that needs its network.

        Where the scope has mounts it sees those, and the scope's processes alone: /proc is theirs.
        """
        words = ["nsenter", f"--target={self.pid}", "--net", f"--wd={Path.cwd()}"]
        words += ["--user", "--preserve-credentials"] if self.user else []
        words += ["--mount", "--pid"] if self._mounts else []
        return (*words, "--")

    def _settings(self) -> dict[str, Any]:
        settings = {} if self._join is None else {"parents": [_folder_of(self._join)]}
        return {
            **settings,
            "namespace": self.isolated_by == NAMESPACE and self._join is None,
            "network": self._network,
            "mounts": self._mounts,
            "daemons": self._daemons,
        }

    def _prefix(self) -> list[str]:
        if self._join is not None:
            try:
                return joined(self._join)
            except OSError as error:
                raise ScopeError(f"cannot join process {self._join}: {error.strerror}") from error
        return self._isolation.command(network=self._network, mounts=self._mounts)

    def _open_link(self) -> GuardLink:
        if self._link is None:
            raise ScopeError("the scope is not open")
        return self._link

    def _close(self) -> None:
        """Close all descriptors; safe after a failed start and when repeated."""
        if self._link is not None:
            self._link.close()
        for child in self._children:
            os.close(child._pidfd)
            child._pidfd = -1
        self._children.clear()


def _spawn_held(link: GuardLink, given: list[int], before_exec: Callable[[int], object]) -> Answer:
    """The guard's answer to a request for a program that was held back for `before_exec`.

    What holds it is a gate, a pipe that it reads from; it opens when our end closes.
    """
    gate, opener = os.pipe2(os.O_CLOEXEC)
    try:
        try:
            link.send({"kind": "spawn"}, [*given, gate])
        finally:
            os.close(gate)
        answer, descriptors = link.answer()
        if answer["kind"] == "failed":
            return answer, descriptors
        try:
            before_exec(_pid_of(descriptors[0]))
        finally:
            os.close(descriptors[0])
    finally:
        os.close(opener)
    return link.answer()


def _failure(answer: dict[str, Any], name: Any) -> OSError:
    """The guard's OSError, as the class that belongs to its errno."""
    number = answer["errno"]
    where = os.fsdecode(name)
    if answer["where"] not in {"program", "directory", ""}:
        where = f"{where} ({answer['where']})"
    return OSError(number, os.strerror(number), where)


def _folder_of(guard: int) -> str:
    """The run folder of another scope, which is its guard's directory (proc(5))."""
    try:
        return os.readlink(f"/proc/{guard}/cwd")  # noqa: PTH115  # a string, as it stands
    except OSError as error:
        raise ScopeError(f"cannot join process {guard}: {error.strerror}") from error


def _readable(descriptor: int, seconds: float | None) -> bool:
    poller = select.poll()
    poller.register(descriptor, select.POLLIN)
    return bool(poller.poll(None if seconds is None else max(seconds, 0) * 1000))


def _pid_of(pidfd: int) -> int:
    """The process behind a pidfd, in the PID namespace of our /proc (pidfd_open(2), fdinfo)."""
    with open(f"/proc/self/fdinfo/{pidfd}", "rb") as file:
        _, found, value = file.read().partition(b"\nPid:")
    if not found:
        raise ScopeError("/proc/self/fdinfo does not name the process of a pidfd")
    return int(value.partition(b"\n")[0])
