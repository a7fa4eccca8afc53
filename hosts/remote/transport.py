# SPDX-License-Identifier: GPL-2.0-only
"""Transports: how a command gets to a target. OpenSSH's client and Android's adb.

A command goes through a login shell there that may be sh, csh or fish. So it is of words that none
of them takes for more than a word; all else (scripts, arguments, files) goes by standard input.
"""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import select
import signal
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from lkltest.deadline import Deadline
from lkltest.errors import ConnectionLost, LaunchError

_SECONDS = 60.0
COPY_SECONDS = 600.0
"""Seconds for files on their way, which a slow board unpacks; ssh itself sees a dead connection."""
_CONNECT_SECONDS = 30.0
_WORDS_BYTES = 4096
_ALIVE_SECONDS = 15
_UID_MAP = Path("/proc/self/uid_map")
"""Seconds of silence after which a target has to say that it is there, three times.

So a connection that stands still is known before a program's own silence is.
"""
_PLAIN = re.compile(r"[\w@%+=:,./\\-]+")


_MASTER_SCRIPT = """\
exec 3<&0 </dev/null
ssh "$@" 3<&- &
ssh=$!
{ read -r _ <&3; kill $ssh; } 2>/dev/null &
reader=$!
wait $ssh
status=$?
kill $reader 2>/dev/null
exit $status
"""
"""Starts ssh(1), which is ended when nobody is left who could write to standard input.

It runs no command there, as no command that reads is known to all systems.
"""


class Transport(ABC):
    """A way to one target; a context manager around what it keeps open."""

    address: str

    @abstractmethod
    def command(self, words: tuple[str, ...], *, terminal: bool = False) -> list[str]:
        """The command line, here, that runs `words` there."""

    @abstractmethod
    def lost(self, status: int, said: str) -> str | None:
        """The reason why a command did not end by itself; None: its status is its own."""

    @contextlib.contextmanager
    def connect(self, folder: Path) -> Iterator[None]:
        """Hold a connection, its socket in `folder`. Raises ConnectionLost, one line."""
        del folder
        yield

    def last_words(self) -> str:
        """The last line that the connection itself has said, which tells why it ended, or ""."""
        return ""

    def call(self, *words: str, stdin: IO[bytes] | bytes = b"", seconds: float = _SECONDS) -> bytes:
        """Run words on the target, return what they print. Raises LaunchError, one line."""
        return self.run(self.command(words), stdin, seconds)

    def run(
        self,
        command: list[str],
        stdin: IO[bytes] | bytes,
        seconds: float,
        keep: Sequence[int] = (),
    ) -> bytes:
        """Run a client of the connection, which has the descriptors `keep`, too."""
        try:
            done = subprocess.run(
                command,
                input=stdin if isinstance(stdin, bytes) else None,
                stdin=None if isinstance(stdin, bytes) else stdin,
                capture_output=True,
                check=False,
                timeout=seconds,
                pass_fds=keep,
            )
        except subprocess.TimeoutExpired:
            raise ConnectionLost(f"{self.address}: no answer within {seconds:g} s") from None
        self.judge(done.returncode, done.stderr)
        return done.stdout

    def judge(self, status: int, stderr: bytes) -> None:
        """Raise LaunchError or ConnectionLost for a command that failed."""
        said = stderr.decode("utf-8", "replace")
        if (reason := self.lost(status, said)) is not None:
            raise ConnectionLost(f"{self.address}: {reason}")
        if status != 0:
            raise LaunchError(f"{self.address}: {_last(said) or f'status {status}'}")


