# SPDX-License-Identifier: GPL-2.0-only
"""Disk images: made with features that the kernel under test knows, checked after the run.

An image is an unnamed file (O_TMPFILE, else memfd), so there is nothing to clean whatever happens;
tools and programs reach it as `/proc/self/fd/N`. A host whose programs need a path gets a copy from
`Disk.copy_to`.
"""

from __future__ import annotations

import contextlib
import os
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lkltest.errors import LkltestError, Missing, Unavailable

if TYPE_CHECKING:
    from lkltest.sandbox.scope import Scope

IMAGE_BYTES = 300 << 20
"""Size of an image: mkfs.xfs and mkfs.btrfs refuse smaller ones; it is sparse."""

CHILD_DESCRIPTOR = 10
"""The number under which a tool or program finds the image (`/proc/self/fd/10`)."""

_TOOL_SECONDS = 60.0
_PLENTY = 2 << 30
"""Bytes of memory beside which an image is little."""


class DiskError(LkltestError):
    """An image could not be made; the message is one line."""


class ToolHangs(DiskError):
    """A tool has not ended in its time."""


class MissingTool(Unavailable):
    """A file system's tool is not installed; `missing` names it and its package."""

    def __init__(self, missing: Missing) -> None:
        super().__init__(str(missing))
        self.missing = missing


@dataclass(frozen=True, slots=True)
class FileSystem:
    """The commands that make and check one file system; each gets the image's path appended."""

    name: str
    make: tuple[str, ...]
    check: tuple[str, ...]
    package: str
    old_kernels: tuple[tuple[tuple[int, int], tuple[str, ...]], ...] = ()
    """Kernels before each of these versions need these further arguments of `make`."""


FILE_SYSTEMS: Mapping[str, FileSystem] = {
    system.name: system
    for system in (
        FileSystem("ext4", ("mkfs.ext4", "-q", "-F"), ("e2fsck", "-fn"), "e2fsprogs"),
        FileSystem("btrfs", ("mkfs.btrfs", "-q", "-f"), ("btrfs", "check"), "btrfs-progs"),
        FileSystem("vfat", ("mkfs.vfat",), ("fsck.vfat", "-n"), "dosfstools"),
        FileSystem(
            "xfs",
            ("mkfs.xfs", "-q", "-f"),
            ("xfs_repair", "-n"),
            "xfsprogs",
            # bigtime came with 5.10, inobtcount with 5.10, stable reflink with 4.16, nrext64 with
            # 5.19. xfsprogs has files of options for old kernels; those of 6.1 are broken.
            (
                ((5, 10), ("-m", "bigtime=0,inobtcount=0,reflink=0")),
                ((5, 19), ("-i", "nrext64=0")),
            ),
        ),
    )
}


@dataclass(frozen=True, slots=True)
class Disk:
    """An image: `descriptor` is open for reading and writing, `filesystem` names its content.

    `handed_over`: to a driver that is in the program, which finds it by its PCI address.
    """

    descriptor: int
    filesystem: str
    handed_over: bool = False

    @property
    def path(self) -> Path:
        """The image as this process sees it."""
        return Path(f"/proc/self/fd/{self.descriptor}")

    def copy_to(self, directory: Path) -> Path:
        """Copy the image (sparse) into `directory` for hosts that need a path of their own."""
        target = directory / f"disk-{self.descriptor}.img"
        with target.open("wb") as copy:
            os.truncate(copy.fileno(), os.fstat(self.descriptor).st_size)
            _copy_data(self.descriptor, copy.fileno())
        return target

    def copy_from(self, file: Path) -> None:
        """Take the content of `file` back, so that it can be checked."""
        descriptor = os.open(file, os.O_RDONLY | os.O_CLOEXEC)
        try:
            os.truncate(self.descriptor, 0)
            os.truncate(self.descriptor, os.fstat(descriptor).st_size)
            _copy_data(descriptor, self.descriptor)
        finally:
            os.close(descriptor)


@dataclass(frozen=True, slots=True)
class CheckResult:
    """A checker's answer: `clean`, its output, and `dirty_bit_only` (vfat)."""

    clean: bool
    log: str
    dirty_bit_only: bool = False


def missing_tool(filesystem: str) -> Missing | None:
    """The tool of `filesystem` that is missing, with how to install it; None: all are there."""
    system = FILE_SYSTEMS[filesystem]
    for command in (system.make, system.check):
        if find_tool(command[0]) is None:
            return Missing(f"{command[0]} is missing", f"apt-get install {system.package}")
    return None


