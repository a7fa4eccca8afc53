# SPDX-License-Identifier: GPL-2.0-only
"""The Host interface: where programs run, what a host can do, and how hosts are found.

A host is a class behind an entry point of the group `lkltest.hosts`, or one that a conftest.py
gives to `register`. lkltest itself names none.
"""

from __future__ import annotations

import contextlib
import functools
import importlib.metadata
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from lkltest.deadline import Deadlines
from lkltest.host.build import Build, open_build
from lkltest.host.error_boundary import BUGS, one_line, shield

if TYPE_CHECKING:
    from pathlib import Path

    from lkltest.host.disk import Disk
    from lkltest.sandbox.scope import Scope
    from lkltest.verdict.results import Exit, Problem

ENTRY_POINT_GROUP = "lkltest.hosts"


class LaunchError(Exception):
    """A program that could not be launched; the message is one line: what, where, what to do."""


class NotInstalled(LaunchError):
    """This machine lacks what would run the program, which is a SKIP; the message names it."""


@dataclass(frozen=True, slots=True)
class Missing:
    """What keeps a host (or a tool) from working here, and the command that would install it."""

    what: str
    install: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.install}" if self.install else self.what


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of the run's namespace, given to a program by name.

    `name` is what programs see; `node` its device file where it has one (macvtap).
    """

    name: str
    node: Path | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """What to run: `arguments` may hold disks and interfaces, which the host turns into words."""

    program: Path
    arguments: tuple[str | Disk | Interface, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    deadlines: Deadlines = field(default_factory=Deadlines)
    build: Build | None = None
    """Where the program's kernel comes from, for hosts that boot one; None: the host's default."""


class OptionGroup(Protocol):
    """Where options of the command line go: a group of pytest's, or what stands for it."""

    def addoption(self, *names: str, **settings: Any) -> None:
        """Add an option, in the words of argparse."""


class Process(Protocol):
    """A program that a host has launched.

    Two more attributes are asked for where they are there: `files`, a mapping of files that are
    kept of the run, by what they are, and `evidence`, lines that each failure is shown with.
    """

    command: tuple[str, ...]
    """The command line, as a person would type it."""

    exit: Exit
    """How it ended; valid once `chunks` is exhausted."""

    hang_report: str
    """What it was doing when a deadline passed (a backtrace); else empty."""

    def chunks(self) -> Iterator[bytes]:
        """Yield the console's bytes, cleaned for the parser, until the program has ended.

        Of a console that does not end by itself, empty bytes say that nothing has come for a while.
        """

    def stream_done(self) -> None:
        """Told when the stream is complete: a machine that never ends by itself is ended."""

    def problems(self) -> list[Problem]:
        """What the host saw beside the stream, such as a crash report."""

    def kill(self) -> None:
        """End it now; `chunks` then comes to its end. May be called from another thread."""

    def close(self) -> None:
        """End it, whatever state it is in, and free what it holds. Safe to call twice."""


class Host(ABC):
    """A place where programs run. Instances are made once per pytest session and process."""

    name: ClassVar[str]
    exit_status_matters: ClassVar[bool] = True
    """Whether a status of 0 can be believed and any other is a failure."""
    repeat_is_failure: ClassVar[bool] = False
    """Whether a program's points that come twice mean that its machine has started again."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        """`options` are the command line's, by destination; the host's own may be missing."""
        self.options: Mapping[str, Any] = options or {}

    @classmethod  # noqa: B027 - optional
    def add_options(cls, parser: OptionGroup) -> None:
        """Add the host's own options (`--lkl-NAME-...`) with `parser.addoption(...)`."""

    @abstractmethod
    def missing(self) -> Missing | None:
        """What keeps this host from working on this machine; None when it works."""

    def check(self) -> None:  # noqa: B027 - nothing to check by default
        """Raise LaunchError, one line, when the host's options cannot be used."""

    def open_build(self, name: str | None) -> Build:
        """Open the build called `name` (None: this host's default). Raises BuildError."""
        return open_build(name)

    @abstractmethod
    def suits(self, build: Build) -> bool:
        """Whether the programs of `build` are this host's (ELF or PE, an image, ...)."""

    def lacks(self, feature: str, build: Build) -> str | None:
        """Why `feature` ("disk", "net:tap", "filesystem:xfs", ...) cannot be had; None if it can.

        The reason is shown as the reason of a SKIP.
        """
        del feature, build
        return None

    def program(self, build: Build, name: str) -> Path:
        """The file of program `name`. Raises LaunchError when it cannot run here."""
        try:
            return build.programs[name]
        except KeyError:
            raise LaunchError(f"build {build.directory}: has no program {name}") from None

    @contextlib.contextmanager
    def session(self, shared: Path | None = None) -> Iterator[None]:
        """Hold what lives as long as the session; `shared` is common to its xdist workers."""
        del shared
        yield

    def join(self) -> int | None:
        """A process of the session's whose namespaces each run's scope enters (`Scope.pid`)."""
        return None

    @abstractmethod
    def launch(self, launch: Launch, scope: Scope) -> Process:
        """Start a program in `scope`. Raises LaunchError, one line, when it cannot be started."""

    def dry_run(self, launch: Launch, scope: Scope) -> str:
        """The command line that `launch` would run. Raises LaunchError."""
        del launch, scope
        raise LaunchError(f"host {self.name} has no dry run")

    @contextlib.contextmanager
    def attach(
        self, process: Process, listen: Callable[[bytes], object]
    ) -> Iterator[Callable[[bytes], object] | None]:
        """Connect a person to a program's console (`lkltest exec`): keys in, bytes out.

        Yields what is to be called with the parser's bytes; None when a host shows more than those.
        """
        del process
        yield listen

    def properties(self) -> dict[str, str]:
        """Facts about this host for the reports, such as its version."""
        return {}

    def facts(self) -> dict[str, str]:
        """Facts for `lkltest doctor`, which may take seconds to find out."""
        return self.properties()


