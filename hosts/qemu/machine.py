# SPDX-License-Identifier: GPL-2.0-only
"""The machines that QEMU is asked for: one frozen dataclass each. Pure.

Sources: QEMU's system emulation manual ("Invocation", "Device emulation"), docs/specs/pvpanic.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field, replace

DISK_DRIVERS: Mapping[str, str] = {
    "virtio": "virtio-blk-pci",
    "nvme": "nvme",
    "ide": "ide-hd",
}
LINUX_DISKS: Mapping[str, str] = {
    "virtio": "/dev/vd{}",
    "nvme": "/dev/nvme{}n1",
    "ide": "/dev/sd{}",
}
"""Linux's name of a disk; letters where disks have letters, else numbers."""
NICS: Mapping[str, str] = {"virtio": "virtio-net-pci", "e1000": "e1000"}


@dataclass(frozen=True, slots=True)
class Machine:
    """A kind of machine: which QEMU emulates it and with what.

    Attributes:
        name: what it is asked for by.
        program: QEMU's executable.
        machine: value of -M.
        architecture: as `lkltest.host.executable` calls it.
        memory: MiB; L4Re says nothing at all with 256.
        package: Debian's package of `program`.
        panic: arguments that make a guest's panic known over QMP.
        display: device that gives a picture to dump.
        cpu: value of -cpu, or empty for the machine's own.
        emulated: added to -M for an image that wants EL2, where the machine is not run by KVM.
        console, status: Linux's names of the first and the second serial line.
        second_serial: the device of the second line, where the machine has but one of its own.
    """

    name: str
    program: str
    machine: str
    architecture: str
    memory: int
    package: str
    panic: tuple[str, ...] = ()
    display: tuple[str, ...] = ("-device", "VGA")
    cpu: str = ""
    emulated: str = ""
    console: str = "ttyS0"
    status: str = "ttyS1"
    second_serial: str = ""


def _pc(kind: str) -> Machine:
    return Machine(
        name=kind,
        program="qemu-system-x86_64",
        machine=kind,
        architecture="x86_64",
        memory=512,
        package="qemu-system-x86",
        panic=("-device", "pvpanic"),
    )


MACHINES: Mapping[str, Machine] = {
    machine.name: machine
    for machine in (
        _pc("q35"),
        _pc("pc"),
        Machine(
            name="arm64",
            program="qemu-system-aarch64",
            machine="virt",
            architecture="aarch64",
            memory=1024,
            package="qemu-system-arm",
            panic=("-device", "pvpanic-pci"),
            display=("-device", "virtio-gpu-pci"),
            cpu="cortex-a57",
            emulated=",virtualization=true",
            console="ttyAMA0",
            status="ttyS0",
            second_serial="pci-serial",
        ),
    )
}


def machine_named(name: str, like: Machine) -> Machine:
    """One of `MACHINES`, or a value of QEMU's -M for the processor that `like` has."""
    return MACHINES.get(name) or replace(like, name=name, machine=name, emulated="")


@dataclass(frozen=True, slots=True)
class Drive:
    """A disk: the file as QEMU reaches it, how it is attached, and the serial that drivers see.

    `slot` is its place on the PCI bus, for one that is handed to a driver in a program; empty: any.
    """

    file: str
    driver: str = "virtio"
    serial: str = "lkltest0"
    slot: str = ""


@dataclass(frozen=True, slots=True)
class Nic:
    """A network interface on an open TAP device, as `fd` in QEMU; `pcap` records it."""

    fd: int
    driver: str = "virtio"
    pcap: str = ""


@dataclass(frozen=True, slots=True)
class Boot:
    """The files that are booted, in names that mean the same in QEMU's folder.

    A path must not get there: it becomes part of the guest's command line, where bootstrap of L4Re
    takes `-wait` or `-noserial` in it for an option of its own.
    """

    kernel: str = ""
    append: str = ""
    initrd: str = ""
    cdrom: str = ""


