# SPDX-License-Identifier: GPL-2.0-only
"""A target: another machine that is reached by a command, and the file that names several.

[targets.freebsd]
address = "user@freebsd"      # what ssh(1) or adb(1) takes; by default the name
folder = "/var/tmp/lkltest"   # where programs go; by default .cache/lkltest-target at home
wrapper = ["doas"]            # goes before each program
environment = { LKL_HIJACK = "1" }

[targets.debian]              # one that QEMU boots, for a session: qemu:debian
image = "debian.qcow2"        # files beside this one, or whole paths
user = "tester"
key = "id_ed25519"
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lkltest import toml_reader
from lkltest.errors import LaunchError
from lkltest.hosts.qemu.machine import DISK_DRIVERS, MACHINES, NICS, Machine
from lkltest.text import unknown
from lkltest.toml_reader import Section

MADE = "qemu:"
"""The beginning of a name whose target is to be a machine that is made here."""
_PLAIN = re.compile(r"/[\w./+-]+")
"""Folders go through a login shell that may be anyone's, so that they need no quotes."""
_MEBIBYTES = 1 << 20


@dataclass(frozen=True, slots=True)
class Image:
    """The parts of a machine that QEMU boots. `seed` is cloud-init's second disk (NoCloud)."""

    disk: Path | None
    kernel: Path | None
    initrd: Path | None
    append: str
    seed: Path | None
    key: Path | None
    user: str
    machine: Machine
    memory: int
    disk_driver: str
    nic: str
    extra: tuple[str, ...]
    boot_seconds: float


@dataclass(frozen=True, slots=True)
class Target:
    """One machine: `address` is what the transport calls it, `folder` None for the default.

    `image` is there for one that is made here.
    """

    name: str
    address: str
    folder: str | None = None
    wrapper: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)
    image: Image | None = None


def find_target(name: str, file: Path | None) -> Target:
    """The target called `name`: of the file, or any address. Raises LaunchError."""
    known = name.removeprefix(MADE)
    if file is None:
        if known != name:
            raise LaunchError(f"{name}: name its file with --lkl-ssh-targets=FILE")
        return Target(name, name)
    try:
        section = toml_reader.read(file)
        targets = {found: _target(found, table) for found, table in section.named_tables("targets")}
        section.finish()
    except toml_reader.ConfigError as error:
        raise LaunchError(str(error)) from None
    if known not in targets:
        raise LaunchError(f"{file}: {unknown('target', known, targets)}")
    if known != name and targets[known].image is None:
        raise LaunchError(f"{file}: target {known} has neither image nor kernel to boot")
    return targets[known]


def _target(name: str, table: Section) -> Target:
    folder = table.string("folder", "")
    if folder and not _PLAIN.fullmatch(folder):
        raise table.error("folder must begin with / and be of letters, digits and ._+-", "folder")
    image = _image(table) if table.has("image") or table.has("kernel") else None
    default = f"{image.user}@{name}" if image and image.user else name
    target = Target(
        name,
        table.string("address", default),
        folder or None,
        tuple(table.strings("wrapper")),
        table.words("environment"),
        image,
    )
    table.finish()
    return target


def _image(table: Section) -> Image:
    return Image(
        disk=_file(table, "image"),
        kernel=_file(table, "kernel"),
        initrd=_file(table, "initrd"),
        append=table.string("append", ""),
        seed=_file(table, "seed"),
        key=_file(table, "key"),
        user=table.string("user", ""),
        machine=MACHINES[_one_of(table, "machine", MACHINES)],
        memory=table.count("memory", _MEBIBYTES) or 0,
        disk_driver=_one_of(table, "disk", DISK_DRIVERS),
        nic=_one_of(table, "nic", NICS),
        extra=tuple(table.strings("extra")),
        boot_seconds=table.seconds("boot_seconds") or 300.0,
    )


def _one_of(table: Section, key: str, known: Mapping[str, object]) -> str:
    """One of the names of `known`, by default its first."""
    name = table.string(key, next(iter(known)))
    if name not in known:
        raise table.error(unknown(key, name, known), key)
    return name


def _file(table: Section, key: str) -> Path | None:
    name = table.string(key, "")
    if not name:
        return None
    path = table.file.absolute().parent / Path(name).expanduser()
    if not path.is_file():
        raise table.error(f"{path}: is no file", key)
    return path
