# SPDX-License-Identifier: GPL-2.0-only
"""Initramfs archives: packed without any tool, the same bytes for the same content, cached.

Format: cpio "newc", compressed with gzip; several archives one after the other are one initramfs.
Source: the kernel's Documentation/driver-api/early-userspace/buffer-format.rst.
"""

from __future__ import annotations

import contextlib
import gzip
import hashlib
import os
import stat
import time
from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from pathlib import Path, PurePosixPath

from lkltest.host.cache import cache_directory
from lkltest.whole_file import write_whole

_MAGIC = b"070701"
_TRAILER = "TRAILER!!!"
_LEVEL = 1
"""Level 6 takes five times as long and saves a tenth; a guest unpacks either in milliseconds."""
_UNUSED_SECONDS = 7 * 24 * 3600.0
"""The time after which the cache drops an unused file; making it again takes 0.1 s."""


@dataclass(frozen=True, slots=True)
class Entry:
    """One file of an archive: made by `file`, `directory` or `device`."""

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
        write_whole(target, compress(b"".join(pieces)))
        _prune(target.parent)
    return target


def _prune(cache: Path) -> None:
    """Remove what `cached` made and nobody has asked for since long."""
    oldest = time.time() - _UNUSED_SECONDS
    for path in cache.glob("*.cpio.gz*"):  # and what killed runs left (`.part`)
        with contextlib.suppress(OSError):
            if path.stat().st_mtime < oldest:
                path.unlink()


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
