# SPDX-License-Identifier: GPL-2.0-only
"""Initramfs archives: packed without any tool, the same bytes for the same content, cached.

Format: cpio "newc", compressed with gzip; several archives one after the other are one initramfs.
Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import contextlib
import errno
import fcntl
import gzip
import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lkltest.private_folder import private_folder

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"
_LEVEL = 1
"""Level 6 takes five times as long and saves a tenth; a guest unpacks either in milliseconds."""
_UNUSED_SECONDS = 7 * 24 * 3600.0
"""How long the cache keeps what nobody asks for; to make one again takes a tenth of a second."""
_NO_UNNAMED_FILES = (errno.EOPNOTSUPP, errno.EISDIR, errno.EINVAL)
"""What O_TMPFILE says on file systems that cannot make unnamed files (NFS, vfat), and older."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive: made by `file`, `directory`, `symlink` or `device`."""

    path: str
    mode: int
    data: bytes = b""
    device: tuple[int, int] = (0, 0)


def file(path: str, data: bytes, permissions: int = 0o644) -> Entry:
    """A regular file at `path` (absolute in the guest)."""
    return Entry(_relative(path), stat.S_IFREG | permissions, data)


def directory(path: str, permissions: int = 0o755) -> Entry:
    """A directory. Those above an entry need not be listed: `pack` adds them."""
    return Entry(_relative(path), stat.S_IFDIR | permissions)


def symlink(path: str, target: str) -> Entry:
    """A symbolic link."""
    return Entry(_relative(path), stat.S_IFLNK | 0o777, target.encode())


def device(path: str, kind: str, major: int, minor: int, permissions: int = 0o600) -> Entry:
    """A device node; `kind` is "c" or "b". Making one in an archive needs no privilege."""
    types = {"c": stat.S_IFCHR, "b": stat.S_IFBLK}
    return Entry(_relative(path), types[kind] | permissions, device=(major, minor))


def pack(entries: Iterable[Entry]) -> bytes:
    """Pack a newc archive, sorted by path, all owned by root, of no date.

    Raises ValueError when two entries have one path.
    """
    return b"".join(_pieces(entries))


def compress(archive: bytes) -> bytes:
    """Compress an archive; the same bytes for the same content (no date, no name)."""
    return gzip.compress(archive, _LEVEL, mtime=0)


def cached(entries: Iterable[Entry], cache: Path | None = None) -> Path:
    """Pack and compress, or return the file that an earlier call made of the same content.

    cache: by default this user's, see `cache_directory`. The file takes its name when it is
    complete, so that runs at the same time and interrupted ones do no harm. What was not asked for
    in a week makes room for new ones. Raises OSError.
    """
    pieces = list(_pieces(entries))
    digest = hashlib.sha256()
    for piece in pieces:
        digest.update(piece)
    target = (cache or cache_directory("initramfs")) / f"{digest.hexdigest()[:32]}.cpio.gz"
    if target.exists():
        with contextlib.suppress(OSError):  # not ours, or gone: then a file is made again some day
            os.utime(target)
    else:
        write_atomically(target, compress(b"".join(pieces)))
        _prune(target.parent)
    return target


def _prune(cache: Path) -> None:
    """Remove what `cached` made and nobody has asked for since long."""
    oldest = time.time() - _UNUSED_SECONDS
    for path in cache.glob("*.cpio.gz*"):  # and what killed runs left, `_part`
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


def cache_directory(kind: str) -> Path:
    """Where this user's caches of `kind` lie: XDG_CACHE_HOME or ~/.cache, under `lkltest`.

    Where neither can be written, a folder that lasts as long as this process: a lasting one among
    the temporary files would have a name that others can guess and take first.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    with contextlib.suppress(OSError, RuntimeError):
        base = Path(named) if named.startswith("/") else Path.home() / ".cache"
        path = base / "lkltest" / kind
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


def _relative(path: str) -> str:
    return str(PurePosixPath("/", path).relative_to("/"))


def _complete(entries: Iterable[Entry]) -> Iterator[Entry]:
    """Yield the entries sorted, with the directories that they need above them."""
    known: dict[str, Entry] = {}
    for entry in entries:
        if entry.path in known:
            raise ValueError(f"initramfs: two entries are called /{entry.path}")
        known[entry.path] = entry
    for path in list(known):
        for above in PurePosixPath(path).parents:
            if str(above) != ".":
                known.setdefault(str(above), directory(str(above)))
    # The kernel does not make what is missing: a directory has to come before its content.
    yield from (known[path] for path in sorted(known, key=lambda path: path.split("/")))


def _pieces(entries: Iterable[Entry]) -> Iterator[bytes]:
    """Yield an archive in pieces, the files' own bytes uncopied."""
    for number, entry in enumerate(_complete(entries), start=1):
        yield from _record(number, entry)
    yield from _record(0, Entry(_TRAILER, 0))


def _record(number: int, entry: Entry) -> Iterator[bytes]:
    name = entry.path.encode() + b"\0"
    major, minor = entry.device
    links = 2 if stat.S_ISDIR(entry.mode) else 1
    fields = (
        *(number, entry.mode, 0, 0, links, 0, len(entry.data)),
        *(0, 0, major, minor, len(name), 0),
    )
    header = _MAGIC + b"".join(b"%08X" % value for value in fields) + name
    yield header + _padding(header)
    yield entry.data
    yield _padding(entry.data)


def _padding(data: bytes) -> bytes:
    return b"\0" * (-len(data) % 4)
