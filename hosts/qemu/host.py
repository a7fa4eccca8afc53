# SPDX-License-Identifier: GPL-2.0-only
"""The qemu host: bootable images in a virtual machine, read over its serial port.

L4Re's images and module lists, CDs, other Multiboot kernels, and Linux kernels with an initramfs.
"""

from __future__ import annotations

import argparse
import contextlib
import os
import sys
import tempfile
import threading
from collections import deque
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lkltest.deadline import Deadlines, timeout
from lkltest.errors import BuildError, LaunchError, Missing, NotInstalled
from lkltest.guest.kernel_modules import KernelModules
from lkltest.guest.programs import FEATURES, compiled, guest_program, guest_programs
from lkltest.host.api import Host, Launch, OptionGroup, Process
from lkltest.host.build import NO_KUNIT, Build, open_build
from lkltest.host.by_hand import Command, show
from lkltest.host.emulator import gdb_for
from lkltest.places import build_places
from lkltest.sandbox.scope import Scope

from ..l4re.crash_dump import binary_of, place_of
from ..l4re.expected_output import read_expected
from ..l4re.module_list import search_path
from ..l4re.ned_script import TAG
from ..l4re.own_tests import find_tests, is_own_test, prepare
from .accel import kvm_works, missing_qemu, qemu_version
from .artifacts import Artifacts, RunArtifacts
from .attach import attached
from .boot import Job, lay_out
from .by_hand import script_by_hand
from .console import GuestConsole
from .deadlines import RunDeadlines, with_overrides
from .devices import Devices, linux_guest, make_devices, missing_driver
from .exception_level import wants_el2
from .hang import hang_report, is_deserted
from .image import ANY, Image, is_image
from .machine import MACHINES, Setup, command_by_hand, doubled, machine_named
from .process import QemuProcess
from .start import setup_of, start
from .symbols import Symbols
from .table import image_of_file, image_of_test, read_images
from .verdict import Verdict

ACCELERATORS = ("auto", "tcg", "kvm")
_MOST_MEMORY = 1 << 20
"""MiB."""
HANDED_OVER = "in a guest"
"""Kind of a build of LKL whose programs get devices of a Linux guest."""
LINUX = "linux"
"""Folder of a build directory in which the default kernel is looked for."""


@dataclass(frozen=True, slots=True)
class _Made:
    """The things made for one launch."""

    image: Image
    folder: Path
    devices: Devices
    setup: Setup
    kept: RunArtifacts
    token: str


