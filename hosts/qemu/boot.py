# SPDX-License-Identifier: GPL-2.0-only
"""The directory that a machine boots from: symbolic links under names that say nothing.

QEMU runs in it. See `machine.Boot` for why.
"""

from __future__ import annotations

import gzip
import shutil
import zlib
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lkltest.errors import LaunchError
from lkltest.guest.linux import LinuxGuest

from ..l4re.module_list import Module, ModulesError, libraries_of, with_program
from ..l4re.ned_script import SCRIPT, TAG, ned_script
from . import sysrq
from .image import PC, Image
from .machine import Boot, doubled


@dataclass(frozen=True, slots=True)
class Job:
    """The words and the environment that a program is started with, as the guest sees them."""

    words: Sequence[str] = ()
    environment: Mapping[str, str] | None = None


def lay_out(image: Image, job: Job, folder: Path, guest: LinuxGuest | None) -> Boot:
    """Fill `folder` with what `image` needs. Raises LaunchError, one line.

    guest: for a Linux kernel, what its initramfs has to hold.
    """
    try:
        if image.linux is not None:
            return _linux(image, job, folder, guest)
        if image.iso is not None:
            _link(folder / "cd.iso", image.iso)
            return Boot(cdrom="cd.iso")
        if image.kernel is None:
            raise LaunchError(f"image {image.name}: has nothing to boot")
        _link(folder / "kernel", image.kernel)
        if image.modules and image.machine.architecture not in PC:
            raise LaunchError(
                f"image {image.name}: module lists boot on x86 alone; for "
                f"{image.machine.architecture} make one file of it: make elfimage E={image.name}"
            )
        if not image.modules:
            return Boot("kernel", " ".join(filter(None, (image.append, *job.words))))
        return Boot("kernel", image.append, _modules(image, job, folder))
    except OSError as error:
        raise LaunchError(f"{error.filename}: {error.strerror}") from None
    except ModulesError as error:
        raise LaunchError(f"image {image.name}: {error}") from None


def _linux(image: Image, job: Job, folder: Path, guest: LinuxGuest | None) -> Boot:
    assert image.linux is not None  # noqa: S101 - for the type checker
    _link(folder / "kernel", image.linux)
    console = f"console={image.machine.console}"
    own = _PC_OPTIONS if image.machine.architecture in PC else ""
    iommu = "intel_iommu=on" if guest is not None and guest.config.handed_over else ""
    append = " ".join(filter(None, (console, _LINUX_OPTIONS, own, iommu, image.append)))
    if guest is None:
        return Boot("kernel", " ".join((append, *job.words)))
    guest.write_initrd(folder / "initrd")
    return Boot("kernel", append, "initrd")


# Time stamps tell where a kernel message begins in the middle of a program's line.
_LINUX_OPTIONS = "panic=-1 printk.time=1 rdinit=/init nokaslr " + sysrq.OPTIONS
# The delay loop is calibrated by what QEMU says.
_PC_OPTIONS = "tsc=reliable no_timer_check"


def _modules(image: Image, job: Job, folder: Path) -> str:
    """Link the modules, with the program and its script when there is one; return `-initrd`."""
    modules: Sequence[Module] = image.modules
    if image.program is not None:
        program = Module(image.program, image.program.name)
        script = Module(folder / SCRIPT, SCRIPT)
        modules = with_program(modules, program, script)
        search = (image.program.parent, *image.search)
        modules = (*modules, *libraries_of([program], modules, search))
        text = ned_script(program.name, job.words, job.environment or {}, image.tag or TAG)
        script.file.write_bytes(text)
    for module in modules:
        if any(blank in module.name for blank in " \t\n"):
            raise ModulesError(f"module {module.name!r}: a module's name can hold no blank")
        if module.uncompress and _is_gzipped(module.file):
            _unpack(module.file, folder / module.name)
        elif module.file.parent != folder:
            _link(folder / module.name, module.file)
    lines = (f"{module.name} {module.arguments}".rstrip() for module in modules)
    return ",".join(map(doubled, lines))


def _is_gzipped(path: Path) -> bool:
    with path.open("rb") as file:
        return file.read(2) == b"\x1f\x8b"


def _unpack(packed: Path, file: Path) -> None:
    if file.exists():
        raise ModulesError(f"two modules are called {file.name}")
    try:
        with gzip.open(packed) as source, file.open("wb") as target:
            shutil.copyfileobj(source, target)
    except (EOFError, zlib.error, gzip.BadGzipFile) as error:
        raise ModulesError(f"{packed}: cannot be uncompressed: {error}") from None


def _link(link: Path, target: Path) -> None:
    if link.exists() or link.is_symlink():
        raise ModulesError(f"two modules are called {link.name}")
    link.symlink_to(target.absolute())
