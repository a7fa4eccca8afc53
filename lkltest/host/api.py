# SPDX-License-Identifier: GPL-2.0-only
"""The Host interface: where programs run, what a host can do, and how hosts are found.

A host is a class behind an entry point of the group `lkltest.hosts`, or one that a conftest.py
gives to `register`. lkltest itself names none.
"""

from __future__ import annotations

import contextlib
from abc import ABC, abstractmethod
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from types import MappingProxyType
from typing import TYPE_CHECKING, Any, ClassVar, Protocol

from lkltest.deadline import Deadlines
from lkltest.errors import LaunchError, Missing
from lkltest.host.build import Build, open_build

if TYPE_CHECKING:
    from pathlib import Path

    from lkltest.host.by_hand import Command
    from lkltest.host.disk import Disk
    from lkltest.sandbox.netdev import Network
    from lkltest.sandbox.scope import Scope
    from lkltest.verdict.results import Exit, PointResult, Problem


@dataclass(frozen=True, slots=True)
class Interface:
    """A network interface of the run's namespace, given to a program by name.

    `name` is what programs see; `node` its device file where it has one (macvtap).
    """

    name: str
    node: Path | None = None


@dataclass(frozen=True, slots=True)
class Launch:
    """A program to run: `arguments` may hold disks and interfaces, which hosts make words of."""

    program: Path
    arguments: tuple[str | Disk | Interface, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    deadlines: Deadlines = field(default_factory=Deadlines)
    build: Build | None = None
    """The build with the program's kernel, for hosts that boot one; None: the host's default."""
    interactive: bool = False
    """Whether a person is at the console, and nothing but them or the program itself ends it."""
    network: Network | None = None
    """The network that the run has asked for; hosts whose programs run elsewhere make it there."""


class OptionGroup(Protocol):
    """A group that takes options of the command line: pytest's, or a stand-in for it."""

    def addoption(self, *names: str, **settings: Any) -> None:
        """Add an option, in the words of argparse."""


class Process(Protocol):
    """A program that a host has launched. A class that derives from this has its defaults."""

    command: tuple[str, ...]
    """The command line, as a person would type it."""

    exit: Exit
    """The program's end; valid once `chunks` is exhausted."""

    hang_report: str = ""
    """A backtrace from the moment when a deadline passed; else empty."""

    files: Mapping[str, str] = MappingProxyType({})
    """Files that are kept of the run, by what they are."""

    evidence: tuple[str, ...] = ()
    """Lines that each failure is shown with."""

    @property
    def properties(self) -> Mapping[str, str]:
        """Further properties of the run, for reports; valid once `chunks` is exhausted."""
        return {}

    def chunks(self) -> Iterator[bytes]:
        """Yield the console's bytes, cleaned for the parser, until the program has ended.

        Of a console that does not end by itself, empty bytes say that nothing has come for a while.
        """

    def stream_done(self) -> None:
        """Called when the stream is complete: a machine that never ends by itself is ended then."""

    def bailed_out(self) -> None:
        """Called when the program has given up (`Bail out!`): what does not end now is ended."""

    def more_points(self) -> list[PointResult]:
        """Test points that are not the program's; asked for when it has ended."""
        return []

    def problems(self) -> list[Problem]:
        """Problems that the host saw beside the stream, such as a crash report."""

    def look(self) -> str:
        """A backtrace of what it does now: it hangs. May be called from another thread."""
        return ""

    def kill(self) -> None:
        """End it now; `chunks` then comes to its end. May be called from another thread."""

    def close(self) -> None:
        """End it, whatever state it is in, and free what it holds. Safe to call twice."""


class Host(ABC):
    """A place where programs run. Instances are made once per pytest session and process."""

    name: ClassVar[str]
    exit_status_matters: ClassVar[bool] = True
    """Whether a status of 0 can be believed and any other is a failure."""
    reboot_is_failure: ClassVar[bool] = False
    """Whether a program's points that come twice mean that its machine has started again."""

    takes_target: ClassVar[bool] = False
    """Whether there may be several, `NAME:TARGET`; the option `lkl_target` has the target then."""

    wraps: ClassVar[bool] = False
    """Whether it runs programs by a command in front of them (`--wrapper`, `--valgrind`)."""

    covers: ClassVar[bool] = False
    """Whether the kernel under test is a process of this machine's, which leaves data for gcov."""

    hands_over: ClassVar[bool] = False
    """Whether a program can be handed a disk for a driver of its own, by VFIO."""

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        """`options` are the command line's, by destination; the host's own may be missing."""
        self.options: Mapping[str, Any] = options or {}

    @classmethod  # noqa: B027 - optional
    def add_options(cls, parser: OptionGroup) -> None:
        """Add the host's own options (`--lkl-NAME-...`) with `parser.addoption(...)`."""

    @abstractmethod
    def missing(self) -> Missing | None:
        """The obstacle that keeps this host from working here; None when it works."""

    def check(self) -> None:  # noqa: B027 - nothing to check by default
        """Raise LaunchError, one line, when the host's options cannot be used."""

    def open_build(self, name: str | None) -> Build:
        """Open the build called `name` (None: this host's default). Raises BuildError."""
        return open_build(name)

    @abstractmethod
    def accepts(self, build: Build) -> bool:
        """Whether the programs of `build` are this host's (ELF or PE, an image, ...)."""

    def claims(self, build: Build) -> bool:
        """Whether they are this host's before another's that accepts them, too."""
        del build
        return False

    def unsupported(self, feature: str, build: Build) -> str | None:
        """The reason why `feature` ("disk", "net:tap", ...) cannot be had; None if it can.

        The reason is shown as the reason of a SKIP.
        """
        del feature, build
        return None

    def program(self, build: Build, name: str) -> Path:
        """The file of program or script `name`: the build's, or a whole path.

        Raises LaunchError when it cannot run here.
        """
        path = build.find(name)
        if path is None:
            raise LaunchError(f"build {build.directory}: has no program {name}")
        return path

    def offers(self, build: Build, name: str) -> bool:
        """Whether `build` has a program, script or library of this name."""
        return build.find(name) is not None

    def compile(self, build: Build, source: Path) -> Path:
        """Compile a suite's own C program, which `build` has not, for this host; the program.

        Raises LaunchError when it cannot.
        """
        raise LaunchError(
            f"build {build.directory}: has no program {source.stem}, "
            f"and host {self.name} compiles none"
        )

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        """Begin what `session` is going to need, without waiting for it; end it afterwards."""
        yield

    @contextlib.contextmanager
    def session(self, shared: Path | None = None) -> Iterator[None]:
        """Hold what lives as long as the session; `shared` is common to its xdist workers."""
        del shared
        yield

    def network(self) -> Network | None:
        """A network where the host's programs run; None: it is made here, in the run's scope."""
        return None

    def namespace_pid(self) -> int | None:
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
    def by_hand(self, launch: Launch, scope: Scope, *, gdb: bool) -> Iterator[Command]:
        """Have all ready for a person's terminal: yields what starts the program there, as it is.

        gdb: under gdb. What the command needs is in `scope`. Raises LaunchError.
        """
        del launch, scope
        raise LaunchError(f"host {self.name}: {'--gdb' if gdb else '--pass-through'} cannot be had")
        yield

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

    def remarks(self, build: Build) -> Sequence[str]:
        """Remarks of `lkltest doctor` on a build's files, a line each."""
        del build
        return ()
