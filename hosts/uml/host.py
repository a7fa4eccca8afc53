# SPDX-License-Identifier: GPL-2.0-only
"""The uml host: programs run inside of a User Mode Linux kernel that is booted for each.

The kernel gets an initramfs with the program and an /init (suites/init.c), disks as ubd devices,
TAP devices as vec devices. Sources: `linux.uml --help` and the kernel's
Documentation/virt/uml/user_mode_linux_howto_v2.rst.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import tempfile
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lkltest.errors import BuildError, LaunchError, Missing
from lkltest.guest.linux import LinuxGuest, check_program
from lkltest.guest.programs import (
    FEATURES,
    compiled,
    guest_program,
    guest_programs,
    missing_compiler,
)
from lkltest.host.api import Host, Interface, Launch, OptionGroup
from lkltest.host.build import Build, named_build
from lkltest.host.by_hand import Command
from lkltest.host.debugger import arrange, run_gdb
from lkltest.host.disk import CHILD_DESCRIPTOR, Disk
from lkltest.sandbox.scope import Scope

from .console import UmlConsole
from .kernel import UmlKernel, find_kernel
from .mconsole import Mconsole
from .xstate import preload

KERNEL = "linux.uml"
MEMORY = "256M"
UMID = "kernel"
_FREE_MODES = ("sh", "-c", 'umask 0; exec "$@"', "sh")
"""The words before a kernel whose files are the machine's: its guest has its own umask."""
_GDB = (
    *("gdb", "-q", "-iex", "set pagination off"),
    *("-ex", "handle SIGSEGV SIGUSR1 SIGUSR2 SIGALRM SIGVTALRM SIGIO SIGCHLD nostop noprint pass"),
    "--args",
)
_STATUS_DESCRIPTOR = 9
_STATUS_DEVICE = "/dev/ttyS0"


class UmlHost(Host):
    """Boots a UML kernel for each program."""

    name = "uml"
    covers = True

    @classmethod
    def add_options(cls, parser: OptionGroup) -> None:
        parser.addoption(
            "--lkl-uml-memory",
            metavar="SIZE",
            default=MEMORY,
            help=f"memory of a UML kernel ({MEMORY})",
        )
        parser.addoption(
            "--lkl-uml-append",
            metavar="WORDS",
            action="append",
            default=[],
            help="further words for a UML kernel's command line (kunit.filter_glob=list*); "
            "may be repeated",
        )

    def missing(self) -> Missing | None:
        return missing_compiler()

    def open_build(self, name: str | None) -> Build:
        """A UML kernel's file, or a build directory that holds `linux`; by default Debian's."""
        found = name or shutil.which(KERNEL)
        if found is None:
            raise BuildError(f"{KERNEL} is missing: apt-get install user-mode-linux")
        kernel = find_kernel(Path(found).expanduser().absolute())
        return Build(kernel.path.parent, "uml", guest_programs(), FEATURES, kernel.path)

    def accepts(self, build: Build) -> bool:
        return build.kind == "uml"

    def unsupported(self, feature: str, build: Build) -> str | None:
        kind, _, what = feature.partition(":")
        if kind == "filesystem" and not kernel_of(build).has_filesystem(what):
            return f"kernel {kernel_of(build).release} has no {what}"
        if kind == "kunit":
            return build.unsupported_by_kernel(feature)
        if kind == "net" and what not in ("", "loopback", "tap"):
            return f"a UML kernel has no {what} device, only tap"
        if what == "tap" and kind == "net" and not kernel_of(build).has_vector:
            return f"kernel {kernel_of(build).release} has no vec0: CONFIG_UML_NET_VECTOR"
        return None

    def program(self, build: Build, name: str) -> Path:
        """A guest program, compiled unless it is there. Raises LaunchError."""
        path = super().program(build, name)
        if path == guest_programs().get(name):
            path = guest_program(name)
        check_program(path, [self._kernel(build).machine])
        return path

    def compile(self, build: Build, source: Path) -> Path:
        return compiled(source)

    def launch(self, launch: Launch, scope: Scope) -> UmlConsole:
        words, guest, environment = self._prepared(launch, scope)
        return start(scope, words, guest, environment, launch)

    @contextlib.contextmanager
    def by_hand(self, launch: Launch, scope: Scope, *, gdb: bool) -> Iterator[Command]:
        """The kernel; under gdb without stops at its ticks and at the faults of its programs."""
        words, guest, environment = self._prepared(launch, scope)
        disks = {CHILD_DESCRIPTOR + index: disk for index, disk in enumerate(guest.disks)}
        with open(os.devnull, "wb") as nobody:  # whom /init reports to
            yield Command(
                (*(_GDB if gdb else ()), *words),
                {**os.environ, **environment},
                {_STATUS_DESCRIPTOR: nobody.fileno(), **disks},
            )

    def _prepared(self, launch: Launch, scope: Scope) -> tuple[list[str], Guest, dict[str, str]]:
        """The kernel's command line, its guest, its environment. Raises LaunchError."""
        kernel = self._kernel(launch.build)
        check_program(launch.program, [kernel.machine])
        if not kernel.initrd and not kernel.has_filesystem("hostfs"):
            raise LaunchError(
                f"{kernel.path}: is built without CONFIG_BLK_DEV_INITRD and without CONFIG_HOSTFS;"
                " set either, so that its guest has a root"
            )
        guest = Guest.of(launch, kernel)
        try:
            folder = Path(tempfile.mkdtemp(prefix="uml-", dir=scope.folder))
            root = folder / ("initrd" if kernel.initrd else "root")
            if kernel.initrd:
                guest.linux.write_initrd(root)
            else:
                guest.linux.write_tree(root)
        except OSError as error:
            raise LaunchError(f"{error.filename}: {error.strerror}") from None
        appended = shlex.split(" ".join(self.options.get("lkl_uml_append") or []))
        memory = self.options.get("lkl_uml_memory") or MEMORY
        words = [str(kernel.path), *options(root, folder, memory), *guest.options, *appended]
        own = {"TMPDIR": str(folder), "HOME": str(folder)}
        # Where the kernel leaves the data of its lines: it is a program of this machine's.
        own |= {name: it for name, it in launch.environment.items() if name.startswith("GCOV_")}
        return words, guest, {**own, **preload(kernel)}

    def _kernel(self, build: Build | None) -> UmlKernel:
        """The kernel of a build, the default one where it has none. Raises LaunchError."""
        try:
            if build is None or build.kernel is None:
                build = self.open_build(named_build(None))
            return kernel_of(build)
        except BuildError as error:
            raise LaunchError(str(error)) from None


