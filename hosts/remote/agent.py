# SPDX-License-Identifier: GPL-2.0-only
"""The agent: our script on a target (target.sh), and what is asked of it."""

from __future__ import annotations

import gzip
import hashlib
import io
import os
import shlex
import shutil
import tarfile
import tempfile
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from pathlib import Path

from lkltest.errors import LaunchError
from lkltest.host.disk import Disk
from lkltest.hosts.remote.target import Target
from lkltest.hosts.remote.transport import COPY_SECONDS, Transport

_SCRIPTS = ("network.sh", "echo.py", "target.sh")
_BLOCK = 1 << 16
"""The block of target.sh's images."""


_GREETING = """\
umask 077
folder={folder}
mkdir -p "$folder" || exit 1
{scripts}
uname -s && uname -m && date +%s && echo "$folder"
"""
"""The first thing a target is asked: takes our scripts, and says what it is."""
_TAKE = """\
cat >"$folder/{name}.$$" <<'END OF {name}' && mv "$folder/{name}.$$" "$folder/{name}" || exit 1
{text}END OF {name}
"""
"""A script is there whole or not at all."""


@dataclass(frozen=True, slots=True)
class System:
    """A target's system: `name` and `machine` as uname(1) has them (FreeBSD; amd64).

    `folder` is where our files are there, `clock_skew` how many seconds its clock is ahead.
    """

    name: str
    machine: str
    folder: str
    clock_skew: int


class Agent:
    """The requests to one connected target. Every method raises LaunchError, one line."""

    def __init__(self, transport: Transport, target: Target) -> None:
        self.address = transport.address or "the device"
        self._transport = transport
        self._target = target

    @cached_property
    def system(self) -> System:
        """Found out at first use; afterwards the script is there."""
        folder = self._target.folder or '"$HOME/.cache/lkltest-target"'
        here = Path(__file__).parent
        scripts = "".join(
            _TAKE.format(name=name, text=(here / name).read_text(encoding="utf-8"))
            for name in _SCRIPTS
        )
        greeting = _GREETING.format(folder=folder, scripts=scripts)
        lines = self._transport.call("/bin/sh", stdin=greeting.encode()).decode().splitlines()
        if len(lines) < 4 or not lines[-2].isdigit():
            raise LaunchError(f"{self.address}: has no POSIX shell: it says {lines[-1:] or ''}")
        name, machine, clock, folder = lines[-4:]  # what a login shell prints comes before
        return System(name, machine, folder, int(clock) - int(time.time()))

    def command(self, verb: str, *words: str, terminal: bool = False) -> list[str]:
        """The command line, here, that asks the script."""
        return self._transport.command(self._words(verb, *words), terminal=terminal)

    def ask(self, verb: str, *words: str, stdin: bytes = b"") -> bytes:
        """The script's output."""
        return self._transport.call(*self._words(verb, *words), stdin=stdin)

    def put_program(self, digest: str, program: Path) -> None:
        """Bring a program there; the script checks its SHA-256."""
        with program.open("rb") as file, tempfile.TemporaryFile() as packed:
            with gzip.GzipFile(fileobj=packed, mode="wb", compresslevel=1) as pack:
                shutil.copyfileobj(file, pack, _BLOCK)
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
                    pack.write(os.pread(disk.descriptor, count * _BLOCK, at * _BLOCK))
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
                os.truncate(disk.descriptor, 0)
                os.truncate(disk.descriptor, size)
                nothing = bytes(_BLOCK)
                for at in range(0, size, _BLOCK):
                    block = image.read(_BLOCK)
                    if block != nothing:
                        os.pwrite(disk.descriptor, block, at)
        except (EOFError, OSError, tarfile.TarError) as error:
            raise LaunchError(f"{self.address}: {name}: {error}") from None

    def _words(self, verb: str, *words: str) -> tuple[str, ...]:
        folder = self.system.folder
        return ("/bin/sh", f"{folder}/target.sh", folder, verb, *words)


def find_extents(descriptor: int, size: int) -> list[tuple[int, int]]:
    """The runs of blocks that are not all zeros: number of the first, how many. See lseek(2)."""
    found: list[tuple[int, int]] = []
    nothing = bytes(_BLOCK)
    at = 0
    while at * _BLOCK < size:
        try:
            at = max(at, os.lseek(descriptor, at * _BLOCK, os.SEEK_DATA) // _BLOCK)
        except OSError:  # a hole up to the end
            break
        block = os.pread(descriptor, _BLOCK, at * _BLOCK)
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


def digest_of(program: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with program.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
