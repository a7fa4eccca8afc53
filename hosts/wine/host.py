# SPDX-License-Identifier: GPL-2.0-only
"""The Wine host: Win64 PE programs, in a prefix of lkltest's own."""

from __future__ import annotations

import contextlib
import os
import subprocess
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import Any

from lkltest.errors import BuildError, ExecutableError, LaunchError, Missing
from lkltest.guest.programs import FLAGS, WINDOWS, compiled
from lkltest.host.api import Host, Interface, Launch, OptionGroup
from lkltest.host.build import Build, open_build
from lkltest.host.by_hand import Command
from lkltest.host.disk import Disk
from lkltest.host.executable import identify
from lkltest.places import build_places
from lkltest.report.terminal import echo_error
from lkltest.sandbox.scope import Scope

from .console import WineConsole
from .debugger import WineDebugger
from .prefix import (
    cache_directory,
    copy,
    diagnose,
    ensure,
    name_socket_folder,
    why_unusable,
)
from .program import INSTALL_32_BIT, check_program
from .server import Server, make_prefix, session_server
from .symbols import check_symbols
from .toolchain import build_remarks, toolchains
from .tools import WineTools, find_tools, program_environment

_SENSELESS = {
    "net:tap": "its back end is POSIX, a Windows program cannot open a TAP device",
    "net:raw": "its back end is POSIX, a Windows program has no packet sockets",
    "net:macvtap": "its back end is POSIX, a Windows program cannot open a macvtap",
    "net:pipe": "its back end is POSIX, a Windows program cannot open a FIFO",
    "net:wintap": "Wine has no TAP-Windows adapter",
    "vfio-pci": "Wine has no VFIO",
    "lklfuse": "Wine has no FUSE",
    "hijack": "LD_PRELOAD means nothing to a Windows program",
}


