# SPDX-License-Identifier: GPL-2.0-only
"""Files that are kept between runs: where they lie, and how one is written whole or not at all."""

from __future__ import annotations

import atexit
import contextlib
import errno
import fcntl
import functools
import os
from pathlib import Path

from lkltest.places import cache_home
from lkltest.sandbox.scope import Scope, ScopeError

_open = contextlib.ExitStack()
atexit.register(_open.close)


def private_folder() -> Path:
    """The folder: 0700, its name cannot be guessed, made once a process. Raises OSError."""
    return _made(os.getpid())


def close() -> None:
    """Remove the folder before the process ends."""
    _made.cache_clear()
    _open.close()


@functools.cache
def _made(process: int) -> Path:
    try:
        return _open.enter_context(Scope()).folder  # its guard outlives us and removes it
    except ScopeError as error:
        raise OSError(str(error)) from error


_NO_UNNAMED_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
"""What O_TMPFILE says on file systems that cannot make unnamed files (NFS, vfat), and older."""


def cache_directory(kind: str) -> Path:
    """A directory for caches of `kind`, which is there and can be written.

    Where the usual one cannot be made, a folder that lasts as long as this process: a lasting one
    among the temporary files would have a name that others can guess and take first.
    """
    with contextlib.suppress(OSError, RuntimeError):
        path = cache_home() / kind
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(path, os.W_OK | os.X_OK):
            return path
    path = private_folder() / kind
    path.mkdir(mode=0o700, exist_ok=True)
    return path


def write_atomically(target: Path, data: bytes, permissions: int = 0o644) -> None:
    """Write a file that has its name only when it is complete. Raises OSError.

    Until then it has no name at all, so that a run that is killed leaves nothing behind.
    """
    target.parent.mkdir(parents=True, exist_ok=True)
    try:
        descriptor = os.open(target.parent, os.O_TMPFILE | os.O_WRONLY | os.O_CLOEXEC, 0o600)
    except OSError as error:
        if error.errno not in _NO_UNNAMED_FILES:
            raise
        _write_named(target, data, permissions)
        return
    with open(descriptor, "wb") as stream:
        stream.write(data)
        stream.flush()
        os.fchmod(descriptor, permissions)
        _name(descriptor, target)


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
    finally:
        os.close(folder)


def _write_named(target: Path, data: bytes, permissions: int) -> None:
    """As `write_atomically`, on a file system without unnamed files."""
    part = _part(target)
    with part.open("ab") as stream:
        # Freed by the kernel when its holder is killed; the next run then begins anew.
        fcntl.flock(stream, fcntl.LOCK_EX)
        if _is_at(stream.fileno(), part):
            stream.truncate(0)
            stream.write(data)
            stream.flush()
            os.fchmod(stream.fileno(), permissions)
            part.replace(target)


def _is_at(descriptor: int, path: Path) -> bool:
    """Whether `path` still names the open file; if not, another run has completed it."""
    try:
        return os.path.samestat(os.fstat(descriptor), path.stat())
    except FileNotFoundError:
        return False


def _part(target: Path) -> Path:
    return target.with_name(f".{target.name}.part")
