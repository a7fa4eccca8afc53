# SPDX-License-Identifier: GPL-2.0-only
"""JUnit XML through the junit-xml package, made to satisfy the schema and the readers.

Schema: junit-10.xsd of Jenkins' xunit plugin, which pytest tests against too. What junit-xml writes
beyond it is taken out again: `disabled`, times of many digits.
"""

from __future__ import annotations

import errno
import fcntl
import hashlib
import os
import tempfile
import time
from contextlib import suppress
from pathlib import Path
from typing import IO
from xml.etree import ElementTree

from lkltest.report.junit_case import (
    Case,
    CaseMaker,
    class_name,
    suite_name,
    suite_properties,
)
from lkltest.verdict.results import Outcome, Problem, SuiteResult

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.")
_FILE_NAME_LIMIT = 200  # bytes; file systems take 255, and `.part` must fit


def suite_document(result: SuiteResult) -> str:
    """Return the XML document of one suite run, with its declaration."""
    import junit_xml  # 10 ms, which a run that writes no report need not pay

    cases = list(suite_cases(result))
    classname = class_name(result)
    suite = junit_xml.TestSuite(
        suite_name(result),
        [_junit_case(junit_xml, case, classname) for case in cases],
        hostname=suite_properties(result).get("hostname"),
        timestamp=timestamp(result.started) or None,
        properties=suite_properties(result),
    )
    root = ElementTree.Element("testsuites")
    root.append(suite.build_xml_doc())
    _satisfy(root, cases, result.seconds)
    return '<?xml version="1.0" encoding="utf-8"?>\n' + ElementTree.tostring(
        root, encoding="unicode"
    )


def suite_cases(result: SuiteResult) -> list[Case]:
    """Return the testcases of a suite run."""
    tied: dict[str, list[Problem]] = {}
    for problem in result.problems:
        if problem.point is not None:
            tied.setdefault(problem.point, []).append(problem)
    maker = CaseMaker()
    cases: list[Case] = []
    for point in result.points:
        cases.extend(maker.of_point(point, tied.get(point.name, ())))
    failed = any(point.outcome is Outcome.FAILED for point in result.points)
    cases.extend(maker.of_rest(result, bool(result.points), failed))
    return cases


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
    text = suite_document(result).encode()
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


def timestamp(started: float) -> str:
    """Return seconds since the epoch as `2026-11-21T12:00:00` in UTC, "" for 0."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(started)) if started else ""


def seconds_text(seconds: float) -> str:
    """Return seconds with three decimals: more, or an exponent, the schema does not take."""
    return f"{max(seconds, 0.0):.3f}"


def _junit_case(junit_xml: object, case: Case, classname: str) -> object:
    test = junit_xml.TestCase(case.name, classname, stdout=case.output or None)  # type: ignore[attr-defined]
    if case.element == "failure":
        test.add_failure_info(case.message, case.content, case.kind)
    elif case.element == "error":
        test.add_error_info(case.message, case.content, case.kind)
    elif case.element == "skipped":
        test.add_skipped_info(case.message)
    return test


def _satisfy(root: ElementTree.Element, cases: list[Case], seconds: float) -> None:
    """Make of junit-xml's elements what the schema and the readers take."""
    suite = root[0]
    suite.attrib.pop("disabled", None)
    suite.set("time", seconds_text(seconds))
    for name in ("tests", "failures", "errors", "time"):
        root.set(name, suite.get(name, "0"))
    for element, case in zip(suite.iter("testcase"), cases, strict=True):
        element.tail = "\n"
        if case.seconds is not None:
            element.set("time", seconds_text(case.seconds))


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