class QemuHost(Host):
    """Boots an image for each program."""

    name = "qemu"
    reboot_is_failure = True
    hands_over = True

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._images: dict[Path, dict[str, Image]] = {}
        self._artifacts = Artifacts(self._option("keep"), pcap=bool(self._option("pcap")))

    @classmethod
    def add_options(cls, parser: OptionGroup) -> None:
        parser.addoption(
            "--lkl-qemu-accel",
            choices=ACCELERATORS,
            default="auto",
            help="accelerator; auto: kvm where `lkltest doctor` has seen it boot, else tcg",
        )
        parser.addoption(
            "--lkl-qemu-images", metavar="PATH", help="images for programs that `exec` is given"
        )
        parser.addoption(
            "--lkl-qemu-keep",
            metavar="DIR",
            help="keep each console, with times, and pictures of displays in DIR",
        )
        parser.addoption(
            "--lkl-qemu-raw",
            action="store_true",
            help="`exec` shows the console as it is, escapes and all",
        )
        parser.addoption(
            "--lkl-qemu-pcap",
            action="store_true",
            help="keep what went over the network, too (with --lkl-qemu-keep)",
        )
        parser.addoption(
            "--lkl-qemu-machine",
            metavar="NAME",
            help=f"machine of every image: {', '.join(MACHINES)} or a value of QEMU's -M",
        )
        parser.addoption(
            "--lkl-qemu-gdb",
            metavar="PORT",
            help="hold the machine until gdb at this port, or socket, lets it run (--interactive)",
        )
        parser.addoption(
            "--lkl-qemu-enter-jdb-on-timeout",
            action="store_true",
            help="give a person Fiasco's debugger when a limit has passed (exec, on a terminal)",
        )
        parser.addoption(
            "--lkl-qemu-expect",
            metavar="FILE",
            help="lines that are to come, for `exec` of a program without TAP",
        )
        parser.addoption(
            "--lkl-qemu-shuffle",
            metavar="SEED",
            help="seed of a random order of test points, for L4Re's own tests",
        )
        parser.addoption(
            "--lkl-qemu-cpu",
            metavar="NAME",
            help="processor of every image, as QEMU's -cpu takes it",
        )
        parser.addoption("--lkl-qemu-memory", metavar="MIB", help="memory of every image")
        parser.addoption(
            "--lkl-qemu-drain",
            metavar="SECONDS",
            help="silence after which a run ends when all that was announced has come",
        )
        parser.addoption(
            "--lkl-qemu-allow-commands",
            action="store_true",
            help="run what [shell] and [perl] lines of module lists say",
        )

    def missing(self) -> Missing | None:
        return missing_qemu(MACHINES["q35"])

    def check(self) -> None:
        if self._option("pcap") and not self._option("keep"):
            raise LaunchError("--lkl-qemu-pcap needs --lkl-qemu-keep=DIR, where to put it")
        memory = self._option("memory")
        if memory and not (str(memory).isdecimal() and 0 < int(memory) <= _MOST_MEMORY):
            raise LaunchError(f"--lkl-qemu-memory={memory}: is no number of MiB")
        self._drain()
        self._artifacts.check()

    def open_build(self, name: str | None) -> Build:
        """A directory, a TOML file or an image; by default the kernel that `make` has fetched."""
        path = Path(name).expanduser().absolute() if name else default_kernel()
        tests = find_tests(path)
        if tests:
            return Build(path, "l4re", tests)
        try:
            images = self._images_of(path)
        except BuildError:
            given = _programs_to_hand_over(path)
            if given is None:
                raise
            return given
        except OSError as error:  # of looking for it: its name is too long, say
            raise BuildError(f"build {path}: {error.strerror}") from None
        any_image = images.get(ANY)
        if any_image is not None and any_image.linux is not None:
            machine = any_image.machine.architecture
            return Build(path, "linux", guest_programs(machine), FEATURES, any_image.linux)
        return Build(path, "images", {image: path / image for image in images if image != ANY})

    def accepts(self, build: Build) -> bool:
        if build.kind == "program":  # asked what runs a file
            return all(is_image(path) for path in build.programs.values())
        return build.kind in ("images", "linux", "l4re", HANDED_OVER)

    def claims(self, build: Build) -> bool:
        """L4Re's own tests are scripts."""
        return all(is_own_test(path) for path in build.programs.values())

    def unsupported(self, feature: str, build: Build) -> str | None:
        kind, _, what = feature.partition(":")
        if kind == "net" and what not in ("", "loopback", "tap"):
            return f"a virtual machine has no {what} device, only tap"
        image = self._images.get(build.directory, {}).get(ANY)
        if image is not None and image.linux is not None:
            return unsupported_by_kernel(image, kind, what)
        return None

    def program(self, build: Build, name: str) -> Path:
        """The guest program of a Linux kernel, else a name for the image."""
        if build.kind == "linux" and name in build.programs:
            return guest_program(name, self._processor(build))
        if build.kind == "images" and name not in build.programs and self._image_for(build, name):
            return build.directory / name
        if build.kind == HANDED_OVER and name not in build.programs:
            only = ", ".join(build.programs)
            raise NotInstalled(f"of LKL's own programs only {only} runs in a virtual machine")
        return super().program(build, name)

    def offers(self, build: Build, name: str) -> bool:
        if build.kind == "images":
            return self._image_for(build, name) is not None
        if build.kind == HANDED_OVER:
            return name in build.programs
        return super().offers(build, name)

    def compile(self, build: Build, source: Path) -> Path:
        if build.kind != "linux":
            return super().compile(build, source)
        return compiled(source, machine=self._processor(build))

    def _processor(self, build: Build) -> str:
        """The processor that a build's Linux kernel is for."""
        return self._images_of(build.directory)[ANY].machine.architecture

    def properties(self) -> dict[str, str]:
        return {"qemu": qemu_version(MACHINES["q35"]) or "unknown"}

    def facts(self) -> dict[str, str]:
        """Besides its version the accelerators that work: KVM is tried, with a boot."""
        works = kvm_works(MACHINES["q35"], probe=True)
        return {
            **self.properties(),
            "accelerators": "kvm, tcg" if works else "tcg (kvm does not boot here, or is slower)",
        }

    def launch(self, launch: Launch, scope: Scope) -> QemuProcess:
        with self._prepared(launch, scope) as made:
            child, links, words = start(scope, made.setup, made.folder, made.devices.descriptors)
        image = made.image
        limits = {} if launch.interactive else image.deadlines
        console, symbols = _console(image), _symbols(image)
        process = QemuProcess(
            child,
            links,
            tuple(words),
            console=console,
            deadlines=RunDeadlines(with_overrides(launch.deadlines, limits), image.drain),
            verdict=Verdict(
                token=made.token,
                debug_exit=image.debug_exit,
                place_of=lambda dump: place_of(dump, symbols.of(binary_of(dump)).function),
            ),
            diagnose=lambda process: hang_report(
                process,
                symbols,
                linux=image.linux is not None,
                debugger=image.serial_esc or console.serial_esc,
                picture=made.kept.picture if image.display else None,
            ),
            is_deserted=is_deserted if image.serial_esc else None,
            interactive=launch.interactive,
            held=bool(made.setup.gdb),
            enter_debugger=image.serial_esc and self._debugger_wanted(),
        )
        process.on_end = made.kept.save
        process.files = made.kept.names(made.devices.pcaps)
        process.evidence = tuple(f"network: {pcap}" for pcap in made.devices.pcaps)
        return process

    @contextlib.contextmanager
    def by_hand(self, launch: Launch, scope: Scope, *, gdb: bool) -> Iterator[Command]:
        """The machine on its own, ctrl-a x ends it; or gdb on one that has not begun."""
        if gdb:
            with self._under_gdb(launch, scope) as command:
                yield command
            return
        with self._prepared(launch, scope) as made:
            words = ("env", f"--chdir={made.folder}", *command_by_hand(made.setup))
            yield Command(words, descriptors=made.devices.descriptors)

    @contextlib.contextmanager
    def _under_gdb(self, launch: Launch, scope: Scope) -> Iterator[Command]:
        """gdb on a machine that has not begun; its console is shown between gdb's lines."""
        socket = scope.folder / "gdb"
        held = QemuHost({**self.options, "lkl_qemu_gdb": str(socket)})
        image = self._image(launch, scope)
        gdb = gdb_for(image.machine.architecture)
        at_hand = replace(launch, interactive=True, deadlines=Deadlines.none())
        process = held.launch(at_hand, scope)
        process.listener = show
        console = threading.Thread(
            target=lambda: deque(process.chunks(), 0), name="lkltest console"
        )
        console.start()
        try:
            files = [path for path in (image.program, image.kernel) if path is not None]
            named = [*(self.options.get("lkl_symbols") or []), *map(str, files)]
            symbols = [f"add-symbol-file {file}" for file in named[1:]]
            words = [gdb, "-q", *named[:1], "-ex", f"target remote {socket}"]
            yield Command((*words, *(word for line in symbols for word in ("-ex", line))))
        finally:
            process.kill()
            console.join()
            process.close()

    def dry_run(self, launch: Launch, scope: Scope) -> str:
        """The shell lines that run the same by hand: QEMU's command line, and its folder."""
        with self._prepared(launch, scope) as made:
            return script_by_hand(made.setup, made.folder)

    @contextlib.contextmanager
    def attach(
        self, process: Process, listen: Callable[[bytes], object]
    ) -> Iterator[Callable[[bytes], object] | None]:
        """The whole console, not only the program's lines; ctrl-a x ends the machine."""
        del listen
        assert isinstance(process, QemuProcess)  # noqa: S101 - `launch` makes no other
        with attached(process, raw=bool(self._option("raw"))):
            yield None

    @contextlib.contextmanager
    def _prepared(self, launch: Launch, scope: Scope) -> Iterator[_Made]:
        """Everything that comes before QEMU itself. Raises LaunchError."""
        image = _in_exception_level(self._with_options(self._image(launch, scope)), scope)
        missing = missing_qemu(image.machine)
        if missing is not None:
            raise NotInstalled(str(missing))
        accelerator = self._accelerator(image)
        try:
            folder = Path(tempfile.mkdtemp(prefix="qemu-", dir=scope.folder))
        except OSError as error:
            raise LaunchError(f"{error.filename}: {error.strerror}") from None
        kept = self._artifacts.files(launch.program.name)
        devices = make_devices(launch.arguments, image, scope, kept.pcap)
        try:
            guest = linux_guest(image, devices, launch.environment)
            boot = lay_out(image, Job(devices.words, launch.environment), folder, guest)
            setup = replace(setup_of(image, boot, devices, accelerator), gdb=self._gdb(launch))
            yield _Made(image, folder, devices, setup, kept, guest.config.token if guest else "")
        finally:
            devices.close()

    def _image(self, launch: Launch, scope: Scope) -> Image:
        """The image for a launch, with its program when it is given one. Raises LaunchError."""
        build, name = launch.build, launch.program.name
        try:
            if is_own_test(launch.program):
                folder = Path(tempfile.mkdtemp(prefix="l4re-", dir=scope.folder))
                test = prepare(launch.program, folder, str(self._option("shuffle") or ""))
                return image_of_test(test, launch.deadlines.silence)
            if build is not None and build.kind != "program":
                own = build.kind == HANDED_OVER
                images = self._images_of(default_kernel() if own else build.directory)
                image = images.get(name) or images.get(ANY)
                if image is None:
                    raise LaunchError(f"{build.directory}: has no image for {name}")
                if build.kind == "linux" or image.name == ANY:
                    return replace(image, program=image.program or launch.program)
                return image
            table = self._option("images")
            found = image_of_file(
                launch.program,
                guest=bool(table),
                allow_commands=bool(self._option("allow_commands")),
            )
            if found is not None:
                if launch.arguments and not found.takes_arguments:
                    raise LaunchError(f"{launch.program}: takes no arguments: it has its own")
                return found
            path = Path(table).expanduser().absolute() if table else default_kernel()
            image = self._images_of(path).get(ANY)
        except BuildError as error:
            raise LaunchError(str(error)) from None
        if image is None:
            raise LaunchError(f'{path}: has no [images."*"], which is what runs other programs')
        return replace(image, program=launch.program)

    def _gdb(self, launch: Launch) -> str:
        """The address on which QEMU listens for gdb: of this machine alone. Raises LaunchError."""
        wanted = str(self._option("gdb") or "")
        if wanted and not launch.interactive:
            raise LaunchError("--lkl-qemu-gdb is for `lkltest exec --interactive`")
        if wanted.isdecimal():
            return f"tcp:127.0.0.1:{wanted}"
        return f"unix:{doubled(str(Path(wanted).absolute()))},server=on,wait=off" if wanted else ""

    def _debugger_wanted(self) -> bool:
        return bool(self._option("enter_jdb_on_timeout")) and sys.stdin.isatty()

    def _with_options(self, image: Image) -> Image:
        """The image in the machine that the options name. Raises LaunchError for another's."""
        name = self._option("machine")
        machine = machine_named(name, image.machine) if name else image.machine
        if image.iso is None and machine.architecture != image.machine.architecture:
            raise LaunchError(
                f"--lkl-qemu-machine={name} is for {machine.architecture}, "
                f"the image for {image.machine.architecture}"
            )
        memory, cpu = self._option("memory"), self._option("cpu")
        expect = self._option("expect")
        return replace(
            image,
            machine=machine,
            memory=int(memory) if memory else image.memory,
            cpu=cpu or image.cpu,
            drain=self._drain() or image.drain,
            expect=read_expected(Path(expect)) if expect else image.expect,
        )

    def _drain(self) -> float:
        """The seconds that the option says; 0 without it. Raises LaunchError."""
        wanted = str(self._option("drain") or "")
        if not wanted:
            return 0.0
        try:
            return timeout(wanted)
        except argparse.ArgumentTypeError as error:
            raise LaunchError(f"--lkl-qemu-drain: {error}") from None

    def _images_of(self, path: Path) -> dict[str, Image]:
        if path not in self._images:
            allowed = bool(self._option("allow_commands"))
            self._images[path] = read_images(path, allow_commands=allowed)
        return self._images[path]

    def _image_for(self, build: Build, name: str) -> Image | None:
        images = self._images.get(build.directory, {})
        return images.get(name) or images.get(ANY)

    def _accelerator(self, image: Image) -> str:
        wanted = self._option("accel") or "auto"
        if wanted == "auto":
            return "kvm" if kvm_works(image.machine, probe=False) else "tcg"
        if wanted == "kvm" and not os.access("/dev/kvm", os.R_OK | os.W_OK):
            raise LaunchError("/dev/kvm cannot be opened: use --lkl-qemu-accel=tcg")
        return str(wanted)

    def _option(self, name: str) -> Any:
        return self.options.get(f"lkl_qemu_{name}")


