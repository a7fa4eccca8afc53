# SPDX-License-Identifier: GPL-2.0-only
"""The agent: what is asked of a connected target, whatever its shell is (posix.py, windows.py)."""

from __future__ import annotations

import hashlib
import os
import secrets
from abc import ABC, abstractmethod
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lkltest.host.disk import Disk
from lkltest.hosts.remote.target import Target
from lkltest.hosts.remote.transport import Transport

BLOCK = 1 << 16
"""The block of images: a hole is at least one of them."""


@dataclass(frozen=True, slots=True)
class System:
    """A target's system: `name` and `machine` as uname(1) has them (FreeBSD; amd64).

    `folder` is where our files are there, `clock_skew` how many seconds its clock is ahead.
    """

    name: str
    machine: str
    folder: str
    clock_skew: int = 0


@dataclass(frozen=True, slots=True)
class Job:
    """A program to be run there, `digest` its SHA-256, with what it gets.

    `wrapper` goes before it; `pipes` are named pipes that its run's folder is to have; `network`
    are the lines that make the network of its own, if it has one.
    """

    digest: str
    words: Sequence[str]
    environment: Mapping[str, str]
    wrapper: Sequence[str] = ()
    pipes: Sequence[str] = ()
    network: Sequence[str] = field(default_factory=tuple)


class Agent(ABC):
    """The requests to one target. Every method raises LaunchError, one line."""

    system: System
    terminal = True
    """Whether a program has a terminal there, through which its console comes as it is written."""

    def __init__(self, transport: Transport, target: Target) -> None:
        self.address = transport.address or "the device"
        self._transport = transport
        self._target = target
        self.session = "s" + secrets.token_hex(8)
        self.lost = False  # whether the connection is known to be gone, or to stand still

    def last_words(self) -> str:
        """The reason why the connection ended, as it has said itself, or ""."""
        return self._transport.last_words()

    @abstractmethod
    def close(self) -> None:
        """End the session's runs and the connection.

        A run that has begun ends itself when this process or the connection does; who watches there
        is for those whose files are still on their way.
        """

    @abstractmethod
    def name_run(self, seconds: int) -> str:
        """A name that nobody can guess, for a run that is to be gone in `seconds`."""

    @abstractmethod
    def path(self, run: str, name: str) -> str:
        """A file of a run's folder, as its program calls it; without `name` the folder."""

    @abstractmethod
    def begin(self, run: str, seconds: int, job: Job) -> bool:
        """Make a run's folder; returns whether the program is still to be brought there."""

    @abstractmethod
    def put_program(self, digest: str, program: Path) -> None:
        """Bring a program there, checked."""

    @abstractmethod
    def put_image(self, run: str, name: str, disk: Disk) -> None:
        """Bring a disk image there."""

    @abstractmethod
    def fetch_image(self, run: str, name: str, disk: Disk) -> None:
        """Take a disk image back."""

    @abstractmethod
    def run_command(self, run: str, mark: str, job: Job) -> list[str]:
        """The command line, here, that runs it; it ends when it reads a line, or no more."""

    @abstractmethod
    def look(self, run: str) -> str:
        """A report of what a run's program is doing."""

    @abstractmethod
    def stop(self, run: str) -> None:
        """End a run's processes."""

    @abstractmethod
    def end(self, run: str) -> None:
        """End a run and remove its folder."""

    @abstractmethod
    def end_session(self, session: str) -> None:
        """End the runs of another agent's, whose connection is lost."""

    @abstractmethod
    def runs(self) -> list[str]:
        """The runs that are there, without those whose time is over."""

    def exception(self, status: str) -> str:
        """The words for an exit status that is a crash, where a crash is no signal; else ""."""
        del status
        return ""

    @abstractmethod
    def missing_network(self, lines: Sequence[str]) -> str:
        """The reason why a network cannot be had there, or ""."""


def write_blocks(read: Callable[[int], bytes], descriptor: int, size: int) -> None:
    """Fill an image with what `read` has; a block of zeros becomes a hole."""
    os.truncate(descriptor, 0)
    os.truncate(descriptor, size)
    nothing = bytes(BLOCK)
    for at in range(0, size, BLOCK):
        block = read(BLOCK)
        if block != nothing[: len(block)]:
            os.pwrite(descriptor, block, at)


def digest_of(program: Path) -> str:
    """The SHA-256 of a file, in hexadecimal digits."""
    with program.open("rb") as file:
        return hashlib.file_digest(file, "sha256").hexdigest()
