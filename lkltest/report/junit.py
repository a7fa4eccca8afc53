# SPDX-License-Identifier: GPL-2.0-only
"""A suite run's JUnit file: its document and its place."""

from __future__ import annotations

import errno
import fcntl
import hashlib
import io
import os
import tempfile
from contextlib import suppress
from pathlib import Path
from typing import IO

from lkltest.report.junit_case import CaseMaker
from lkltest.report.junit_stream import JunitStream
from lkltest.verdict.results import Problem, SuiteResult

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.")
_FILE_NAME_LIMIT = 200  # bytes; file systems take 255, and `.part` must fit


def suite_document(result: SuiteResult) -> bytes:
    """Return the XML document of one suite run."""
    tied: dict[str, list[Problem]] = {}
    for problem in result.problems:
        if problem.point is not None:
            tied.setdefault(problem.point, []).append(problem)
    maker, out = CaseMaker(), io.BytesIO()
    with JunitStream(result) as document:
        for point in result.points:
            document.add(maker.of_point(point, tied.get(point.name, ())))
        document.add(maker.of_rest(result, bool(result.points)))
        document.finish(result, out, maker.other_output(result))
    return out.getvalue()


def write(result: SuiteResult, directory: Path) -> Path:
    """Write the report of one suite run into `directory`, which is made if need be.

    The file is there whole or not at all: it is written beside its place as `.part`, which is
    locked, so that two runs that write the same report at once do not mix.

    Returns:
        Its path.

    Raises:
        OSError: what could not be written, with the file's name.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / file_name(result)
    text = suite_document(result)
    part, file = _locked(directory / f"{path.name}.part")
    with file:
        try:
            file.truncate(0)
            file.write(text)
            file.flush()
            part.replace(path)
        except OSError as error:
            with suppress(OSError):
                part.unlink()
            error.filename = error.filename or str(part)
            raise
    return path


def prepare(directory: Path) -> None:
    """Make `directory` and see that it can be written to, before a long run rather than after it.

    What killed runs left unfinished in it is removed. Raises OSError.
    """
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory", str(directory))
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass
    remove_unfinished(directory)


def remove_unfinished(directory: Path) -> None:
    """Remove the `.part` files of runs that were killed; those that are being written stay."""
    for part in directory.glob("*.xml*.part"):
        with suppress(OSError), part.open("rb") as file:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
            part.unlink()


def file_name(result: SuiteResult) -> str:
    """Return a safe name, another one for every suite, variant and host: `disk-ext4@native.xml`.

    Whatever is not plain is written like `%2F`; so is a `-` in the suite, where it would look like
    the beginning of the variant.
    """
    name = _percent(result.suite)
    if result.variant:
        name += "-" + _percent(result.variant, b"-")
    name += "@" + _percent(result.host, b"-")
    if name.startswith("."):
        name = "%2E" + name[1:]
    if len(name) > _FILE_NAME_LIMIT:
        name = f"{name[:_FILE_NAME_LIMIT]}%{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    return f"{name}.xml"


def _locked(part: Path) -> tuple[Path, IO[bytes]]:
    """Open and lock a `.part` file; another one where another run is writing that one."""
    while True:
        file = part.open("ab")
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            file.close()
            part = part.with_name(f"{part.name.removesuffix('.part')}.{os.getpid()}.part")
            continue
        except OSError:  # a file system without locks: then without
            return part, file
        with suppress(FileNotFoundError):
            if os.path.samestat(os.fstat(file.fileno()), part.stat()):
                return part, file
        file.close()  # the other run has put it into its place meanwhile


def _percent(text: str, also: bytes = b"") -> str:
    plain = _PLAIN | frozenset(also)
    data = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in data)