@contextlib.contextmanager
def disk_image(
    filesystem: str, scope: Scope, kernel_version: tuple[int, int] | None
) -> Iterator[Disk]:
    """Make an image of `filesystem` that a kernel of `kernel_version` (None: today's) can mount.

    Raises MissingTool when mkfs or the checker is not installed, DiskError when mkfs fails.
    """
    missing = missing_tool(filesystem)
    if missing:
        raise MissingTool(missing)
    system = FILE_SYSTEMS[filesystem]
    extra = [
        word
        for before, arguments in system.old_kernels
        if kernel_version is not None and kernel_version < before
        for word in arguments
    ]
    descriptor = _open_unnamed(scope.folder)
    try:
        os.truncate(descriptor, IMAGE_BYTES)
        disk = Disk(descriptor, filesystem)
        status, output = run_tool(scope, (*system.make, *extra), disk)
        if status != 0:
            last = output.strip().splitlines()[-1:] or ["no output"]
            raise DiskError(f"{system.make[0]} failed with status {status}: {last[0]}")
        yield disk
    finally:
        os.close(descriptor)


def check(disk: Disk, scope: Scope) -> CheckResult:
    """Run the file system's own checker, which changes nothing, on the image."""
    command = FILE_SYSTEMS[disk.filesystem].check
    status, output = run_tool(scope, command, disk)
    dirty = disk.filesystem == "vfat" and status == 1 and _only_dirty_bit(output)
    return CheckResult(status == 0, f"{' '.join(command)}: status {status}\n{output}", dirty)


def _only_dirty_bit(output: str) -> bool:
    """fsck.vfat -n reports each finding in lines of its own; the dirty bit's are known.

    Source: dosfstools, src/boot.c (check_dirty_bits) and src/fsck.fat.c.
    """
    known = (
        "fsck.fat ",
        "0x25: Dirty bit is set. Fs was not properly unmounted",
        "Dirty bit is set. Fs was not properly unmounted",
        " Automatically removing dirty bit.",
        "Leaving filesystem unchanged.",
        "*** Filesystem was changed ***",
        "The changes have not yet been written",
    )
    lines = [line for line in output.splitlines() if line.strip()]
    counts = [line for line in lines if " files, " in line and line.rstrip().endswith("clusters")]
    rest = [line for line in lines if line not in counts and not line.startswith(known)]
    return "Dirty bit is set" in output and not rest


def _open_unnamed(directory: Path) -> int:
    """An unnamed file: in memory, where a kernel's flushes cost nothing, if that is plenty.

    File systems fill 70 MiB of an image at most (XFS, its log).
    """
    if _memory_available() > _PLENTY:
        return os.memfd_create("lkltest-disk", os.MFD_CLOEXEC)
    try:
        return os.open(directory, os.O_TMPFILE | os.O_RDWR | os.O_CLOEXEC, 0o600)
    except OSError:
        # Some file systems (overlayfs of old kernels, NFS) have no O_TMPFILE.
        return os.memfd_create("lkltest-disk", os.MFD_CLOEXEC)


def _memory_available() -> int:
    """Bytes; 0 where it is not said (proc(5), meminfo)."""
    try:
        for line in Path("/proc/meminfo").read_text(encoding="ascii").splitlines():
            if line.startswith("MemAvailable:"):
                return int(line.split()[1]) << 10
    except (OSError, ValueError):
        pass
    return 0


def run_tool(
    scope: Scope,
    command: tuple[str, ...],
    disk: Disk | None,
    seconds: float = _TOOL_SECONDS,
) -> tuple[int, str]:
    """Run a tool in `scope`, so that it dies with the runner; returns its status and output.

    The image is its word `{disk}`, else its last one. Raises DiskError when the tool is missing,
    ToolHangs when it does not end.
    """
    place = f"/proc/self/fd/{CHILD_DESCRIPTOR}"
    words = [place if word == "{disk}" else word for word in command[1:]]
    if disk is not None and place not in words:
        words.append(place)
    tool = find_tool(command[0])
    if tool is None:
        raise DiskError(f"{command[0]} is missing")
    with open(os.memfd_create(command[0], os.MFD_CLOEXEC), "w+b") as output:
        child = scope.spawn(
            (tool, *words),
            env={**os.environ, "LC_ALL": "C.UTF-8"},
            stdout=output.fileno(),
            stderr=output.fileno(),
            pass_fds={CHILD_DESCRIPTOR: disk.descriptor} if disk else {},
        )
        status = child.wait(seconds)
        if status is None:
            child.kill()
            raise ToolHangs(f"{Path(command[0]).name} did not end within {seconds:g} s")
        output.seek(0)
        return os.waitstatus_to_exitcode(status), output.read().decode("utf-8", "replace")


def find_tool(name: str) -> str | None:
    """The path of a file system's or a network's program; None where it is missing."""
    # A user's PATH often lacks the directories in which Debian keeps the mkfs programs.
    return shutil.which(name, path=os.environ.get("PATH", "") + ":/usr/sbin:/sbin")


def _copy_data(source: int, target: int) -> None:
    """Copy the parts that hold data; holes stay holes (lseek(2), SEEK_DATA)."""
    size = os.fstat(source).st_size
    position = 0
    while position < size:
        try:
            start = os.lseek(source, position, os.SEEK_DATA)
        except OSError:
            return
        end = os.lseek(source, start, os.SEEK_HOLE)
        while start < end:
            data = os.pread(source, min(1 << 20, end - start), start)
            os.pwrite(target, data, start)
            start += len(data)
        position = end
