# SPDX-License-Identifier: GPL-2.0-only
"""The disks and network interfaces of a machine: passed in by descriptor, named for the guest."""

from __future__ import annotations

import os
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lkltest.errors import LaunchError
from lkltest.guest.kernel_modules import KernelModules
from lkltest.guest.linux import LinuxGuest, check_program, filesystem_modules
from lkltest.host.api import Interface
from lkltest.host.disk import Disk
from lkltest.sandbox.scope import Scope

from .image import Image
from .machine import LINUX_DISKS, Drive, Nic

_ALWAYS = ("virtio_pci", "ipv6")
_DISK_DRIVERS = {
    "virtio": ("virtio_blk",),
    "nvme": ("nvme",),
    "ide": ("ata_piix", "sd_mod"),
}
_AHCI_DRIVERS = ("ahci", "sd_mod")
_NIC_DRIVERS = {"virtio": ("virtio_net",), "e1000": ("e1000",)}


def module_files(
    image: Image,
    filesystems: Collection[str],
    *,
    disks: bool,
    nics: bool,
    handed_over: bool = False,
) -> list[Path]:
    """The modules to load, in this order, for a machine with `disks` or `nics`, if it has some."""
    names = [*_ALWAYS, *(_VFIO if handed_over else ())]
    names += _disk_drivers(image) if disks else ()
    names += _NIC_DRIVERS[image.nic] if nics else ()
    names += filesystem_modules(filesystems)
    return KernelModules(image.module_directory).files(names)


def missing_driver(image: Image, device: str) -> str | None:
    """The driver for a "disk" or "nic" of the image that the kernel lacks; None: it has it."""
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


_DISKS, _NICS = 20, 40
"""First numbers of their descriptors in QEMU."""
_SLOTS = 0x10
"""On the PCI bus, the first for disks that are handed over."""
_VFIO = ("vfio_pci", "vfio_iommu_type1")


@dataclass(slots=True)
class Devices:
    """A launch's arguments as words for the guest and devices for QEMU.

    `descriptors` maps numbers in QEMU to ours; `filesystems` are those on the disks; `waited` are
    device files that a Linux guest waits for; `handed_over` are addresses of PCI devices.
    """

    words: list[str] = field(default_factory=list)
    drives: list[Drive] = field(default_factory=list)
    nics: list[Nic] = field(default_factory=list)
    descriptors: dict[int, int] = field(default_factory=dict)
    filesystems: list[str] = field(default_factory=list)
    waited: list[str] = field(default_factory=list)
    handed_over: list[str] = field(default_factory=list)
    taps: list[int] = field(default_factory=list)

    @property
    def pcaps(self) -> list[str]:
        """Files in which the interfaces' traffic is recorded."""
        return [nic.pcap for nic in self.nics if nic.pcap]

    def close(self) -> None:
        """Close our ends of what was opened for QEMU."""
        while self.taps:
            os.close(self.taps.pop())


def make_devices(
    arguments: Sequence[str | Disk | Interface], image: Image, scope: Scope, pcap: str
) -> Devices:
    """Turn a launch's arguments into devices. Raises LaunchError when a TAP cannot be opened."""
    devices = Devices()
    try:
        for argument in arguments:
            if isinstance(argument, Disk):
                _add_disk(devices, argument, image)
            elif isinstance(argument, Interface):
                _add_nic(devices, argument, image, scope, pcap)
            else:
                devices.words.append(argument)
    except BaseException:
        devices.close()
        raise
    return devices


def _add_disk(devices: Devices, disk: Disk, image: Image) -> None:
    """The image itself, not a copy: the suite checks it afterwards, and it is the run's own."""
    index = len(devices.drives)
    number = _DISKS + index
    serial = f"{image.disk_serial}{index}"
    if disk.handed_over:
        slot = f"{_SLOTS + index:02x}"
        devices.drives.append(Drive(f"/proc/self/fd/{number}", "nvme", serial, f"0x{slot}"))
        devices.descriptors[number] = disk.descriptor
        devices.handed_over.append(f"0000:00:{slot}.0")
        devices.words.append(devices.handed_over[-1])
        return
    devices.drives.append(Drive(f"/proc/self/fd/{number}", image.disk, serial))
    devices.descriptors[number] = disk.descriptor
    devices.filesystems.append(disk.filesystem)
    if image.linux is None:
        devices.words.append(serial)
        return
    named = LINUX_DISKS[image.disk]
    letter = str(index) if image.disk == "nvme" else chr(ord("a") + index)
    devices.words.append(named.format(letter))
    devices.waited.append(named.format(letter))


def _add_nic(devices: Devices, interface: Interface, image: Image, scope: Scope, pcap: str) -> None:
    from lkltest.sandbox.netns import NetnsHelper, NetnsThread

    index = len(devices.nics)
    enter = NetnsHelper if scope.user else NetnsThread
    try:
        netns = enter(scope.pid)
        try:
            tap = int(netns.call("open_tap", interface.name))
        finally:
            netns.close()
    except OSError as error:
        raise LaunchError(f"{interface.name}: cannot be opened: {error.strerror}") from None
    devices.taps.append(tap)
    devices.descriptors[_NICS + index] = tap
    if pcap and index:
        pcap = f"{pcap.removesuffix('.pcap')}-{index}.pcap"
    devices.nics.append(Nic(_NICS + index, image.nic, pcap))
    devices.words.append(f"eth{index}" if image.linux is not None else interface.name)


def linux_guest(
    image: Image, devices: Devices, environment: Mapping[str, str]
) -> LinuxGuest | None:
    """The content of a Linux kernel's initramfs; None for an image that brings its own.

    Raises LaunchError when the program cannot run in a guest.
    """
    if image.linux is None or image.program is None:
        return None
    machine = image.machine.architecture
    if not devices.handed_over:  # with one there comes a program of this machine's
        check_program(image.program, (machine, "i386") if machine == "x86_64" else (machine,))
    modules = module_files(
        image,
        devices.filesystems,
        disks=bool(devices.waited),
        nics=bool(devices.nics),
        handed_over=bool(devices.handed_over),
    )
    return LinuxGuest.of(
        image.program,
        devices.words,
        environment,
        # Over the second line /init reports: its program and its kernel share the first one.
        status=f"/dev/{image.machine.status}",
        modules=modules,
        devices=devices.waited,
        handed_over=devices.handed_over,
        machine=machine,
    )