class WineHost(Host):
    """Runs a build's Windows programs under Wine."""

    name = "wine"
    exit_status_matters = False  # what it can tell is told by WineConsole.problems

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._server: Server | None = None
        self._isolate = bool(self.options.get("lkl_wine_isolate"))
        named = self.options.get("lkl_wine_prefix")
        symbols = self.options.get("lkl_symbols") or ()
        self._symbols = [Path(file).expanduser().absolute() for file in symbols]
        self._named = Path(named).expanduser().absolute() if named else None

    @classmethod
    def add_options(cls, parser: OptionGroup) -> None:
        parser.addoption(
            "--lkl-wine-prefix", metavar="DIR", help="Wine prefix to use; made if there is none"
        )
        parser.addoption(
            "--lkl-wine-isolate", action="store_true", help="give each run a copy of the prefix"
        )

    def missing(self) -> Missing | None:
        tools = find_tools()
        return tools if isinstance(tools, Missing) else None

    def check(self) -> None:
        for file in self._symbols:
            check_symbols(file)
        found = why_unusable(self._prefix(), ours=self._named is None)
        if found:
            raise LaunchError(found)

    def open_build(self, name: str | None) -> Build:
        """None: the Windows programs beside the bundled build. One must be a program for Wine."""
        if name is not None:
            return _checked(open_build(name))
        for place in build_places():
            if (place / "windows-kernel" / "tests").is_dir():
                return _checked(open_build(str(place / "windows-kernel")))
        raise BuildError(
            "no Windows build: make it with `lkltest setup wine`, "
            "or name one with --lkl-build=DIR or LKL_BUILD"
        )

    def accepts(self, build: Build) -> bool:
        for path in build.programs.values():
            with contextlib.suppress(ExecutableError):
                if identify(path).format == "PE":
                    return True
        return False

    def unsupported(self, feature: str, build: Build) -> str | None:
        if feature in _SENSELESS:
            return _SENSELESS[feature]
        return build.unsupported_by_kernel(feature)

    def program(self, build: Build, name: str) -> Path:
        path = super().program(build, name)
        check_program(path, self._tools().bits32)
        return path

    def compile(self, build: Build, source: Path) -> Path:
        """Compiled by MinGW, for itself alone: the kernel of a build is in its own programs."""
        del build
        return compiled(source, (*FLAGS, "-static"), machine=WINDOWS)

    @contextlib.contextmanager
    def session(self, shared: Path | None = None) -> Iterator[None]:
        """One server for all runs; xdist's workers use their controller's."""
        self._server = Server.load(shared) if shared else None
        if self._server is not None:
            yield
            return
        opened = session_server(self._tools(), self._prefix(), ours=self._named is None)
        if self._isolate:
            with opened:  # each run has its own; but this one proves that the prefix works
                pass
            yield
            return
        with opened as server:
            self._server = server
            if shared:
                server.save(shared)
            try:
                yield
            finally:
                self._server = None

    def namespace_pid(self) -> int | None:
        return self._server.pid if self._server else None

    def launch(self, launch: Launch, scope: Scope) -> WineConsole:
        tools = self._tools()
        check_program(launch.program, tools.bits32)
        copies: list[tuple[Disk, Path]] = []
        words = [str(launch.program)]
        words += [_word(argument, scope, copies) for argument in launch.arguments]
        lifeline = self._lifeline()
        environment = {**self._environment(scope), **launch.environment}
        (out, out_end), (err, err_end) = os.pipe(), os.pipe()
        try:
            child = scope.spawn(
                [tools.wine, *words], env=environment, stdout=out_end, stderr=err_end
            )
        except OSError as error:
            for descriptor in (out, err, *([lifeline] if lifeline else [])):
                os.close(descriptor)
            raise LaunchError(f"{tools.wine}: {error.strerror}") from None
        finally:
            os.close(out_end)
            os.close(err_end)
        prefix = Path(environment["WINEPREFIX"])
        debugger = WineDebugger(child.pid, launch.program, prefix, self._symbols)
        console = WineConsole(
            child,
            out,
            ("wine", *words),
            launch.deadlines,
            side=err,
            lifeline=lifeline,
            debugger=debugger,
        )
        console.observer = debugger
        console.server = self._server
        console.copies = tuple(copies)
        console.show_side = "WINEDEBUG" in os.environ
        return console

    @contextlib.contextmanager
    def by_hand(self, launch: Launch, scope: Scope, *, gdb: bool) -> Iterator[Command]:
        """The program, or Wine's proxy for gdb, which starts gdb itself; a server of its own.

        The session's server takes no programs from outside of its namespaces.
        """
        tools = self._tools()
        self._server = None
        check_program(launch.program, tools.bits32)
        copies: list[tuple[Disk, Path]] = []
        words = [_word(argument, scope, copies) for argument in launch.arguments]
        environment = {**self._environment(scope), **launch.environment}
        # What is switched off for programs that crash is wanted here.
        if gdb:
            overrides = environment["WINEDLLOVERRIDES"].replace("winedbg.exe=d;", "")
            environment["WINEDLLOVERRIDES"] = overrides
        proxy = ("winedbg", "--gdb") if gdb else ()
        yield Command((str(tools.wine), *proxy, str(launch.program), *words), environment)
        end = [str(tools.server), "-k"]
        subprocess.run(end, env=environment, stdin=subprocess.DEVNULL, check=False)

    def properties(self) -> dict[str, str]:
        tools = find_tools()
        if isinstance(tools, Missing):
            return {}
        prefix = self._prefix()
        state = "not made yet" if not prefix.exists() else diagnose(prefix) or "whole"
        facts = {"wine": tools.version, "PE32+": "yes"}
        facts["PE32"] = "yes" if tools.bits32 else f"missing: {INSTALL_32_BIT}"
        return facts | {"prefix": f"{prefix} ({state})"}

    def facts(self) -> dict[str, str]:
        return {**self.properties(), **toolchains()}

    def remarks(self, build: Build) -> Sequence[str]:
        return list(build_remarks(build))

    def _tools(self) -> WineTools:
        tools = find_tools()
        if isinstance(tools, Missing):
            raise LaunchError(str(tools))
        return tools

    def _prefix(self) -> Path:
        return self._named or cache_directory() / self._tools().key

    def _lifeline(self) -> int | None:
        """A descriptor that ends when the session's server dies; None: runs have their own."""
        if self._server is not None and self._server.has_died():
            echo_error("the session's wineserver has died; each run starts one of its own now")
            self._server = None
        return self._server.lifeline() if self._server else None

    def _environment(self, scope: Scope) -> dict[str, str]:
        if self._server is not None:
            return program_environment(self._tools(), self._server.prefix)
        # The program starts a server of its own, which dies with the run.
        own = scope.folder / "wine-prefix"
        if not own.exists():
            ensure(self._prefix(), self._make)
            copy(self._prefix(), own)
            name_socket_folder(own, scope.folder / "wine")
        return program_environment(self._tools(), own)

    def _make(self, path: Path) -> None:
        make_prefix(self._tools(), path)


def _word(argument: str | Disk | Interface, scope: Scope, copies: list[tuple[Disk, Path]]) -> str:
    """An argument as the program gets it; plain absolute Unix paths work (drive Z: is the root)."""
    if isinstance(argument, Disk):
        path = argument.copy_to(scope.folder)
        copies.append((argument, path))
        return str(path)
    if isinstance(argument, Interface):
        raise LaunchError(f"interface {argument.name}: Windows programs cannot use it")
    return argument


def _checked(build: Build) -> Build:
    """Raises BuildError, one line, when no program of `build` is for any Wine."""
    diagnoses: list[str] = []
    for program in build.programs.values():
        try:
            check_program(program, bits32=True)
        except LaunchError as error:
            diagnoses.append(str(error))
    if len(diagnoses) == len(build.programs):
        raise BuildError(diagnoses[0])
    return build
