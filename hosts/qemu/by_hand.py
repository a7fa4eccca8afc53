# SPDX-License-Identifier: GPL-2.0-only
"""A machine as a person runs it: shell lines that make its folder again and start QEMU there."""

from __future__ import annotations

import shlex
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

from .machine import Setup, command_by_hand

_END = "END_OF_FILE"
_LONGEST_TEXT = 1 << 16


def script_by_hand(setup: Setup, folder: Path) -> str:
    """Shell text that runs `setup` after `folder`, which a machine of ours boots from, is gone.

    Links lead to the same files; a script for ned stands in the text. Files that are neither (an
    initramfs) are kept in a folder of their own, which the text names.
    """
    lines = ["(", 'cd "$(mktemp -d)"', *_files(folder), shlex.join(command_by_hand(setup)), ")"]
    return "\n".join(lines)


def _files(folder: Path) -> Iterator[str]:
    """Yield the lines that make the folder's files, in the order of their names."""
    kept: Path | None = None
    for path in sorted(folder.iterdir()):
        name = shlex.quote(path.name)
        if path.is_symlink() and folder.parent not in path.readlink().parents:
            yield f"ln -s {shlex.quote(str(path.readlink()))} {name}"
        elif (text := _text(path)) is not None:
            yield f"cat >{name} <<'{_END}'\n{text}{_END}"
        elif path.is_file():
            kept = kept or Path(tempfile.mkdtemp(prefix="lkltest-dry-run-"))
            shutil.copyfile(path, kept / path.name)
            yield f"ln -s {shlex.quote(str(kept / path.name))} {name}"


def _text(path: Path) -> str | None:
    """The content of a small text file of whole lines; None for any other."""
    if not path.is_file() or path.stat().st_size > _LONGEST_TEXT:
        return None
    try:
        text = path.read_text(encoding="utf-8")
    except UnicodeDecodeError:
        return None
    whole = text.endswith("\n") and "\0" not in text and f"\n{_END}\n" not in text
    return text if whole else None
