# SPDX-License-Identifier: GPL-2.0-only
"""A Linux guest: its initramfs, with a program, the modules it needs and orders for /init.

The program's own lines and the kernel's share the first serial port; /init reports over the second.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lkltest import initramfs
from lkltest.executable import ExecutableError, identify, is_dynamic
from lkltest.guest import INIT, guest_program
from lkltest.guest_orders import Orders
from lkltest.host import LaunchError
from lkltest.kernel_modules import KernelModules, read_module

from .qemu_image import Image

PROGRAMS = "/bin"
STATUS = "/dev/ttyS1"
_ALWAYS = ("virtio_pci", "ipv6")
_DISK_DRIVERS = {
    "virtio": ("virtio_blk",),
    "nvme": ("nvme",),
    "ide": ("ata_piix", "sd_mod"),
    "ide on q35": ("ahci", "sd_mod"),
}
_NIC_DRIVERS = {"virtio": ("virtio_net",), "e1000": ("e1000",)}
_FAT_TABLES = ("nls_cp437", "nls_ascii", "nls_iso8859-1", "nls_utf8")


@dataclass(frozen=True, slots=True)
class LinuxGuest:
    """What one launch needs in the guest."""

    program: Path
    orders: Orders
    modules: tuple[Path, ...]

    @classmethod
    def of(
        cls,
        program: Path,
        words: Sequence[str],
        environment: Mapping[str, str],
        needs: Needs,
    ) -> LinuxGuest:
        """Raises LaunchError, one line, when a guest cannot run `program`."""
        check_program(program, needs.architecture)
        modules = tuple(needs.module_files())
        orders = Orders(
            [f"{PROGRAMS}/{program.name}", *words],
            STATUS,
            {"HOME": "/", "PATH": PROGRAMS, **environment},
            modules=[f"/modules/{path.name}" for path in modules],
            devices=needs.devices,
        )
        return cls(program, orders, modules)

    def write_initrd(self, file: Path) -> None:
        """Write the initramfs: what many runs share, then the orders. Raises OSError."""
        shared = initramfs.cached(
            [
                initramfs.file("/init", guest_program(INIT).read_bytes(), 0o755),
                initramfs.file(f"{PROGRAMS}/{self.program.name}", self.program.read_bytes(), 0o755),
                initramfs.device("/dev/console", "c", 5, 1),
                *(
                    initramfs.file(f"/modules/{path.name}", read_module(path))
                    for path in self.modules
                ),
            ]
        )
        file.write_bytes(shared.read_bytes() + self.orders.archive())


@dataclass(frozen=True, slots=True)
class Needs:
    """What a guest's kernel has to load, and what has to be there before the program starts."""

    kernel: KernelModules
    filesystems: Sequence[str] = ()
    disk_driver: str = ""
    nic_driver: str = ""
    devices: Sequence[str] = ()
    architecture: str = "x86_64"

    def module_files(self) -> list[Path]:
        names = [*_ALWAYS]
        names += _DISK_DRIVERS[self.disk_driver] if self.disk_driver else ()
        names += _NIC_DRIVERS[self.nic_driver] if self.nic_driver else ()
        names += self.filesystems
        if "vfat" in self.filesystems:
            names += _FAT_TABLES
        return self.kernel.files(names)


def disk_driver(image: Image) -> str:
    """How disks are attached, in the words that drivers are chosen by here."""
    on_ahci = image.disk == "ide" and image.machine.machine == "q35"
    return "ide on q35" if on_ahci else image.disk


def lacking_driver(image: Image, device: str) -> str | None:
    """Which driver for a "disk" or "nic" of the image the kernel lacks; None when it has it."""
    drivers = _DISK_DRIVERS[disk_driver(image)] if device == "disk" else _NIC_DRIVERS[image.nic]
    kernel = KernelModules(image.module_directory)
    missing = [name for name in drivers if not kernel.has(name)]
    if missing and image.linux is not None:
        return f"kernel {image.linux.name} has no {', '.join(missing)}"
    return None


def check_program(program: Path, architecture: str) -> None:
    """Raise LaunchError, one line, when a guest that holds nothing else cannot run `program`."""
    try:
        executable = identify(program)
        dynamic = is_dynamic(program)
    except ExecutableError as error:
        raise LaunchError(str(error)) from None
    runs = {architecture, "i386"} if architecture == "x86_64" else {architecture}
    if executable.format == "ELF" and executable.machine not in runs:
        raise LaunchError(f"{program}: is {executable}; the guest is {architecture}")
    if executable.format != "ELF" or dynamic:
        what = f"{executable}, dynamically linked" if dynamic else str(executable)
        raise LaunchError(f"{program}: is {what}; a guest runs static ELF programs (gcc -static)")
