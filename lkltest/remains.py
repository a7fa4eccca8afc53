# SPDX-License-Identifier: GPL-2.0-only
"""What a guard makes, finds and removes in a file system. Imports as little as guard.py."""
# ruff: noqa: PTH101, PTH102, PTH106, PTH108, PTH115, PTH208

from __future__ import annotations

import os

TYPE_CHECKING = False
if TYPE_CHECKING:
    from typing import Any

MNT_DETACH = 2


def descendants() -> list[int]:
    """Pids, in our own PID namespace, of all that descend from us, from proc(5)'s status files.

    /proc may belong to an outer PID namespace: NSpid holds a process's pid in each.
    """
    parents: dict[str, list[str]] = {}
    inner: dict[str, list[str]] = {}
    for name in filter(str.isdigit, os.listdir("/proc")):
        try:
            with open(f"/proc/{name}/status", encoding="utf-8", errors="replace") as file:
                fields = dict(line.partition(":")[::2] for line in file)
        except OSError:
            continue  # it has just gone
        parents.setdefault(fields["PPid"].strip(), []).append(name)
        inner[name] = fields["NSpid"].split()
    myself = os.readlink("/proc/self")
    depth = len(inner.get(myself, [""])) - 1
    found: list[int] = []
    left = parents.get(myself, [])
    while left:
        name = left.pop()
        found.append(int(inner[name][depth]))
        left.extend(parents.get(name, []))
    return found


def make_folder(parents: list[str]) -> str:
    """A new private folder in the first of the parents that takes it.

    Raises OSError, that of the first parent, if none does.
    """
    errors = []
    for parent in parents:
        folder = f"{parent}/lkltest-{os.urandom(8).hex()}"
        try:
            os.mkdir(folder, 0o700)
        except OSError as error:
            errors.append(error)
        else:
            return folder
    raise errors[0]


def remove_tree(folder: str) -> None:
    """Remove a folder of any depth whose users are all dead."""

    def files_removed() -> list[str]:
        folders = []
        for entry in os.scandir():
            if entry.is_dir(follow_symlinks=False):
                folders.append(entry.name)
                os.chmod(entry.name, 0o700)
            else:
                os.unlink(entry.name)
        return folders

    os.chdir(folder)
    levels = [files_removed()]
    while True:
        if levels[-1]:
            os.chdir(levels[-1][-1])
            levels.append(files_removed())
        elif len(levels) > 1:
            levels.pop()
            os.chdir("..")
            os.rmdir(levels[-1].pop())
        else:
            break
    os.chdir("/")
    os.rmdir(folder)


def libc() -> Any:
    """The C library, for the few scopes that need a call Python does not have."""
    import ctypes  # costs 3 ms

    return ctypes.CDLL(None, use_errno=True)


def mount(kind: str, target: str, flags: int, data: bytes) -> int:
    """mount(2); returns 0 or an errno."""
    import ctypes

    name = kind.encode()
    failed = libc().mount(name, target.encode(), name, ctypes.c_ulong(flags), data)
    return ctypes.get_errno() if failed else 0