def unsupported_by_kernel(image: Image, kind: str, what: str) -> str | None:
    """The reason why a Linux kernel cannot have a feature; None when it can."""
    assert image.linux is not None  # noqa: S101 - for the type checker
    if kind == "filesystem" and not KernelModules(image.module_directory).has(what):
        return f"kernel {image.linux.name} has no {what}"
    if kind == "kunit":  # a module of that name is loaded by nobody
        builtin = KernelModules(image.module_directory).builtin
        lacks = builtin and "kunit" not in builtin
        return NO_KUNIT if lacks else None
    if kind == "disk":
        return missing_driver(image, "disk")
    return missing_driver(image, "nic") if what == "tap" else None


def _programs_to_hand_over(path: Path) -> Build | None:
    """A build of LKL, of which programs run in a guest of Debian's kernel: those with drivers."""
    try:
        build = open_build(str(path))
    except BuildError:
        return None
    programs = {name: file for name, file in build.programs.items() if name == "disk-vfio-pci"}
    return replace(build, kind=HANDED_OVER, programs=programs) if programs else None


def default_kernel() -> Path:
    """The folder of the kernel that `lkltest setup qemu` fetches. Raises BuildError."""
    for place in build_places():
        if (place / LINUX).is_dir():
            return place / LINUX
    raise BuildError(
        "no image: fetch Debian's kernel with `lkltest setup qemu`, "
        "or name images with --lkl-build=PATH"
    )