@dataclass(frozen=True, slots=True)
class Setup:
    """Everything of one machine that is to run.

    `monitor` is a descriptor in QEMU, `consoles` are the names of serial lines in its directory,
    `gdb` is where QEMU listens for a debugger.
    """

    machine: Machine
    boot: Boot
    accelerator: str
    monitor: int
    consoles: Sequence[str]
    memory: int = 0
    cpu: str = ""
    drives: Sequence[Drive] = ()
    nics: Sequence[Nic] = ()
    debug_exit: bool = False
    display: bool = False
    extra: Sequence[str] = field(default_factory=tuple)
    gdb: str = ""


def command(setup: Setup) -> list[str]:
    """QEMU's command line for `setup`."""
    words = [*_processor(setup), "-S", "-no-reboot", "-action", "panic=pause"]
    words += ["-chardev", f"socket,id=qmp,fd={setup.monitor}", "-mon", "chardev=qmp,mode=control"]
    for index, name in enumerate(setup.consoles):
        words += ["-chardev", f"pipe,id=ser{index},path={name}", *_serial(setup.machine, index)]
    return words + _devices(setup) + _boot(setup.boot) + list(setup.extra)


def command_by_hand(setup: Setup) -> list[str]:
    """The command line with which a person runs `setup`: on a terminal, without our descriptors."""
    words = [*_processor(setup), "-no-reboot", "-serial", "mon:stdio"]
    for index in range(1, len(setup.consoles)):
        words += ["-chardev", f"null,id=ser{index}", *_serial(setup.machine, index)]
    return words + _devices(setup) + _boot(setup.boot) + list(setup.extra)


def _serial(machine: Machine, index: int) -> list[str]:
    """The line on which the guest finds chardev `ser{index}`."""
    if index and machine.second_serial:
        return ["-device", f"{machine.second_serial},chardev=ser{index}"]
    return ["-serial", f"chardev:ser{index}"]


def _processor(setup: Setup) -> list[str]:
    machine = setup.machine
    words = [machine.program, "-nodefaults", "-no-user-config", "-display", "none"]
    kvm = setup.accelerator == "kvm"
    kind = machine.machine + ("" if kvm else machine.emulated)
    if kvm and any(drive.slot for drive in setup.drives):
        kind += ",kernel-irqchip=split"  # what remapping of interrupts takes
    words += ["-M", kind]
    words += ["-m", str(setup.memory or machine.memory)]
    words += ["-accel", setup.accelerator]
    cpu = setup.cpu or ("host" if kvm else machine.cpu)
    words += ["-cpu", cpu] if cpu else []
    return words + (["-gdb", setup.gdb] if setup.gdb else [])


def _devices(setup: Setup) -> list[str]:
    machine = setup.machine
    words = [*machine.panic]
    words += ["-device", "isa-debug-exit,iobase=0xf4,iosize=4"] if setup.debug_exit else []
    words += machine.display if setup.display else []
    if any(drive.slot for drive in setup.drives):  # before the devices behind it
        words += ["-device", "intel-iommu,intremap=on,aw-bits=48"]
    for index, drive in enumerate(setup.drives):
        words += _drive(index, drive)
    for index, nic in enumerate(setup.nics):
        words += _nic(index, nic)
    return words


def doubled(text: str) -> str:
    """A value inside of an option with commas: each of its own is written twice."""
    return text.replace(",", ",,")


def _boot(boot: Boot) -> list[str]:
    words = ["-kernel", boot.kernel] if boot.kernel else []
    words += ["-initrd", boot.initrd] if boot.initrd else []
    words += ["-append", boot.append] if boot.kernel and boot.append else []
    return [*words, "-cdrom", boot.cdrom] if boot.cdrom else words


def _drive(index: int, drive: Drive) -> list[str]:
    value = f"if=none,id=d{index},format=raw,file={doubled(drive.file)}"
    device = f"{DISK_DRIVERS[drive.driver]},drive=d{index},serial={doubled(drive.serial)}"
    device += f",addr={drive.slot}" if drive.slot else ""
    return ["-drive", value, "-device", device]


def _nic(index: int, nic: Nic) -> list[str]:
    words = ["-netdev", f"tap,id=n{index},fd={nic.fd}"]
    words += ["-device", f"{NICS[nic.driver]},netdev=n{index},mac=02:00:00:00:00:{index + 1:02x}"]
    if nic.pcap:
        words += ["-object", f"filter-dump,id=p{index},netdev=n{index},file={doubled(nic.pcap)}"]
    return words
