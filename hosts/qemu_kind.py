# SPDX-License-Identifier: GPL-2.0-only
"""What kind of bootable file something is, read from its first bytes.

Sources: the Multiboot specification 0.6.96, 3.1; the kernel's Documentation/arch/x86/boot.rst and
arch/arm64/booting.rst; ECMA-119 for CDs; Xen's public/elfnote.h for PVH.
"""

from __future__ import annotations

import mmap
import struct
from dataclasses import dataclass
from pathlib import Path

from lkltest.errors import ExecutableError, LkltestError
from lkltest.host.executable import identify, special

_MULTIBOOT = 0x1BADB002
_MULTIBOOT_WITHIN = 8192
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
    if _is_multiboot(head):
        return Kind("multiboot", executable.machine)
    return Kind("pvh" if _has_pvh_entry(path) else "elf", executable.machine)


def _is_multiboot(head: bytes) -> bool:
    looked_at = min(len(head), _MULTIBOOT_WITHIN) & ~3  # whole words
    words = struct.iter_unpack("<I", head[:looked_at])
    return any(word == _MULTIBOOT for (word,) in words)


def _has_pvh_entry(path: Path) -> bool:
    """Whether an ELF file has the note that names an entry point for PVH, as vmlinux does."""
    with path.open("rb") as file, mmap.mmap(file.fileno(), 0, prot=mmap.PROT_READ) as data:
        return data.find(_PVH) >= 0