def _in_exception_level(image: Image, scope: Scope) -> Image:
    """The image on a machine that starts it where it wants to be. Raises LaunchError."""
    machine = image.machine
    if not machine.emulated or image.kernel is None or missing_qemu(machine) is not None:
        return image
    boot = [machine.program, "-nodefaults", "-no-user-config", "-display", "none", "-no-reboot"]
    boot += ["-M", machine.machine, "-cpu", image.cpu or machine.cpu, "-serial", "stdio"]
    boot += ["-m", str(image.memory or machine.memory), "-kernel", str(image.kernel.absolute())]
    try:
        if wants_el2(image.kernel, boot, scope):
            return image
    except OSError as error:
        raise LaunchError(f"{error.filename}: {error.strerror}") from None
    return replace(image, machine=replace(machine, emulated=""))


def _console(image: Image) -> GuestConsole:
    if image.linux is not None:
        return GuestConsole(tags=False, whole=True)
    own_script = image.is_l4re and image.program is not None
    return GuestConsole(tag=image.tag or (TAG if own_script else None), expect=image.expect)


def _symbols(image: Image) -> Symbols:
    """The names of addresses in a machine, the program's first."""
    modules = {module.name: module.file for module in image.modules}
    files = [image.program, image.kernel, *modules.values()]
    folders = search_path(os.environ)
    if image.kernel is not None and not modules:  # `make elfimage`: images/x.elf, bin/*/*/x
        folders += sorted(image.kernel.parent.parent.glob("bin/*/*"))
    return Symbols([path for path in files if path is not None], modules, folders)
