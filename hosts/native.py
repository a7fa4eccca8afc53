# SPDX-License-Identifier: GPL-2.0-only
"""The native host: ELF programs run right here, on a pseudo-terminal."""

from __future__ import annotations

import contextlib
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lkltest.errors import ExecutableError, LaunchError, Missing
from lkltest.guest.programs import FLAGS, HERE, compiled
from lkltest.host.api import Host, Interface, Launch
from lkltest.host.build import Build
from lkltest.host.by_hand import Command
from lkltest.host.console import Console, open_terminal
from lkltest.host.debugger import Debugger, HeldLog
from lkltest.host.disk import CHILD_DESCRIPTOR, Disk
from lkltest.host.emulator import emulator_of, gdb_for, under_gdb
from lkltest.host.executable import (
    SCRIPT,
    has_multiboot_header,
    identify,
    interpreter_of,
    is_dynamic,
    loader_of,
    machine_is_native,
)
from lkltest.host.wrapper import Wrapper
from lkltest.sandbox.scope import Scope

if TYPE_CHECKING:
    from lkltest.host.emulated_debugger import EmulatedDebugger

_HELD_LOG = HeldLog("'test.c'::log_buf", "'test.c'::head")
"""The buffer in which upstream's test programs keep the kernel's log (tests/test.c)."""

_LIBRARIES = ("liblkl.a", "src/src/linux/tools/lkl/liblkl.a")
"""The kernel as a library in a build of a kernel tree, and in the bundled one."""
_FORMATS = ("ELF", SCRIPT)
_NOT_EMULATED = {
    "preload": "a library for {} cannot be preloaded into this machine's programs",
    "net:raw": "QEMU's emulation of programs for {} has no options of packet sockets",
}
"""The features that programs for another processor do not have here, and why."""
_WITH_KERNEL = ("-DCONFIG_AUTO_LKL_POSIX_HOST", "-Wl,-z,noexecstack")


class NativeHost(Host):
    """Runs a build's programs on this machine."""

    name = "native"
    wraps = True
    covers = True

    def missing(self) -> Missing | None:
        return None

    def accepts(self, build: Build) -> bool:
        programs = build.programs.values()
        try:
            if build.kind == "program" and any(is_bare_metal(path) for path in programs):
                return False  # asked what runs a file: a machine of its own
            return any(identify(path).format in _FORMATS for path in programs)
        except ExecutableError:
            return False

    def unsupported(self, feature: str, build: Build) -> str | None:
        if feature == "net:pipe" and build.kind == "bundled" and not build.has("LKLTEST_NET_PIPE"):
            return "the build has no pipe back end"
        machine = foreign_machine(build)
        if machine and feature in _NOT_EMULATED:
            return _NOT_EMULATED[feature].format(machine)
        return build.unsupported_by_kernel(feature)

    def program(self, build: Build, name: str) -> Path:
        path = super().program(build, name)
        check_runnable(path)
        return path

    def remarks(self, build: Build) -> Sequence[str]:
        """The gdb that its programs want, where it is missing."""
        machine = foreign_machine(build)
        try:
            if machine:
                gdb_for(machine)
        except LaunchError as error:
            return [f"{error} (backtraces, --gdb)"]
        return []

    def compile(self, build: Build, source: Path) -> Path:
        """Linked with the build's kernel where the program calls it."""
        library = next((p for p in map(build.directory.joinpath, _LIBRARIES) if p.is_file()), None)
        machine = foreign_machine(build) or HERE
        if library is None:
            return compiled(source, FLAGS, machine=machine)
        flags = (*FLAGS, *_WITH_KERNEL, "-isystem", str(library.parent / "include"))
        return compiled(source, flags, [library], machine)

    def launch(self, launch: Launch, scope: Scope) -> Console:
        emulator = self._emulator(launch.program)
        pass_fds: dict[int, int] = {}
        wrapper = Wrapper.of(self.options, launch.build, scope)
        debugger: Debugger | EmulatedDebugger = Debugger(
            launch.program, scope, _HELD_LOG, wrapper.words
        )
        if emulator:
            from lkltest.host.emulated_debugger import EmulatedDebugger

            debugger = EmulatedDebugger(launch.program, emulator, scope, _HELD_LOG)
            emulator = (*emulator, *debugger.words)
        words = [*wrapper.words, *emulator, str(launch.program)]
        words += [_word(argument, pass_fds) for argument in launch.arguments]
        ours, theirs = open_terminal()
        try:
            child = debugger.spawn(
                lambda before_exec: scope.spawn(
                    words,
                    env={**os.environ, **own_places(launch.build, scope), **launch.environment},
                    stdin=theirs,
                    stdout=theirs,
                    stderr=theirs,
                    pass_fds=pass_fds,
                    terminal=True,
                    before_exec=before_exec,
                )
            )
        except OSError as error:
            os.close(ours)
            what = identify(launch.program)
            needed = interpreter_of(launch.program) or loader_of(launch.program)
            missing = needed and not Path(needed).exists()
            why = f"there is no {needed}" if missing else error.strerror
            raise LaunchError(
                f"{launch.program}: is {what}, but cannot be executed: {why}"
            ) from None
        finally:
            os.close(theirs)
        return Console(
            child,
            ours,
            tuple(words),
            launch.deadlines,
            debugger=debugger,
            wrapper=wrapper,
        )

    def _emulator(self, program: Path) -> tuple[str, ...]:
        """The words before a program for another processor. Raises LaunchError."""
        emulator = check_runnable(program)
        if emulator and self.options.get("lkl_valgrind"):  # it would look at the emulator
            raise LaunchError(f"{program}: --valgrind is for programs of this processor")
        return emulator

    @contextlib.contextmanager
    def by_hand(self, launch: Launch, scope: Scope, *, gdb: bool) -> Iterator[Command]:
        emulator = self._emulator(launch.program)
        pass_fds: dict[int, int] = {}
        socket = scope.folder / "gdb"
        before: tuple[str, ...] = ("gdb", "-q", "--args") if gdb else ()
        if emulator:
            before = (*emulator, "-g", str(socket)) if gdb else emulator
        before = (*Wrapper.of(self.options, launch.build, scope).words, *before)
        words = [*before, str(launch.program)]
        words += [_word(word, pass_fds) for word in launch.arguments]
        if emulator and gdb:
            words = list(under_gdb(words, launch.program, emulator, socket))
        own = {**own_places(launch.build, scope), **launch.environment}
        yield Command(tuple(words), {**os.environ, **own}, pass_fds)


