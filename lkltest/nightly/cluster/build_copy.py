# SPDX-License-Identifier: GPL-2.0-only
"""A build on its way to another machine: what belongs to it, its content hash, and an archive.

Of a build directory of a kernel tree, which may hold gigabytes of objects, that is the programs
and what they load; of any other directory (images, a kernel with its modules) all; of a file the
file.
"""

from __future__ import annotations

import hashlib
import io
import os
import shutil
import stat
import tarfile
import tempfile
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

from lkltest.host.build import find_programs

_LOADED = ("lib/*.so*", "lib/*.dll", "tests/autoconf.sh")
_CHUNK = 1 << 20
_SINGLE = ".single"
"""The folder in an archive for the one file of a build that is a file."""


class BadCopy(Exception):
    """A copy whose content is not what its hash says; the message is one line."""


def build_files(path: Path) -> list[Path]:
    """Return the files that belong to the build `path`, sorted. Raises OSError."""
    if path.is_file():
        return [path]
    programs = find_programs(path)
    if programs:
        loaded = [file for pattern in _LOADED for file in path.glob(pattern)]
        return sorted({*programs.values(), *(file for file in loaded if file.is_file())})
    os.scandir(path).close()  # says why it cannot be read, which walking does not
    return sorted(file for file in path.rglob("*") if file.is_file())


def content_hash(path: Path) -> str:
    """Return the SHA-256 of all that belongs to the build, names included. Raises OSError."""
    total = hashlib.sha256()
    for name, file in _named(path):
        content = hashlib.sha256()
        with file.open("rb") as stream:
            while chunk := stream.read(_CHUNK):
                content.update(chunk)
        runs = bool(file.stat().st_mode & stat.S_IXUSR)
        total.update(
            f"{len(name)}:{name}:{runs}:{content.hexdigest()}\n".encode(errors="surrogateescape")
        )
    return total.hexdigest()


def pack(path: Path) -> bytes:
    """Return an archive of the build. Raises OSError."""
    buffer = io.BytesIO()
    # Level 1: debugging information shrinks to a third in no time, and that is what counts.
    with tarfile.open(fileobj=buffer, mode="w:gz", compresslevel=1, dereference=True) as archive:
        for name, file in _named(path):
            archive.add(file, f"build/{name}", recursive=False)
    return buffer.getvalue()


def unpack(archive: bytes, digest: str, directory: Path) -> Path:
    """Unpack an archive below `directory`, whole or not at all.

    Args:
        archive: what `pack` returned.
        digest: the content hash that it must have.
        directory: copies are kept in here under their hash; is made if need be.

    Returns:
        The build's path, as `copy_of` does.

    Raises:
        BadCopy: it is another build, or no archive.
        OSError: it cannot be written.
    """
    directory.mkdir(parents=True, exist_ok=True)
    part = Path(tempfile.mkdtemp(prefix=".part-", dir=directory))
    try:
        with tarfile.open(fileobj=io.BytesIO(archive), mode="r:gz") as file:
            _extract(file, part)
        if content_hash(_content(part)) != digest:
            raise BadCopy(f"what came as build {digest[:12]} is another")
        try:
            part.rename(directory / digest)
        except OSError:
            # Another thread was faster: then its copy is as good.
            if copy_of(digest, directory) is None:
                raise
    except (tarfile.TarError, EOFError) as error:
        raise BadCopy(f"what came as build {digest[:12]} is no archive: {error}") from None
    finally:
        shutil.rmtree(part, ignore_errors=True)
    return _content(directory / digest)


def copy_of(digest: str, directory: Path) -> Path | None:
    """Return the path of the copy of a build, None where there is none."""
    kept = directory / digest
    return _content(kept) if kept.is_dir() else None


def _extract(archive: tarfile.TarFile, directory: Path) -> None:
    """Write the files of an archive; tarfile's own filters are not in every Python 3.11."""
    for member in archive:
        name = PurePosixPath(member.name)
        source = archive.extractfile(member)
        if source is None or name.is_absolute() or ".." in name.parts:
            raise BadCopy(f"an archive of a build holds {member.name!r}, which is no file of it")
        path = directory / name
        path.parent.mkdir(parents=True, exist_ok=True)
        with path.open("xb") as file:
            shutil.copyfileobj(source, file)
        path.chmod(0o755 if member.mode & stat.S_IXUSR else 0o644)


def _content(kept: Path) -> Path:
    """`build/`, or the one file of a build that is a file (`build/linux` of `linux`)."""
    build = kept / "build"
    single = build / _SINGLE
    return next(single.iterdir()) if single.is_dir() else build


def _named(path: Path) -> Iterator[tuple[str, Path]]:
    for file in build_files(path):
        yield (f"{_SINGLE}/{file.name}" if file == path else str(file.relative_to(path))), file
