# SPDX-License-Identifier: GPL-2.0-only
"""The agent of a target with a POSIX shell: our scripts there, and what is asked of them."""

from __future__ import annotations

import contextlib
import gzip
import io
import os
import re
import secrets
import shlex
import shutil
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from functools import cached_property
from pathlib import Path

from lkltest.errors import LaunchError
from lkltest.host.disk import Disk
from lkltest.hosts.remote.agent import BLOCK, Agent, Job, System, write_blocks
from lkltest.hosts.remote.target import Target
from lkltest.hosts.remote.transport import COPY_SECONDS, Transport

_SECONDS = 60.0
_ODD = re.compile(rb"[^\w ./=+:,-]")
"""Bytes that printf(1) or a shell's quotes might take for more than that, or are no ASCII."""
_SCRIPTS = ("network.sh", "echo.py", "target.sh")

_GREETING = """\
umask 077
exec 2>&1
trap '' HUP INT TERM PIPE
folder={folder}
mkdir -p "$folder" || exit 1
{scripts}
trap '/bin/sh "$folder/target.sh" "$folder" lost {session}' EXIT
uname -s && uname -m && date +%s && echo "$folder"
"""
"""The first thing a target is asked: takes our scripts, and says what it is.

Its end is the end of all runs, however it comes.
"""
_LEAVE = """\
trap - EXIT
/bin/sh "$folder/target.sh" "$folder" leave {session}
exit
"""
_TAKE = """\
cat >"$folder/{name}.$$" <<'END OF {name}' && mv "$folder/{name}.$$" "$folder/{name}" || exit 1
{text}END OF {name}
"""
"""A script is there whole or not at all."""


