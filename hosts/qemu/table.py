# SPDX-License-Identifier: GPL-2.0-only
"""Images: what QEMU boots for which suite. Read from a directory or a TOML file.

A directory holds `images.toml`, or images named after programs (`boot.elf`, `disk.iso`), or a Linux
kernel (`vmlinuz`, `boot/vmlinuz-*`) with its modules in `lib/modules`. The TOML file:

    machine = "q35"                  # of every image, and so are these
    memory = 512
    cpu = "max"                      # as QEMU's -cpu
    [deadlines]                      # seconds; what is missing follows from --lkl-timeout
    first_byte = 20
    [images.boot]                    # the suites' programs: boot, disk, net-test; "*" is any other
    kernel = "boot.elf"              # a single image: an ELF file or bootstrap
    iso = "boot.iso"                 # or a CD
    linux = "vmlinuz"                # or a Linux kernel, `modules = "lib/modules/6.1.0"`
    modules = ["fiasco -serial_esc", "sigma0", "moe rom/lkltest.cfg", "l4re", "ned"]
    modules_list = "modules.list"    # or an entry of L4Re's
    entry = "hello"
    search = ["bin/l4f"]             # where modules are looked for
    program = "bin/boot"             # started by a ned script that lkltest writes
    expect = "hello.output"          # lines to come, where nobody speaks TAP

Paths are relative to the file that names them. CDs, and module lists without a `program`, bring
their programs' arguments along: a suite's own do not get there.
"""

from __future__ import annotations

import tomllib
from collections.abc import Mapping
from dataclasses import fields
from pathlib import Path
from typing import Any

from lkltest.errors import BuildError, LaunchError

from ..l4re.expected_output import read_expected
from ..l4re.module_list import ModulesError, find_modules, read_entry
from ..l4re.own_tests import ENTRY, OwnTest
from .image import (
    ANY,
    PC,
    Image,
    KindError,
    find_kernel,
    image_name,
    kind_of,
    machine_for,
    modules_beside,
    single_image,
)
from .machine import DISK_DRIVERS, MACHINES, NICS, Machine

TABLE = "images.toml"
DEADLINES = ("first_byte", "plan", "silence", "total")
_ARCHITECTURES = {"arm64": "aarch64", "arm": "arm", "riscv": "riscv", "mips": "mips"}
"""Processors as `Machine` calls them, by what L4Re does."""
_LONGEST = 1e6
"""Seconds, about eleven days: poll(2) counts milliseconds in 32 bits."""


def read_images(path: Path, *, allow_commands: bool = False) -> dict[str, Image]:
    """Read the images of a directory or a TOML file, by program. Raises BuildError, one line.

    allow_commands: whether module lists may run programs.
    """
    if path.is_dir():
        table = path / TABLE
        return read_table(table, allow_commands) if table.is_file() else _found_images(path)
    if not path.exists():
        raise BuildError(f"build {path}: no such directory or file")
    if path.suffix == ".toml":
        return read_table(path, allow_commands)
    return {ANY: single_image(path, path.stem)}  # whatever is asked for


def image_of_file(path: Path, *, guest: bool, allow_commands: bool = False) -> Image | None:
    """The image that a command line names: a file, `TABLE.toml:NAME` or `modules.list:ENTRY`.

    guest: whether an image to run programs was named; without one, the ELF files of other machines
    than the default kernel's are images themselves. None for a program that has to be given to an
    image. Raises BuildError for what is neither.
    """
    named = image_name(path)
    if named is None:
        try:
            kind = kind_of(path)
        except KindError as error:
            raise BuildError(str(error)) from None
        program = kind.name == "elf" and (guest or kind.architecture in PC)
        return None if program else single_image(path)
    file, name = named
    if file.suffix == ".toml":
        images = read_table(file, allow_commands)
        if name not in images:
            raise BuildError(f"{file}: has no image {name!r}; there are: {', '.join(images)}")
        return images[name]
    try:
        entry = {"modules_list": file.name, "entry": name}
        return Image(name, **_from_list(entry, file.parent, allow_commands))
    except ModulesError as error:
        raise BuildError(str(error)) from None


def image_of_test(test: OwnTest, silence: float) -> Image:
    """What one of L4Re's own tests boots. Raises BuildError for a list that cannot be used.

    silence: the limit that the test may have more of.
    """
    variables = test.environment
    architecture = _ARCHITECTURES.get(variables.get("ARCH", ""), "x86_64")
    try:
        entry = read_entry(test.modules_list, ENTRY, [], environment=variables)
    except ModulesError as error:
        raise BuildError(str(error)) from None
    return Image(
        ENTRY,
        kernel=entry.bootstrap,
        modules=entry.modules,
        append=entry.append,
        machine=machine_for(architecture, test.modules_list),
        deadlines={"silence": max(silence, test.silence)},
        extra=test.qemu_words,
        expect=test.expected,
    )


def read_table(path: Path, allow_commands: bool = False) -> dict[str, Image]:
    """Read a TOML file of images. Raises BuildError, one line, for whatever is wrong in it."""
    try:
        table = tomllib.loads(path.read_text(encoding="utf-8"))
    except OSError as error:
        raise BuildError(f"{path}: {error.strerror}") from None
    except (tomllib.TOMLDecodeError, UnicodeDecodeError) as error:
        raise BuildError(f"{path}: {error}") from None
    entries = table.pop("images", None)
    if not isinstance(entries, dict) or not entries:
        raise BuildError(f"{path}: names no image: there is no [images.NAME]")
    images: dict[str, Image] = {}
    for name, entry in entries.items():
        if not isinstance(entry, dict):
            raise BuildError(f"{path}: images.{name} is not a table")
        try:
            for part in (table, entry):
                _check_types(part)
            merged = {**table, **entry}
            merged["deadlines"] = {**table.get("deadlines", {}), **entry.get("deadlines", {})}
            images[name] = _image(name, merged, path.parent, allow_commands)
        except (BuildError, LaunchError, ModulesError) as error:
            raise BuildError(f"{path}: images.{name}: {error}") from None
    return images


