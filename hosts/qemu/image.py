# SPDX-License-Identifier: GPL-2.0-only
"""An image: what QEMU boots for one program."""

from __future__ import annotations

import mmap
import os
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

from lkltest.errors import BuildError, ExecutableError, LkltestError
from lkltest.host.executable import has_multiboot_header, identify, is_dynamic, special

from ..l4re.expected_output import ExpectedOutput
from ..l4re.module_list import Module
from ..l4re.own_tests import is_own_test
from .machine import MACHINES, Machine

_CD_AT = 0x8001
_PVH = b"\x12\0\0\0Xen\0"
"""A note's type, XEN_ELFNOTE_PHYS32_ENTRY, and owner: where QEMU enters an ELF file."""


class KindError(LkltestError):
    """A file that cannot be booted; the message is one line that names it and what it is."""


@dataclass(frozen=True, slots=True)
class Kind:
    """`name` is "multiboot", "pvh", "elf" (any other), "linux" or "iso"."""

    name: str
    architecture: str


def kind_of(path: Path) -> Kind:
    """Say what kind of image `path` is. Raises KindError when it is none."""
    what = special(path)
    if what is not None:
        raise KindError(f"{path}: is {what}, not an image")
    try:
        with path.open("rb") as file:
            head = file.read(_CD_AT + 5)
    except OSError as error:
        raise KindError(f"{path}: {error.strerror}") from None
    if head[0x202:0x206] == b"HdrS":
        return Kind("linux", "x86_64")
    if head[0x38:0x3C] == b"ARMd":
        return Kind("linux", "aarch64")
    if head[_CD_AT : _CD_AT + 5] == b"CD001":
        return Kind("iso", "x86_64")
    try:
        executable = identify(path)
    except ExecutableError as error:
        text = str(error).replace(", not an ELF or PE program", "")
        raise KindError(f"{text}: no image that can be booted") from None
    if executable.format != "ELF":
        raise KindError(f"{path}: is {executable}: no image that can be booted")
    if has_multiboot_header(path):
        return Kind("multiboot", executable.machine)
    return Kind("pvh" if _has_pvh_entry(path) else "elf", executable.machine)


def _has_pvh_entry(path: Path) -> bool:
    """Whether an ELF file has the note that names an entry point for PVH, as vmlinux does."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        return data.find(_PVH) >= 0


ANY = "*"
"""Name of the image that runs whatever program it is given."""
PC = ("x86_64", "i386")
"""Architectures whose images the same machines run."""


@dataclass(frozen=True, slots=True)
class Image:
    """The files that are booted for one program, and how.

    Attributes:
        name: of the program it is for.
        kernel, iso, linux: the file that is booted; one of them is set.
        modules: what bootstrap gets besides, in order (L4Re).
        search: where the libraries of a program that is added are looked for.
        module_directory: a Linux kernel's modules, `lib/modules/VERSION`.
        program: a program that the image is given to start, by ned or by /init.
        append: further words for the kernel's command line.
        tag: how the program's lines are tagged; empty for what is found.
        deadlines: limits in seconds that differ from those of `--lkl-timeout`, by name.
        drain: seconds of silence after the last test point until the machine is ended; 0: short,
            or longer where L4Re may start another program (see `deadlines`).
        cpu: value of -cpu; empty for the machine's own.
        disk, nic: how they are attached; `disk_serial` is what drivers choose a disk by.
        debug_exit: the machine has isa-debug-exit at port 0xf4, whose status counts.
        display: the machine has a display, of which a hang report takes a picture.
        extra: further words of QEMU's command line.
        expect: the lines that a program without TAP is to bring; None: it speaks TAP.
    """

    name: str
    kernel: Path | None = None
    iso: Path | None = None
    linux: Path | None = None
    modules: tuple[Module, ...] = ()
    search: tuple[Path, ...] = ()
    module_directory: Path | None = None
    program: Path | None = None
    append: str = ""
    tag: str = ""
    machine: Machine = MACHINES["q35"]
    memory: int = 0
    cpu: str = ""
    deadlines: Mapping[str, float] = field(default_factory=dict)
    drain: float = 0.0
    disk: str = "virtio"
    disk_serial: str = "lkltest"
    nic: str = "virtio"
    debug_exit: bool = False
    display: bool = False
    extra: tuple[str, ...] = ()
    expect: ExpectedOutput | None = None

    @property
    def serial_esc(self) -> bool:
        """Whether ESC on the console enters the kernel debugger."""
        arguments = [self.append, *(module.arguments for module in self.modules)]
        return any("-serial_esc" in text.split() for text in arguments)

    @property
    def takes_arguments(self) -> bool:
        """Whether words can be given to what is booted; else it has its own."""
        return self.iso is None and (self.program is not None or not self.modules)

    @property
    def is_l4re(self) -> bool:
        """Whether programs are started from a module list."""
        return self.kernel is not None and bool(self.modules)


def single_image(path: Path, name: str = ANY) -> Image:
    """The image that a file is by itself. Raises BuildError when it is none."""
    try:
        kind = kind_of(path)
    except KindError as error:
        raise BuildError(str(error)) from None
    if kind.name == "linux":
        machine = replace(machine_for(kind.architecture, path), emulated="")  # EL1 will do
        return Image(name, linux=path, module_directory=modules_beside(path), machine=machine)
    if kind.name == "iso":
        return Image(name, iso=path)
    if kind.name == "elf" and kind.architecture in PC:
        raise BuildError(f"{path}: is no image: it has neither a Multiboot header nor a PVH note")
    return Image(name, kernel=path, machine=machine_for(kind.architecture, path))


def is_image(path: Path) -> bool:
    """Whether a file can be booted by itself."""
    if image_name(path) is not None or is_own_test(path):
        return True
    try:
        kind = kind_of(path)
        foreign = kind.architecture not in PC and not os.access(path, os.X_OK)
        return kind.name != "elf" or (foreign and not is_dynamic(path))
    except (KindError, ExecutableError):
        return False


def image_name(path: Path) -> tuple[Path, str] | None:
    """Take `FILE:NAME` apart, an entry of a module list or of a table; None for anything else."""
    file, colon, name = str(path).rpartition(":")
    if colon and name and "/" not in name and Path(file).is_file():
        return Path(file), name
    return None


def machine_for(architecture: str, path: Path) -> Machine:
    """The first machine that runs images for an architecture. Raises BuildError."""
    if architecture in PC:
        architecture = "x86_64"
    for machine in MACHINES.values():
        if machine.architecture == architecture:
            return machine
    known = ", ".join(dict.fromkeys(machine.architecture for machine in MACHINES.values()))
    raise BuildError(f"{path}: is for {architecture}; there are machines for: {known}")


def find_kernel(directory: Path) -> Path | None:
    """A Linux kernel as Debian's packages hold it, or just `vmlinuz`."""
    kernels = [*directory.glob("vmlinuz*"), *directory.glob("boot/vmlinuz*")]
    return max((path.absolute() for path in kernels if path.is_file()), default=None)


def modules_beside(kernel: Path) -> Path | None:
    """`lib/modules/VERSION` of the tree that `vmlinuz-VERSION` or `boot/vmlinuz-VERSION` is in."""
    version = kernel.name.removeprefix("vmlinuz").removeprefix("-")
    for top in (kernel.parent, kernel.parent.parent):
        modules = top / "lib" / "modules"
        found = sorted(modules.iterdir()) if modules.is_dir() else []
        if version:
            found = [path for path in found if path.name == version]
        if found:
            return found[-1]
    return None
