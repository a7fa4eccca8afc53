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

from collections.abc import Callable, Collection, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from lkltest import toml_reader
from lkltest.errors import BuildError, LaunchError
from lkltest.text import unknown
from lkltest.toml_reader import ConfigError, Section

from ..l4re.expected_output import read_expected
from ..l4re.module_list import Entry, ModulesError, find_modules, read_entry
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
            raise BuildError(f"{file}: {unknown('image', name, images)}")
        return images[name]
    try:
        found = read_entry(file, name, [file.parent], allow_commands=allow_commands)
        return Image(name, **_booted(found), machine=_machine_of(found.bootstrap))
    except ModulesError as error:
        raise BuildError(str(error)) from None


def image_of_test(test: OwnTest, silence: float) -> Image:
    """The image of one of L4Re's own tests. Raises BuildError for a list that cannot be used.

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
        table = toml_reader.read(path)
        images = table.table("images")
        if not images.data:
            raise table.error("names no image: there is no [images.NAME]", "images")
        return {
            name: _image(_Entry(name, own, table), allow_commands)
            for name, own in table.named_tables("images")
        }
    except ConfigError as error:
        raise BuildError(str(error)) from None


def _deadlines(table: Section, key: str) -> dict[str, float | None]:
    deadlines = table.table(key)
    for name in deadlines.data:
        if name not in DEADLINES:
            raise deadlines.error(unknown("deadline", name, DEADLINES), name, "=")
    return {name: deadlines.seconds(name) for name in deadlines.data}


def _modules(table: Section, key: str) -> list[str] | str:
    return table.string(key) if isinstance(table.data[key], str) else table.strings(key)


def _choice(table: Section, key: str) -> str:
    value = table.string(key)
    if value not in _CHOICES[key]:
        raise table.error(unknown(key, value, _CHOICES[key]), key)
    return value


_CHOICES: Mapping[str, Collection[str]] = {"machine": MACHINES, "disk": DISK_DRIVERS, "nic": NICS}
_BOOTED = ("kernel", "iso", "linux")
_PLAIN = (
    *("append", "tag", "memory", "cpu", "drain", "disk", "disk_serial", "nic"),
    *("debug_exit", "display", "deadlines"),
)
_READERS: Mapping[str, Callable[[Section, str], Any]] = {
    **dict.fromkeys((*_BOOTED, "program", "expect", "modules_list"), Section.string),
    **dict.fromkeys(
        ("append", "tag", "cpu", "disk_serial", "entry"), lambda table, key: table.string(key, "")
    ),
    **dict.fromkeys(_CHOICES, _choice),
    **dict.fromkeys(("debug_exit", "display"), Section.flag),
    **dict.fromkeys(("extra", "search"), Section.strings),
    "memory": lambda table, key: table.count(key, 1 << 24),
    "drain": Section.seconds,
    "modules": _modules,
    "deadlines": _deadlines,
}
"""The reader of each key's value."""


class _Entry:
    """The values of one image: its own before those of the whole file."""

    def __init__(self, name: str, own: Section, defaults: Section) -> None:
        self.name = name
        self._own = own
        self._defaults = defaults
        values, common = _values(own), _values(defaults, "images")
        self.values = {**common, **values}
        self.values["deadlines"] = {**common.get("deadlines", {}), **values.get("deadlines", {})}

    @property
    def base(self) -> Path:
        """The folder that paths are relative to."""
        return self._own.file.parent

    @property
    def search(self) -> list[Path]:
        return [self.base / folder for folder in self.values.get("search", ["."])]

    def file(self, key: str) -> Path:
        path = self.base / Path(self.values[key]).expanduser()
        if not path.is_file():
            raise self.error(key, f"{path}: no such file")
        return path.absolute()

    def error(self, key: str, message: str) -> ConfigError:
        """The error that points at a value, wherever it stands."""
        inherited = self._defaults.has(key) and not self._own.has(key)
        return (self._defaults if inherited else self._own).error(message, key)

    @contextmanager
    def at(self, key: str) -> Iterator[None]:
        """Let the error of a file that is named point at where it is named."""
        try:
            yield
        except (BuildError, LaunchError, ModulesError) as error:
            raise self.error(key, str(error)) from None


def _values(table: Section, *others: str) -> dict[str, Any]:
    """The values of a table; `others` are further keys that it may have."""
    for key in table.data:
        if key not in (*_READERS, *others):
            raise table.error(unknown("key", key, _READERS), key, "=")
    return {key: read(table, key) for key, read in _READERS.items() if table.has(key)}


def _image(entry: _Entry, allow_commands: bool) -> Image:
    given = entry.values
    values = {key: given[key] for key in _PLAIN if key in given}
    booted = [key for key in _BOOTED if key in given]
    values |= {key: entry.file(key) for key in (*booted, "program") if key in given}
    if "modules_list" in given:
        with entry.at("modules_list"):
            found = read_entry(
                entry.file("modules_list"),
                given.get("entry", ""),
                entry.search,
                allow_commands=allow_commands,
            )
        values |= _booted(found, given.get("append", ""))
        booted.append("kernel")
    elif len(booted) != 1:
        raise entry.error("", "needs one of kernel, iso, linux and modules_list")
    elif isinstance(given.get("modules"), list):
        with entry.at("modules"):
            values["modules"] = find_modules(given["modules"], entry.search)
        values["search"] = tuple(entry.search)
    if "linux" in given:
        values["module_directory"] = (
            entry.base / given["modules"] if "modules" in given else modules_beside(values["linux"])
        )
    if "machine" in given:
        values["machine"] = MACHINES[given["machine"]]
    for key in booted:
        with entry.at(key if key in given else "modules_list"):
            values["machine"] = _machine_for(key, values[key], values.get("machine"))
    values["extra"] = tuple(given.get("extra", ()))
    if "expect" in given:
        with entry.at("expect"):
            values["expect"] = read_expected(entry.file("expect"))
    return Image(entry.name, **values)


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


def _machine_of(bootstrap: Path) -> Machine:
    """The machine that a bootstrap is for: a PC where it does not say."""
    try:
        return single_image(bootstrap).machine
    except BuildError:
        return MACHINES["q35"]


def _booted(found: Entry, append: str = "") -> dict[str, Any]:
    words = " ".join(filter(None, (found.append, append)))
    return {
        "kernel": found.bootstrap, "modules": found.modules, "append": words, "search": found.search
    }  # fmt: skip


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