def _image(name: str, entry: Mapping[str, Any], base: Path, allow_commands: bool) -> Image:
    values = {key: value for key, value in entry.items() if key in _PLAIN}
    for key in ("kernel", "iso", "linux", "program"):
        if key in entry:
            values[key] = _file(base, entry[key])
    booted = [key for key in ("kernel", "iso", "linux") if key in entry]
    if "modules_list" in entry:
        values |= _from_list(entry, base, allow_commands)
    elif len(booted) != 1:
        raise BuildError("needs one of kernel, iso, linux and modules_list")
    elif isinstance(entry.get("modules"), list):
        search = [base / folder for folder in entry.get("search", ["."])]
        values["modules"] = find_modules(entry["modules"], search)
        values["search"] = tuple(search)
    if "linux" in entry:
        values["module_directory"] = (
            base / entry["modules"] if "modules" in entry else modules_beside(values["linux"])
        )
    if "machine" in entry:
        _check_choice("machine", entry["machine"], MACHINES)
        values["machine"] = MACHINES[entry["machine"]]
    for key in ("kernel", "iso", "linux"):
        if key in values:
            values["machine"] = _machine_for(key, values[key], values.get("machine"))
    values["deadlines"] = dict(entry["deadlines"])
    values["extra"] = tuple(entry.get("extra", ()))
    if "expect" in entry:
        values["expect"] = read_expected(_file(base, entry["expect"]))
    image = Image(name, **values)
    _check_choice("disk", image.disk, DISK_DRIVERS)
    _check_choice("nic", image.nic, NICS)
    return image


_PLAIN = (
    *("append", "tag", "memory", "cpu", "drain", "disk", "disk_serial", "nic"),
    *("debug_exit", "display"),
)
_TYPES: Mapping[str, tuple[type, ...]] = {
    "memory": (int,),
    "drain": (int, float),
    **dict.fromkeys(("debug_exit", "display"), (bool,)),
    **dict.fromkeys(("extra", "search"), (list,)),
    "modules": (list, str),
    "deadlines": (dict,),
}


def _machine_for(key: str, path: Path, wanted: Machine | None) -> Machine:
    """The machine that boots a file: the one that is `wanted`, or its own by default."""
    found = single_image(path)
    if (key == "iso") != (found.iso is not None):
        raise BuildError(f"{key}: {path}: is {'a CD' if found.iso else 'no CD'}")
    machine = wanted or found.machine
    if machine.architecture != found.machine.architecture and not found.iso:
        boots = f"machine {machine.name} boots {machine.architecture}"
        raise BuildError(f"{path}: is for {found.machine.architecture}; {boots}")
    return machine


_KEYS = {item.name for item in fields(Image)} - {"name"} | {"modules_list", "entry", "search"}


def _check_types(entry: Mapping[str, Any]) -> None:
    for key, value in entry.items():
        if key not in _KEYS:
            raise BuildError(f"unknown key {key!r}; there are: {', '.join(sorted(_KEYS))}")
        _check_type(key, value)


def _check_type(key: str, value: Any) -> None:
    wanted = _TYPES.get(key, (str,))
    if key == "drain":
        _check_seconds(key, value)
    if not isinstance(value, wanted) or (isinstance(value, bool) and bool not in wanted):
        raise BuildError(f"{key} must be {' or '.join(kind.__name__ for kind in wanted)}")
    if isinstance(value, list) and not all(isinstance(word, str) for word in value):
        raise BuildError(f"{key} must be a list of strings")
    if isinstance(value, dict):
        for name, seconds in value.items():
            _check_choice("deadlines", name, dict.fromkeys(DEADLINES))
            _check_seconds(f"deadlines.{name}", seconds)


def _check_seconds(key: str, value: Any) -> None:
    number = isinstance(value, int | float) and not isinstance(value, bool)
    if not number or not 0 < value <= _LONGEST:
        raise BuildError(f"{key}: {value!r} is no number of seconds to wait")


def _check_choice(key: str, value: str, known: Mapping[str, object]) -> None:
    if value not in known:
        raise BuildError(f"{key}: unknown {value!r}; there are: {', '.join(known)}")


def _file(base: Path, name: str) -> Path:
    path = base / Path(name).expanduser()
    if not path.is_file():
        raise BuildError(f"{path}: no such file")
    return path.absolute()


def _from_list(entry: Mapping[str, Any], base: Path, allow_commands: bool) -> dict[str, Any]:
    search = [base / folder for folder in entry.get("search", ["."])]
    found = read_entry(
        _file(base, entry["modules_list"]),
        entry.get("entry", ""),
        search,
        allow_commands=allow_commands,
    )
    words = " ".join(filter(None, (found.append, entry.get("append", ""))))
    kernel, modules = found.bootstrap, found.modules
    return {"kernel": kernel, "modules": modules, "append": words, "search": found.search}


def _found_images(directory: Path) -> dict[str, Image]:
    kernel = find_kernel(directory)
    if kernel is not None:
        return {ANY: single_image(kernel, ANY)}
    found = sorted(directory.glob("*.elf")) + sorted(directory.glob("*.iso"))
    images: dict[str, Image] = {}
    for path in found:
        images.setdefault(path.stem, single_image(path, path.stem))
    if not images:
        raise BuildError(f"build {directory}: found no {TABLE}, no vmlinuz, no *.elf and no *.iso")
    return images