class PosixAgent(Agent):
    """Requests that target.sh answers, a verb each: small ones by way of a control shell."""

    def __init__(self, transport: Transport, target: Target, local: Path) -> None:
        """Begin to connect, without waiting; what the connection has here is in `local`."""
        super().__init__(transport, target)
        self._control = transport.shell(local)
        folder = self._target.folder or '"$HOME/.cache/lkltest-target"'
        here = Path(__file__).parent
        scripts = "".join(
            _TAKE.format(name=name, text=(here / name).read_text(encoding="utf-8"))
            for name in _SCRIPTS
        )
        greeting = _GREETING.format(folder=folder, scripts=scripts, session=self.session)
        with contextlib.suppress(LaunchError):  # the first question is answered by it
            self._control.send(greeting.encode())

    @cached_property
    def system(self) -> System:  # type: ignore[override]  # found out at first use
        """The answer to the greeting; afterwards the scripts are there."""
        lines = self._control.ask(b"", _SECONDS).decode("utf-8", "replace").splitlines()
        if len(lines) < 4 or not lines[-2].isdigit():
            raise LaunchError(f"{self.address}: has no POSIX shell: it says {lines[-1:] or ''}")
        name, machine, clock, folder = lines[-4:]  # what a login shell prints comes before
        return System(name, machine, folder, int(clock) - int(time.time()))

    def name_run(self, seconds: int) -> str:
        del seconds  # they are in the run's lease
        return self.session + secrets.token_hex(16)

    def close(self) -> None:
        self._control.close(b"" if self.lost else _LEAVE.format(session=self.session).encode())

    def path(self, run: str, name: str) -> str:
        return f"{self.system.folder}/runs/{run}/{name}".rstrip("/")

    def begin(self, run: str, seconds: int, job: Job) -> bool:
        command = (*job.wrapper, f"{self.system.folder}/store/{job.digest}", *job.words)
        words = words_file(command, job.environment, job.network)
        return bool(self._ask("new", run, str(seconds), job.digest, *job.pipes, stdin=words))

    def run_command(self, run: str, mark: str, job: Job) -> list[str]:
        del job  # it is in the run's folder
        return self._transport.command(self._words("run", run, mark), terminal=True)

    def look(self, run: str) -> str:
        said = self._transport.call(*self._words("look", run)).decode("utf-8", "replace").strip()
        return said or "the target has neither gdb nor /proc to ask"

    def stop(self, run: str) -> None:
        self._transport.call(*self._words("stop", run))

    def end(self, run: str) -> None:
        self._ask("end", run)

    def end_session(self, session: str) -> None:
        self._ask("leave", session)

    def runs(self) -> list[str]:
        return self._ask("list").decode().split()

    def missing_network(self, lines: Sequence[str]) -> str:
        text = "".join(f"{line}\n" for line in lines)
        return self._ask("try", stdin=text.encode()).decode("utf-8", "replace").strip()

    def _ask(self, verb: str, *words: str, stdin: bytes = b"") -> bytes:
        """The script's output, by way of the control shell."""
        given = _ODD.sub(lambda byte: b"\\%03o" % byte[0][0], stdin).decode()
        script = f"printf '{given}' | {shlex.join(self._words(verb, *words))} 2>&1\n"
        return self._control.ask(script.encode(), _SECONDS)

    def put_program(self, digest: str, program: Path) -> None:
        """Bring a program there; the script checks its SHA-256."""
        with program.open("rb") as file, tempfile.TemporaryFile() as packed:
            with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as pack:
                shutil.copyfileobj(file, pack, BLOCK)
            packed.seek(0)
            words = self._words("put", digest)
            self._transport.call(*words, stdin=packed, seconds=COPY_SECONDS)

    def put_image(self, run: str, name: str, disk: Disk) -> None:
        """Bring a disk image there; what is a hole or all zeros stays here."""
        size = os.fstat(disk.descriptor).st_size
        extents = find_extents(disk.descriptor, size)
        with tempfile.TemporaryFile() as packed:
            packed.write(" ".join(f"{at}+{count}" for at, count in extents).encode() + b"\n")
            packed.flush()
            with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as pack:
                for at, count in extents:
                    pack.write(os.pread(disk.descriptor, count * BLOCK, at * BLOCK))
            packed.seek(0)
            words = self._words("image", run, name, str(size))
            self._transport.call(*words, stdin=packed, seconds=COPY_SECONDS)

    def fetch_image(self, run: str, name: str, disk: Disk) -> None:
        """Take a disk image back; holes stay holes where the target's tar(1) knows them."""
        packed = self._transport.call(*self._words("fetch", run, name), seconds=COPY_SECONDS)
        size = os.fstat(disk.descriptor).st_size
        try:
            with tarfile.open(fileobj=io.BytesIO(packed), mode="r|gz") as archive:
                member = archive.next()
                image = archive.extractfile(member) if member else None
                if member is None or image is None or member.size != size:
                    raise LaunchError(f"{self.address}: {name}: came back in another size")
                write_blocks(image.read, disk.descriptor, size)
        except (EOFError, OSError, tarfile.TarError) as error:
            raise LaunchError(f"{self.address}: {name}: {error}") from None

    def _words(self, verb: str, *words: str) -> tuple[str, ...]:
        folder = self.system.folder
        return ("/bin/sh", f"{folder}/target.sh", folder, verb, *words)


def find_extents(descriptor: int, size: int) -> list[tuple[int, int]]:
    """The runs of blocks that are not all zeros: number of the first, how many. See lseek(2)."""
    found: list[tuple[int, int]] = []
    nothing = bytes(BLOCK)
    at = 0
    while at * BLOCK < size:
        try:
            at = max(at, os.lseek(descriptor, at * BLOCK, os.SEEK_DATA) // BLOCK)
        except OSError:  # a hole up to the end
            break
        block = os.pread(descriptor, BLOCK, at * BLOCK)
        if block != nothing[: len(block)]:
            first, count = found.pop() if found and sum(found[-1]) == at else (at, 0)
            found.append((first, count + 1))
        at += 1
    return found


def words_file(
    words: Sequence[str], environment: Mapping[str, str], network: Sequence[str] = ()
) -> bytes:
    """The text that the script sources: the program's arguments as $1, ..., its environment.

    `network` are the lines that make the network in which it runs, if it has one of its own.
    """
    lines = ["network() {", *network, "}"] if network else []
    lines += [f"export {name}={shlex.quote(value)}" for name, value in environment.items()]
    lines.append(f"set -- {' '.join(map(shlex.quote, words))}")
    return os.fsencode("\n".join(lines) + "\n")
