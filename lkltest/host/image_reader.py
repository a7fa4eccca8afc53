# SPDX-License-Identifier: GPL-2.0-only
"""A disk image read by programs that share no code with the kernel under test.

debugfs, mtools, btrfs restore and xfs_db: what LKL wrote is there for others, too.
"""

from __future__ import annotations

import os
import re
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING

from lkltest.errors import Missing
from lkltest.host.disk import Disk, DiskError, find_tool, run_tool
from lkltest.host.file_tree import Tree, content, describe, without

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

_XFS_ORDERS = {
    "directory": ("print core.mode core.uid core.gid",),
    "regular": ("print core.mode core.uid core.gid core.size", "bmap"),
    "symlink": ("print core.mode core.uid core.gid u3",),
}
_XFS_MARK = "--- next ---"
_XFS_AT_ONCE = 500


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
    tree = without(tree, "names")  # each is a file of its own
    if disk.filesystem == "btrfs":  # it gives modes and owners to files alone
        others = {path: known for path, known in tree.items() if known["type"] != "file"}
        return tree | without(others, "mode", "owner")
    links = {path: known for path, known in tree.items() if known["type"] == "link"}
    return tree | without(links, "owner")


def _run(command: tuple[str, ...], disk: Disk, scope: Scope) -> str:
    status, output = run_tool(scope, command, disk)
    if status != 0:
        raise DiskError(f"{command[0]} failed with status {status}: {output.strip()[-300:]}")
    return output


def _read_xfs(disk: Disk, scope: Scope) -> Tree:
    """xfs_db shows folders, and where the extents of a file are; they are read here."""
    order = "print rootino agblocks blocksize"
    words = ("xfs_db", "-r", "-c", "sb 0", "-c", order)
    geometry = dict(re.findall(r"(\w+) = (\d+)", _run(words, disk, scope)))
    tree: Tree = {}
    folders = [("", geometry["rootino"])]
    while folders:  # a level of the tree at a time: a process an inode costs more than all else
        below: list[tuple[str, str]] = []
        entries: list[tuple[str, str, str]] = []
        listings = _ask_xfs([[f"inode {number}", "ls"] for _, number in folders], disk, scope)
        for (folder, _), said in zip(folders, listings, strict=True):
            for entry in filter(None, map(_XFS_ENTRY.match, said.splitlines())):
                if entry[3] not in (".", ".."):
                    path = f"{folder}/{entry[3]}".lstrip("/")
                    entries.append((path, entry[2], entry[1]))
                    below += [(path, entry[1])] if entry[2] == "directory" else []
        orders = [[f"inode {inode}", *_XFS_ORDERS[kind]] for _, kind, inode in entries]
        for (path, kind, _), said in zip(entries, _ask_xfs(orders, disk, scope), strict=True):
            tree[path] = _xfs_file(kind, said, disk, geometry)
        folders = below
    return tree


def _ask_xfs(questions: Sequence[Sequence[str]], disk: Disk, scope: Scope) -> list[str]:
    """The answers to lists of orders."""
    answers: list[str] = []
    for start in range(0, len(questions), _XFS_AT_ONCE):
        asked = questions[start : start + _XFS_AT_ONCE]
        orders = [order for each in asked for order in (*each, f"echo {_XFS_MARK}")]
        words = [word for order in orders for word in ("-c", order)]
        answers += _run(("xfs_db", "-r", *words), disk, scope).split(_XFS_MARK)[: len(asked)]
    return answers


def _xfs_file(kind: str, said: str, disk: Disk, geometry: Mapping[str, str]) -> dict[str, str]:
    mode = re.search(r"core\.mode = 0*(\d+)", said)
    known = {"mode": f"{int(mode[1], 8) & 0o7777:04o}"} if mode else {}
    owner = re.search(r"core\.uid = (\d+)\ncore\.gid = (\d+)", said)
    known |= {"owner": f"{owner[1]}:{owner[2]}"} if owner else {}
    if kind == "directory":
        return {"type": "folder", **known}
    if kind == "symlink":
        target = re.search(r'u3\.symlink = "(.*)"', said)
        known.pop("mode", None)
        return {"type": "link", "target": target[1] if target else "(not inline)", **known}
    size = re.search(r"core\.size = (\d+)", said)
    data = bytearray(int(size[1]) if size else 0)
    block = int(geometry["blocksize"])
    for offset, group, start, count in (map(int, m.groups()) for m in _XFS_EXTENT.finditer(said)):
        place = (group * int(geometry["agblocks"]) + start) * block
        part = os.pread(disk.descriptor, count * block, place)
        data[offset * block : offset * block + len(part)] = part
    return {"type": "file", **known, **content(bytes(data[: int(size[1]) if size else 0]))}