@dataclass(frozen=True, slots=True)
class Guest:
    """One launch in the guest, and its devices.

    `options` are the kernel's for the devices, `disks` their images' descriptors.
    """

    linux: LinuxGuest
    options: list[str] = field(default_factory=list)
    disks: list[int] = field(default_factory=list)

    @classmethod
    def of(cls, launch: Launch, kernel: UmlKernel) -> Guest:
        """Turn a launch's arguments into the guest's words and the kernel's options."""
        options: list[str] = []
        disks: list[Disk] = []
        words: list[str] = []
        networks = 0
        for argument in launch.arguments:
            if isinstance(argument, Disk):
                words.append(f"/dev/ubd{chr(ord('a') + len(disks))}")
                options.append(f"ubd{len(disks)}=/proc/self/fd/{CHILD_DESCRIPTOR + len(disks)}")
                disks.append(argument)
            elif isinstance(argument, Interface):
                words.append(f"vec{networks}")
                # Without gro the kernel has no room for the large packets that it tells the TAP
                # device it takes: each is lost and sent again.
                vector = f"vec{networks}:transport=tap,ifname={argument.name},depth=64,gro=1"
                options.append(vector)
                networks += 1
            else:
                words.append(argument)
        modules = kernel.module_files(sorted({disk.filesystem for disk in disks}))
        linux = LinuxGuest.of(
            launch.program, words, launch.environment, status=_STATUS_DEVICE, modules=modules
        )
        return cls(linux, options, [disk.descriptor for disk in disks])


def kernel_of(build: Build) -> UmlKernel:
    """The kernel that `build` was opened with."""
    if build.kernel is None:
        raise BuildError(f"build {build.directory}: has no UML kernel")
    return find_kernel(build.kernel)


def options(root: Path, folder: Path, memory: str) -> list[str]:
    """The kernel's options that every run has.

    root: an initramfs, or a folder for a kernel that takes none and sees the machine's own files.
    Time stamps tell where a kernel message begins in the middle of a program's line.
    """
    return [
        f"mem={memory}",
        *root_options(root),
        f"uml_dir={folder}/",
        f"umid={UMID}",
        *("con=null", "con0=null,fd:1", "ssl=null", f"ssl0=null,fd:{_STATUS_DESCRIPTOR}"),
        "printk.time=1",
    ]


def root_options(root: Path) -> list[str]:
    """The options for the guest's root: an initramfs, or a folder by hostfs (hostfs.rst)."""
    if root.is_dir():
        hostfs = ("root=/dev/root", "rootfstype=hostfs", f"rootflags={root}", "rw")
        return [*hostfs, "init=/init"]
    return [f"initrd={root}", "root=/dev/ram0"]


def start(
    scope: Scope, words: Sequence[str], guest: Guest, environment: dict[str, str], launch: Launch
) -> UmlConsole:
    """Start the kernel in `scope`. Raises LaunchError.

    environment: what it needs beside the machine's: TMPDIR is where its files lie.
    """
    socket = Path(environment["TMPDIR"]) / UMID / "mconsole"
    status, status_write = os.pipe2(os.O_CLOEXEC)
    # No terminal: a UML kernel that once finds one full never writes to it again. The guest's
    # programs see a terminal of their kernel's in any case.
    console, theirs = os.pipe2(os.O_CLOEXEC)
    numbers = {CHILD_DESCRIPTOR + index: disk for index, disk in enumerate(guest.disks)}
    try:
        child = scope.spawn(
            [*_FREE_MODES, *words] if "rootfstype=hostfs" in words else words,
            env={**os.environ, **environment},
            stdout=theirs,
            stderr=theirs,
            pass_fds={_STATUS_DESCRIPTOR: status_write, **numbers},
        )
    except OSError as error:
        os.close(status)
        os.close(console)
        raise LaunchError(f"{words[0]}: {error.strerror}") from None
    finally:
        os.close(theirs)
        os.close(status_write)

    def stacks() -> str:
        return arrange(run_gdb(child.inner_pid, Path(words[0]), scope))

    return UmlConsole(
        child,
        console,
        tuple(words),
        launch.deadlines,
        status=status,
        token=guest.linux.config.token,
        ask=lambda process, read: Mconsole(socket, scope, read, stacks).what_hangs(process),
    )
