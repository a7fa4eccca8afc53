# SPDX-License-Identifier: GPL-2.0-only
"""Files that are there whole or not at all."""

from __future__ import annotations

import contextlib
import errno
import fcntl
import os
from pathlib import Path
from typing import IO

_NO_UNNAMED_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
"""The errors of O_TMPFILE where unnamed files cannot be made (NFS, vfat, older systems)."""


def write_whole(
    target: Path, data: str | bytes, permissions: int = 0o644, *, durable: bool = False
) -> None:
    """Write a file that has its name only when it is complete; its folder is made if need be.

    Until then it has no name at all, so that a run that is killed leaves nothing behind.

    Args:
        target: its place.
        data: its content; in text, a lone surrogate from a console is written as an escape.
        permissions: its mode.
        durable: whether it is to survive a loss of power.

    Raises:
        OSError: with a file's name.
    """
    if isinstance(data, str):
        data = data.encode("utf-8", "backslashreplace")
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        _write(target, data, permissions, durable)
    except OSError as error:
        error.filename = error.filename or str(target)
        raise


def _write(target: Path, data: bytes, permissions: int, durable: bool) -> None:
    try:
        descriptor = os.open(target.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in _NO_UNNAMED_FILES:
            raise
        _write_named(target, data, permissions, durable)
        return
    with open(descriptor, "wb") as stream:
        _fill(stream, data, permissions, durable)
        _name(descriptor, target)


def _fill(stream: IO[bytes], data: bytes, permissions: int, durable: bool) -> None:
    stream.write(data)
    stream.flush()
    os.fchmod(stream.fileno(), permissions)
    if durable:
        os.fsync(stream.fileno())


def _name(descriptor: int, target: Path) -> None:
    """Give an unnamed file its name (open(2), O_TMPFILE), in the place of what has it."""
    source = f"/proc/self/fd/{descriptor}"
    folder = os.open(target.parent, os.O_PATH | os.O_DIRECTORY | os.O_CLOEXEC)
    try:
        # With a directory Python calls linkat(2), which can follow the link in /proc.
        with contextlib.suppress(FileExistsError):
            os.link(source, target.name, dst_dir_fd=folder)
            return
        # A link replaces nothing, a rename does: by way of the one name that the next run, too,
        # would take. Whoever was faster had the same to write.
        part = _part(target)
        part.unlink(missing_ok=True)
        with contextlib.suppress(FileExistsError, FileNotFoundError):
            os.link(source, part.name, dst_dir_fd=folder)
            part.replace(target)
    except OSError:
        _part(target).unlink(missing_ok=True)
        raise
    finally:
        os.close(folder)


def _write_named(target: Path, data: bytes, permissions: int, durable: bool) -> None:
    """As `write_whole`, on a file system without unnamed files."""
    part = _part(target)
    with part.open("ab") as stream:
        # Freed by the kernel when its holder is killed; the next run then begins anew.
        fcntl.flock(stream, fcntl.LOCK_EX)
        if _is_at(stream.fileno(), part):
            stream.truncate(0)
            try:
                _fill(stream, data, permissions, durable)
                part.replace(target)
            except OSError:
                part.unlink(missing_ok=True)
                raise


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether `path` still names the open file; if not, another run has completed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")
