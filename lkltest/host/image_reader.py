# SPDX-License-Identifier: GPL-2.0-only
"""A disk image read by programs that share no code with the kernel under test.

debugfs, mtools, btrfs restore and xfs_db: what LKL wrote is there for others, too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING

from lkltest.errors import Missing
from lkltest.host.disk import Disk, DiskError, find_tool, run_tool
from lkltest.host.file_tree import Tree, content, describe

if TYPE_CHECKING:
    from lkltest.sandbox.scope import Scope

READERS: Mapping[str, tuple[str, str]] = {
    "ext4": ("debugfs", "e2fsprogs"),
    "vfat": ("mcopy", "mtools"),
    "btrfs": ("btrfs", "btrfs-progs"),
    "xfs": ("xfs_db", "xfsprogs"),
}
"""The program that reads each file system, and its Debian package."""

_XFS_ENTRY = re.compile(
    r"^\d+ +(\d+) +(directory|regular|symlink) +0x[0-9a-f]+ +\d+ (.*) \(good\)$"
)
_XFS_EXTENT = re.compile(
    r"^data offset (\d+) startblock \d+ \((\d+)/(\d+)\) count (\d+) flag", re.M
)


def missing_reader(filesystem: str) -> Missing | None:
    """The tool that is missing to read an image without LKL; None when it is there."""
    tool, package = READERS[filesystem]
    if find_tool(tool) is None:
        return Missing(f"{tool} is missing", f"apt-get install {package}")
    return None


def read_image(disk: Disk, scope: Scope) -> Tree:
    """The content of an image. Raises DiskError when the program fails."""
    if disk.filesystem == "xfs":
        return _read_xfs(disk, scope)
    folder = scope.folder / f"read-{disk.descriptor}-{len(os.listdir(scope.folder))}"  # noqa: PTH208
    folder.mkdir()
    commands = {
        "ext4": ("debugfs", "-R", f"rdump / {folder}"),
        "vfat": ("mcopy", "-snb", "-i", "{disk}", "::/", str(folder)),
        "btrfs": ("btrfs", "restore", "-S", "-m", "{disk}", str(folder)),
    }
    _run(commands[disk.filesystem], disk, scope)
    tree = describe(folder)
    if disk.filesystem == "btrfs":  # it gives modes to files alone
        return {path: _without_mode(known) for path, known in tree.items()}
    return tree


def _without_mode(known: dict[str, str]) -> dict[str, str]:
    if known["type"] == "file":
        return known
    return {what: value for what, value in known.items() if what != "mode"}


def _run(command: tuple[str, ...], disk: Disk, scope: Scope) -> str:
    status, output = run_tool(scope, command, disk)
    if status != 0:
        raise DiskError(f"{command[0]} failed with status {status}: {output.strip()[-300:]}")
    return output


def _read_xfs(disk: Disk, scope: Scope) -> Tree:
    """xfs_db shows folders, and where the extents of a file are; they are read here."""

    def ask(*orders: str) -> str:
        words = [word for order in orders for word in ("-c", order)]
        return _run(("xfs_db", "-r", *words), disk, scope)

    geometry = dict(re.findall(r"(\w+) = (\d+)", ask("sb 0", "print rootino agblocks blocksize")))
    tree: Tree = {}
    folders = [("", geometry["rootino"])]
    while folders:
        folder, number = folders.pop()
        for line in ask(f"inode {number}", "ls").splitlines():
            entry = _XFS_ENTRY.match(line)
            if entry is None or entry[3] in (".", ".."):
                continue
            path = f"{folder}/{entry[3]}".lstrip("/")
            if entry[2] == "directory":
                folders.append((path, entry[1]))
            tree[path] = _xfs_file(entry[2], entry[1], ask, disk, geometry)
    return tree


def _xfs_file(
    kind: str,
    inode: str,
    ask: Callable[..., str],
    disk: Disk,
    geometry: Mapping[str, str],
) -> dict[str, str]:
    order = "print core.mode" if kind == "directory" else "print core.mode core.size u3"
    said = ask(f"inode {inode}", order, *(["bmap"] if kind == "regular" else []))
    mode = re.search(r"core\.mode = 0*(\d+)", said)
    known = {"mode": f"{int(mode[1], 8) & 0o7777:04o}"} if mode else {}
    if kind == "directory":
        return {"type": "folder", **known}
    if kind == "symlink":
        target = re.search(r'u3\.symlink = "(.*)"', said)
        return {"type": "link", "target": target[1] if target else "(not inline)"}
    size = re.search(r"core\.size = (\d+)", said)
    data = bytearray(int(size[1]) if size else 0)
    block = int(geometry["blocksize"])
    for offset, group, start, count in (map(int, m.groups()) for m in _XFS_EXTENT.finditer(said)):
        place = (group * int(geometry["agblocks"]) + start) * block
        part = os.pread(disk.descriptor, count * block, place)
        data[offset * block : offset * block + len(part)] = part
    return {"type": "file", **known, **content(bytes(data[: int(size[1]) if size else 0]))}