def foreign_machine(build: Build) -> str:
    """The processor that a build's programs are for, where it is not this machine's; else ""."""
    for path in build.programs.values():
        with contextlib.suppress(ExecutableError):
            executable = identify(path)
            if executable.format == "ELF":
                return "" if machine_is_native(executable.machine) else executable.machine
    return ""


def is_bare_metal(path: Path) -> bool:
    """Whether an ELF file is booted and no program: it has a Multiboot header, or is neither linked
    with an interpreter nor executable. Raises ExecutableError.
    """
    if identify(path).format != "ELF" or is_dynamic(path):
        return False
    return has_multiboot_header(path) or not os.access(path, os.X_OK)


def own_places(build: Build | None, scope: Scope) -> dict[str, str]:
    """The folders of a UML kernel's state, as a library too: ~/.uml/ID outlives a kill (umid.c)."""
    if build is None or build.kind != "tools/um":
        return {}
    return {"HOME": str(scope.folder), "TMPDIR": str(scope.folder)}


def check_runnable(program: Path) -> tuple[str, ...]:
    """The words before `program`, where it is for another processor.

    Raises LaunchError, one line, when it is nothing that this machine can execute.
    """
    try:
        executable = identify(program)
    except ExecutableError as error:
        raise LaunchError(str(error)) from None
    if executable.format not in _FORMATS:
        raise LaunchError(f"{program}: is {executable}; the native host runs ELF programs")
    if not os.access(program, os.X_OK):
        raise LaunchError(f"{program}: is not executable: chmod +x it")
    return emulator_of(program)


def _word(argument: str | Disk | Interface, pass_fds: dict[int, int]) -> str:
    if isinstance(argument, Disk):
        number = CHILD_DESCRIPTOR + len(pass_fds)
        pass_fds[number] = argument.descriptor
        return f"/proc/self/fd/{number}"
    if isinstance(argument, Interface):
        return str(argument.node or argument.name)
    return argument
