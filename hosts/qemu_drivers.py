# SPDX-License-Identifier: GPL-2.0-only
"""The drivers that a Linux kernel in a machine needs: modules to load, or why it cannot be."""

from __future__ import annotations

from collections.abc import Collection
from pathlib import Path

from lkltest.guest.kernel_modules import KernelModules
from lkltest.guest.linux import filesystem_modules

from .qemu.image import Image

_ALWAYS = ("virtio_pci", "ipv6")
_DISK_DRIVERS = {
    "virtio": ("virtio_blk",),
    "nvme": ("nvme",),
    "ide": ("ata_piix", "sd_mod"),
}
_AHCI_DRIVERS = ("ahci", "sd_mod")
_NIC_DRIVERS = {"virtio": ("virtio_net",), "e1000": ("e1000",)}


def module_files(
    image: Image, filesystems: Collection[str], *, disks: bool, nics: bool
) -> list[Path]:
    """The modules to load, in this order, for a machine with `disks` or `nics`, if it has some."""
    names = [*_ALWAYS]
    names += _disk_drivers(image) if disks else ()
    names += _NIC_DRIVERS[image.nic] if nics else ()
    names += filesystem_modules(filesystems)
    return KernelModules(image.module_directory).files(names)


def lacking_driver(image: Image, device: str) -> str | None:
    """Which driver for a "disk" or "nic" of the image the kernel lacks; None when it has it."""
    drivers = _disk_drivers(image) if device == "disk" else _NIC_DRIVERS[image.nic]
    kernel = KernelModules(image.module_directory)
    missing = [name for name in drivers if not kernel.has(name)]
    if missing and image.linux is not None:
        return f"kernel {image.linux.name} has no {', '.join(missing)}"
    return None


def _disk_drivers(image: Image) -> tuple[str, ...]:
    """An IDE disk is on whatever controller the machine has for it."""
    on_ahci = image.disk == "ide" and image.machine.machine == "q35"
    return _AHCI_DRIVERS if on_ahci else _DISK_DRIVERS[image.disk]