class Ssh(Transport):
    """OpenSSH's client, with the user's own configuration and keys, or those of `config`.

    One connection carries all (ssh_config(5), ControlMaster). Programs of a run are clients of it,
    which need neither keys nor network, so they work in the run's own namespaces, too.
    """

    def __init__(
        self, address: str, config: Path | None = None, options: tuple[str, ...] = ()
    ) -> None:
        self.address = address
        self._config = config
        self._options = options
        self._socket: Path | None = None
        self._said: Path | None = None  # a file with what the master says; a pipe would fill up

    def command(self, words: tuple[str, ...], *, terminal: bool = False) -> list[str]:
        _check(words)
        if self._socket is None:
            raise ConnectionLost(f"{self.address}: not connected")
        # A master that is gone is not to be replaced by a connection that would lack the keys.
        client = ["ssh", "-F", "none", "-S", str(self._socket), "-o", "ProxyCommand=false"]
        return [*client, "-e", "none", *(["-tt"] if terminal else ["-T"]), self.address, *words]

    def sftp(self, batch: bytes, keep: Sequence[int] = ()) -> bytes:
        """Do what sftp(1)'s commands say; its output has those between the answers."""
        options = ["-o", f"ControlPath={self._socket}", "-o", "ProxyCommand=false"]
        command = ["sftp", "-F", "none", *options, "-b", "-", self.address]
        return self.run(command, batch, COPY_SECONDS, keep)

    def lost(self, status: int, said: str) -> str | None:
        if status != 255:
            return None
        return _last(said) or "the connection was lost"

    def last_words(self) -> str:
        try:
            said = self._said.read_bytes() if self._said else b""
        except OSError:  # the connection is closed, and the folder gone
            return ""
        return _last(said[-_WORDS_BYTES:].decode("utf-8", "replace"))

    @contextlib.contextmanager
    def connect(self, folder: Path) -> Iterator[None]:
        """The master ends with this process, however that ends: see `_MASTER_SCRIPT`."""
        socket, self._said = folder / "ssh", folder / "said"
        file = self._config or own_configuration(folder)
        config = ["-F", str(file)] if file else []
        options = [
            *self._options,
            "-o",
            "BatchMode=yes",
            "-o",
            "ControlMaster=yes",
            "-o",
            "ControlPersist=no",
        ]
        limit = [
            "-o",
            f"ConnectTimeout={_CONNECT_SECONDS:g}",
            "-o",
            f"ServerAliveInterval={_ALIVE_SECONDS}",
        ]
        with self._said.open("wb") as said:
            master = subprocess.Popen(
                [
                    *("/bin/sh", "-c", _MASTER_SCRIPT, "sh", *config, *options, *limit),
                    *("-S", str(socket), "-N", self.address),
                ],
                stdin=subprocess.PIPE,
                stdout=subprocess.DEVNULL,
                stderr=said,
                start_new_session=True,  # Ctrl-C is for us to hear
            )
        try:
            self._wait_for(master, socket)
            self._socket = socket
            yield
        finally:
            self._socket = None
            if master.stdin is not None:
                master.stdin.close()
            with contextlib.suppress(subprocess.TimeoutExpired):
                master.wait(2)
            with contextlib.suppress(ProcessLookupError):
                os.killpg(master.pid, signal.SIGKILL)
            master.wait()

    def _wait_for(self, master: subprocess.Popen[bytes], socket: Path) -> None:
        """Wait for the master's socket. Raises ConnectionLost with what ssh said last."""
        limit = Deadline(_CONNECT_SECONDS + 5)
        pidfd = os.pidfd_open(master.pid)
        try:
            while not socket.exists() and not limit.expired:
                if select.select([pidfd], [], [], 0.005)[0]:
                    raise ConnectionLost(f"cannot connect to {self.address}: {self.last_words()}")
        finally:
            os.close(pidfd)
        if limit.expired:
            raise ConnectionLost(f"cannot connect to {self.address}: no answer")


def own_configuration(folder: Path, uid_map: Path = _UID_MAP) -> Path | None:
    """A file that names the user's configuration where ssh looks for root's, else None.

    A user's cell of a night is root in a user namespace (user_namespaces(7)), and ssh(1) takes its
    home from the password file, never from HOME.
    """
    inside, outside, _ = map(int, uid_map.read_text(encoding="ascii").split()[:3])
    if inside != 0 or outside == 0:
        return None
    user = pwd.getpwuid(outside)
    own = Path(user.pw_dir, ".ssh")
    keys = [key for key in sorted(own.glob("id_*")) if key.suffix != ".pub"]
    lines = [
        f'Include "{own}/config"',  # no matter where there is none; the first value counts
        "Host *",
        f"User {user.pw_name}",
        f'UserKnownHostsFile "{own}/known_hosts" "{own}/known_hosts2"',
        *(f'IdentityFile "{key}"' for key in keys),
        "Include /etc/ssh/ssh_config",
    ]
    file = folder / "ssh_config"
    file.write_text("\n".join(lines) + "\n", encoding="utf-8")
    return file


def machine_options(port: int, key: Path | None) -> tuple[str, ...]:
    """The options for a machine of our own, whose host key is new and can be nobody else's."""
    settings = ["HostName=127.0.0.1", f"Port={port}", "StrictHostKeyChecking=no"]
    settings += ["UserKnownHostsFile=/dev/null", "LogLevel=ERROR"]
    settings += [f"IdentityFile={key}", "IdentitiesOnly=yes"] if key else []
    return tuple(word for setting in settings for word in ("-o", setting))


class Adb(Transport):
    """Android's debug bridge: `address` is the serial of a device, "" for the only one."""

    def __init__(self, address: str) -> None:
        self.address = address

    def command(self, words: tuple[str, ...], *, terminal: bool = False) -> list[str]:
        _check(words)
        device = ["-s", self.address] if self.address else []
        return ["adb", *device, "shell", *(["-t", "-t"] if terminal else ["-T"]), *words]

    def lost(self, status: int, said: str) -> str | None:
        last = _last(said)
        return last if status != 0 and last.startswith(("adb: ", "error: ")) else None


def _check(words: tuple[str, ...]) -> None:
    for word in words:
        if not _PLAIN.fullmatch(word):
            raise LaunchError(
                f"{word!r}: a path on a target is of letters, digits and @%+=:,./\\-_"
            )


def _last(said: str) -> str:
    lines = [line.strip() for line in said.splitlines() if line.strip()]
    return lines[-1] if lines else ""
