# SPDX-License-Identifier: GPL-2.0-only
"""A tree of files with what file systems find hard: written, described, compared.

The functions that touch the tree are run inside a scope, as `python file_tree.py write DIR FS` and
`python file_tree.py describe DIR`: a file system under test that hangs then hangs a child alone.
Hence the standard library alone, and nothing of lkltest.
"""

from __future__ import annotations

import hashlib
import json
import os
import stat
import sys
from pathlib import Path

Tree = dict[str, dict[str, str]]
"""The facts about each file by its path: `type`, `mode`, `owner`, `size`, `content`, `target`."""

PLAIN = frozenset({"vfat"})
"""File systems that have no links, modes and owners."""


def write(folder: Path, filesystem: str) -> None:
    """Write the tree into a folder. Raises OSError."""
    (folder / "files").mkdir()
    (folder / "files" / "empty").touch()
    (folder / "files" / "small").write_bytes(b"one line\n")
    (folder / "files" / "large").write_bytes(_noise(3_000_001))
    with (folder / "files" / "sparse").open("wb") as file:
        file.seek(2 << 20)
        file.write(b"end")
        file.truncate((2 << 20) + 70_000)
    (folder / "names" / "deep" / "deeper" / "deepest").mkdir(parents=True)
    (folder / "names" / "deep" / "deeper" / "deepest" / "leaf").write_bytes(b"leaf")
    (folder / "names" / "brücke mit blank").write_bytes("brücke\n".encode())
    (folder / "names" / ("long" * 50)).write_bytes(b"long name")
    (folder / "many").mkdir()
    for number in range(40):
        (folder / "many" / f"file-{number:03}").write_bytes(_noise(number * 97))
    if filesystem not in PLAIN:
        (folder / "links").mkdir()
        (folder / "links" / "to-small").symlink_to("../files/small")
        (folder / "links" / "to-nothing").symlink_to("/no/such/file")
        for mode in (0o600, 0o640, 0o755, 0o444):
            file_with_mode = folder / "links" / f"mode-{mode:o}"
            file_with_mode.write_bytes(b"mode")
            file_with_mode.chmod(mode)
        (folder / "links" / "dir-750").mkdir()
        (folder / "links" / "dir-750").chmod(0o750)


def describe(folder: Path) -> Tree:
    """The content of a folder, by relative path, but for lost+found. Raises OSError."""
    tree: Tree = {}
    for root, folders, files in os.walk(folder):
        for name in [*folders, *files]:
            path = Path(root, name)
            relative = str(path.relative_to(folder))
            if relative.partition("/")[0] != "lost+found":
                tree[relative] = _describe_one(path)
    return tree


def _describe_one(path: Path) -> dict[str, str]:
    status = path.lstat()
    known = {"mode": f"{stat.S_IMODE(status.st_mode):04o}"}
    if stat.S_ISLNK(status.st_mode):
        return {"type": "link", "target": str(path.readlink())}
    if stat.S_ISDIR(status.st_mode):
        return {"type": "folder", **known}
    return {"type": "file", **known, **content(path.read_bytes())}


def content(data: bytes) -> dict[str, str]:
    """Size and content of a file, for a `Tree`."""
    return {"size": str(len(data)), "content": hashlib.sha256(data).hexdigest()}


def differences(expected: Tree, found: Tree, filesystem: str) -> str:
    """The differences, a line each; a fact that `found` does not have is not compared."""
    plain = filesystem in PLAIN
    found = {_unmangled(path) if plain else path: known for path, known in found.items()}
    lines = [f"{path}: missing" for path in sorted(expected.keys() - found.keys())]
    lines += [f"{path}: not expected" for path in sorted(found.keys() - expected.keys())]
    for path in sorted(expected.keys() & found.keys()):
        for what, value in expected[path].items():
            other = found[path].get(what, value)
            if other != value and not (plain and what == "mode"):
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
    """`write DIR FS` or `describe DIR`: the tree as JSON."""
    what, folder, *words = sys.argv[1:]
    if what == "write":
        write(Path(folder), *words)
    print(json.dumps(describe(Path(folder))))


if __name__ == "__main__":
    main()
