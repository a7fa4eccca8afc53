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
import subprocess
from abc import ABC, abstractmethod
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import IO

from lkltest.deadline import Deadline
from lkltest.errors import ConnectionLost, LaunchError
from lkltest.hosts.remote.control import Client, Control, last_line

_SECONDS = 60.0
COPY_SECONDS = 600.0
"""Seconds for files on their way, which a slow board unpacks; ssh itself sees a dead connection."""
_CONNECT_SECONDS = 30.0
_ALIVE_SECONDS = 15
"""Seconds of silence after which a target has to say that it is there, three times.

So a connection that stands still is known before a program's own silence is.
"""
_UID_MAP = Path("/proc/self/uid_map")
_PLAIN = re.compile(r"[\w@%+=:,./\\-]+")


class Transport(ABC):
    """A way to one target; a context manager around what it keeps open."""

    address: str
    _client: Client | None = None

    @abstractmethod
    def command(self, words: tuple[str, ...], *, terminal: bool = False) -> list[str]:
        """The command line, here, that runs `words` there."""

    @abstractmethod
    def lost(self, status: int, said: str) -> str | None:
        """The reason why a command did not end by itself; None: its status is its own."""

    def last_words(self) -> str:
        """The last line that the connection itself has said, which tells why it ended, or ""."""
        return self._client.said() if self._client else ""

    def shell(self, folder: Path) -> Control:
        """Start a shell there, with a connection if there is none; nothing is waited for yet.

        What the connection has here is in `folder`.
        """
        self._client = Client(self._shell_command(folder), folder)
        return Control(self.address or "the device", self._client, self.lost)

    def _shell_command(self, folder: Path) -> list[str]:
        """The command line, here, that holds the connection and runs a shell there."""
        del folder
        return self.command(("/bin/sh",))

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
            raise LaunchError(f"{self.address}: {last_line(said) or f'status {status}'}")


class Ssh(Transport):
    """OpenSSH's client, with the user's own configuration and keys, or those of `config`.

    One connection carries all (ssh_config(5), ControlMaster): the user's own, if one is alive, else
    ours. Programs of a run are clients of it, which need neither keys nor network, so they work in
    the run's own namespaces, too.
    """

    def __init__(
        self, address: str, config: Path | None = None, options: tuple[str, ...] = ()
    ) -> None:
        self.address = address
        self._config = config
        self._options = options
        self._socket: Path | None = None

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
        return last_line(said) or "the connection was lost"

    @contextlib.contextmanager
    def hold(self, folder: Path) -> Iterator[None]:
        """Hold a connection that runs nothing there. Raises ConnectionLost, one line."""
        client = self._client = Client(self._master(folder, "-N"), folder)
        try:
            self._wait_for(client.process, folder)
            yield
        finally:
            self._socket = None
            client.close(0)

    def _shell_command(self, folder: Path) -> list[str]:
        file = self._configuration(folder)
        self._socket = None if self._options else alive_master(self.address, file)
        if self._socket is not None:
            return self.command(("/bin/sh",))
        return [*self._master(folder, "-T"), "/bin/sh"]

    def _master(self, folder: Path, kind: str) -> list[str]:
        self._socket = folder / "ssh"
        settings = ["BatchMode=yes", "ControlMaster=yes", "ControlPersist=no", "RemoteCommand=none"]
        settings += [f"ConnectTimeout={_CONNECT_SECONDS:g}"]
        settings += [f"ServerAliveInterval={_ALIVE_SECONDS}", "ClearAllForwardings=yes"]
        options = [word for setting in settings for word in ("-o", setting)]
        config = self._configuration(folder)
        return [
            *("ssh", *config, *self._options, *options),
            *("-S", str(self._socket), kind, self.address),
        ]

    def _configuration(self, folder: Path) -> list[str]:
        file = self._config or own_configuration(folder)
        return ["-F", str(file)] if file else []

    def _wait_for(self, master: subprocess.Popen[bytes], folder: Path) -> None:
        """Wait for the master's socket. Raises ConnectionLost with what ssh said last."""
        limit = Deadline(_CONNECT_SECONDS + 5)
        pidfd = os.pidfd_open(master.pid)
        try:
            while not (folder / "ssh").exists() and not limit.expired:
                if select.select([pidfd], [], [], 0.005)[0]:
                    raise ConnectionLost(f"cannot connect to {self.address}: {self.last_words()}")
        finally:
            os.close(pidfd)
        if limit.expired:
            raise ConnectionLost(f"cannot connect to {self.address}: no answer")


def alive_master(address: str, config: Sequence[str]) -> Path | None:
    """The socket of a connection to `address` that the user's configuration shares, if it lives."""
    asked = [["ssh", *config, "-O", "check", address], ["ssh", *config, "-G", address]]
    said = b""
    for command in asked:
        try:
            done = subprocess.run(
                command,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                check=False,
                timeout=_SECONDS,
            )
        except (OSError, subprocess.TimeoutExpired):
            return None
        if done.returncode != 0:
            return None
        said = done.stdout
    found = re.search(rb"^controlpath (.+)$", said, re.MULTILINE)
    return Path(os.fsdecode(found[1])) if found else None


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
        last = last_line(said)
        return last if status != 0 and last.startswith(("adb: ", "error: ")) else None


def _check(words: tuple[str, ...]) -> None:
    for word in words:
        if not _PLAIN.fullmatch(word):
            raise LaunchError(
                f"{word!r}: a path on a target is of letters, digits and @%+=:,./\\-_"
            )
