# SPDX-License-Identifier: GPL-2.0-only
"""A tree of files with what file systems find hard: written, described, compared.

The functions that touch the tree are run inside a scope, as `python file_tree.py write DIR FS` and
`python file_tree.py describe DIR`: a file system under test that hangs then hangs a child alone.
Hence nothing of lkltest, and few imports: pathlib and json would cost a third of such a process.
"""
# ruff: noqa: PTH101, PTH102, PTH103, PTH115, PTH118, PTH120, PTH211, S103

from __future__ import annotations

import errno
import hashlib
import os
import stat
import sys

Tree = dict[str, dict[str, str]]
"""The facts about each file by its path: `type`, `mode`, `owner`, `size`, `content`, `target`, and
`names`, how many it has.
"""

OWNER, GROUP = 1234, 2345
_TWO_NAMES = ("links/mode-640", "links/second-name")
"""The names of one file."""

PLAIN = frozenset({"vfat"})
"""File systems that have no links, modes and owners."""


def write(folder: str | os.PathLike[str], filesystem: str) -> None:
    """Write the tree into a folder. Raises OSError."""
    files = {
        "files/empty": b"",
        "files/small": b"one line\n",
        "files/large": _noise(1_000_001),
        "names/deep/deeper/deepest/leaf": b"leaf",
        "names/brücke mit blank": "brücke\n".encode(),
        f"names/{'long' * 50}": b"long name",
        **{f"many/file-{number:03}": _noise(number * 97) for number in range(40)},
    }
    for name, data in files.items():
        _put(folder, name, data)
    with open(os.path.join(folder, "files/sparse"), "wb") as file:
        file.seek(1 << 20)
        file.write(b"end")
        file.truncate((1 << 20) + 70_000)
    if filesystem not in PLAIN:
        for mode in (0o600, 0o640, 0o755, 0o444):
            os.chmod(_put(folder, f"links/mode-{mode:o}", b"mode"), mode)
        _give_away(_put(folder, "links/of-another", b"owner"))
        os.link(*(os.path.join(folder, name) for name in _TWO_NAMES))
        os.symlink("../files/small", os.path.join(folder, "links/to-small"))
        os.symlink("/no/such/file", os.path.join(folder, "links/to-nothing"))
        os.mkdir(os.path.join(folder, "links/dir-750"))
        os.chmod(os.path.join(folder, "links/dir-750"), 0o750)


def _put(folder: str | os.PathLike[str], name: str, data: bytes) -> str:
    path = os.path.join(folder, name)
    os.makedirs(os.path.dirname(path), exist_ok=True)
    with open(path, "wb") as file:
        file.write(data)
    return path


def _give_away(path: str) -> None:
    """Give a file to another user, where there is one: a user's own namespace has none."""
    if os.geteuid() != 0:
        return
    try:
        os.chown(path, OWNER, GROUP)
    except OSError as error:
        if error.errno != errno.EINVAL:
            raise


def describe(folder: str | os.PathLike[str]) -> Tree:
    """The content of a folder, by relative path, but for lost+found. Raises OSError."""
    tree: Tree = {}
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = os.path.join(root, name)
            relative = os.path.relpath(path, folder)
            if relative.partition("/")[0] != "lost+found":
                tree[relative] = _describe_one(path)
    return tree


def _describe_one(path: str) -> dict[str, str]:
    status = os.lstat(path)
    owner = {"owner": f"{status.st_uid}:{status.st_gid}"}
    known = {"mode": f"{stat.S_IMODE(status.st_mode):04o}", **owner}
    if stat.S_ISLNK(status.st_mode):
        return {"type": "link", "target": os.readlink(path), **owner}
    if stat.S_ISDIR(status.st_mode):
        return {"type": "folder", **known}
    with open(path, "rb") as file:
        names = {"names": str(status.st_nlink)}
        return {"type": "file", **known, **names, **content(file.read())}


def content(data: bytes) -> dict[str, str]:
    """Size and content of a file, for a `Tree`."""
    return {"size": str(len(data)), "content": hashlib.sha256(data).hexdigest()}


def _as_linked(tree: Tree) -> Tree:
    """A tree just written: FUSE goes on telling for a second that a file has one name."""
    for path in _TWO_NAMES:
        if path in tree:
            tree[path]["names"] = "2"
    return tree


def without(tree: Tree, *facts: str) -> Tree:
    """A tree of which these facts are not known."""
    return {
        path: {what: value for what, value in known.items() if what not in facts}
        for path, known in tree.items()
    }


def given_to(tree: Tree, owner: str) -> Tree:
    """A tree in which all files belong to one user and group, `1234:2345`."""
    return {path: {**known, "owner": owner} for path, known in tree.items()}


def differences(expected: Tree, found: Tree, filesystem: str) -> str:
    """The differences, a line each; a fact that `found` does not have is not compared."""
    plain = filesystem in PLAIN
    found = {_unmangled(path) if plain else path: known for path, known in found.items()}
    lines = [f"{path}: missing" for path in sorted(expected.keys() - found.keys())]
    lines += [f"{path}: not expected" for path in sorted(found.keys() - expected.keys())]
    for path in sorted(expected.keys() & found.keys()):
        for what, value in expected[path].items():
            other = found[path].get(what, value)
            if other != value and not (plain and what in ("mode", "owner")):
                lines.append(f"{path}: {what} is {other}, not {value}")
    return "\n".join(lines)


def _unmangled(path: str) -> str:
    """A name in UTF-8 that a vfat mounted without utf8 took for Latin-1."""
    try:
        return path.encode("latin-1").decode()
    except UnicodeError:
        return path


def _noise(size: int) -> bytes:
    """Bytes that no compression makes fewer, the same ones each time."""
    return hashlib.shake_128(str(size).encode()).digest(size)


def main() -> None:
    """`write DIR FS` or `describe DIR`: the tree, as Python writes it, in ASCII."""
    what, folder, *words = sys.argv[1:]
    if what == "write":
        write(folder, *words)
    tree = describe(folder)
    print(ascii(_as_linked(tree) if what == "write" else tree))


if __name__ == "__main__":
    main()
