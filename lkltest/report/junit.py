# SPDX-License-Identifier: GPL-2.0-only
"""A suite run's JUnit file: its document and its place."""

from __future__ import annotations

import errno
import hashlib
import io
import tempfile
from pathlib import Path

from lkltest.report.junit_case import CaseMaker
from lkltest.report.junit_stream import JunitStream
from lkltest.verdict.results import Problem, SuiteResult
from lkltest.whole_file import write_whole

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.")
_FILE_NAME_LIMIT = 200  # bytes; file systems take 255


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

    Returns:
        Its path.

    Raises:
        OSError: what could not be written, with the file's name.
    """
    path = directory / file_name(result)
    write_whole(path, suite_document(result))
    return path


def prepare(directory: Path) -> None:
    """Make `directory` and see that it can be written to, before a long run rather than after it.

    Raises OSError.
    """
    if directory.exists() and not directory.is_dir():
        raise NotADirectoryError(errno.ENOTDIR, "is not a directory", str(directory))
    directory.mkdir(parents=True, exist_ok=True)
    with tempfile.TemporaryFile(dir=directory):
        pass


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


def _percent(text: str, also: bytes = b"") -> str:
    plain = _PLAIN | frozenset(also)
    data = text.encode("utf-8", "surrogatepass")
    return "".join(chr(byte) if byte in plain else f"%{byte:02X}" for byte in data)