class BrokenHost(Host):
    """Stands for a host whose package cannot be loaded: it is listed, and missing."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__()
        self.name = name  # type: ignore[misc]  # one class stands for hosts of many names
        self.reason = reason

    def missing(self) -> Missing:
        return Missing(f"host {self.name} cannot be loaded: {self.reason}")

    def suits(self, build: Build) -> bool:
        del build
        return False

    def launch(self, launch: Launch, scope: Scope) -> Process:
        raise LaunchError(str(self.missing()))


_registered: dict[str, type[Host]] = {}
_broken: dict[str, BrokenHost] = {}


def register(host: type[Host]) -> type[Host]:
    """Make a host class known without an entry point (from a conftest.py). Usable as decorator."""
    _registered[host.name] = host
    return host


def host_names() -> list[str]:
    """The names of all hosts that can be asked for, sorted."""
    return sorted({*(entry.name for entry in _entry_points()), *_registered})


def load_host_class(name: str) -> type[Host] | BrokenHost:
    """Find the class of host `name`; KeyError if there is none, BrokenHost if it does not load."""
    if name in _broken:
        return _broken[name]
    if name in _registered:
        return _registered[name]
    entry = next((entry for entry in _entry_points() if entry.name == name), None)
    if entry is None:
        raise KeyError(name)
    try:
        loaded = entry.load()
    except BUGS as error:
        return BrokenHost(name, one_line(error))
    if not (isinstance(loaded, type) and issubclass(loaded, Host)):
        return BrokenHost(name, f"{entry.value} is not a Host class")
    return loaded


def make_host(name: str, options: Mapping[str, Any] | None = None) -> Host:
    """Make the host called `name`. Raises KeyError for an unknown name."""
    loaded = load_host_class(name)
    if isinstance(loaded, BrokenHost):
        return loaded
    try:
        return shield(loaded(options))
    except BUGS as error:
        return BrokenHost(name, one_line(error))


def add_host_options(parser: OptionGroup, words: Sequence[str]) -> None:
    """Let hosts add their options with `parser.addoption`; one that fails is broken then.

    Only those that the command line `words` name an option of (`--lkl-NAME-...`), or all when it
    asks for help: loading every host would cost each run a tenth of a second.
    """
    for name in host_names():
        prefixes = ("-h", "--help", f"--lkl-{name}-")
        if not any(word.startswith(prefixes) for word in words):
            continue
        host_class = load_host_class(name)
        if isinstance(host_class, BrokenHost):
            continue
        try:
            host_class.add_options(parser)
        except BUGS as error:
            _broken[name] = BrokenHost(name, one_line(error))


def host_for_build(name: str | None, options: Mapping[str, Any] | None = None) -> Host | None:
    """The first host whose kind of programs the build called `name` holds (ELF, PE, ...)."""
    build = open_build(name)
    hosts = (make_host(host_name, options) for host_name in host_names())
    return next((host for host in hosts if host.suits(build)), None)


@functools.cache
def _entry_points() -> tuple[importlib.metadata.EntryPoint, ...]:
    """Read once: looking through all that is installed takes milliseconds."""
    return tuple(importlib.metadata.entry_points(group=ENTRY_POINT_GROUP))
