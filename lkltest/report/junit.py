# SPDX-License-Identifier: GPL-2.0-only
"""A suite run's JUnit file: its document, through the junit-xml package, and its place.

Schema: junit-10.xsd of Jenkins' xunit plugin, which pytest tests against too. What junit-xml writes
beyond it is taken out again: `disabled`, times of many digits. `lkltest.report.junit_stream` writes
the same document of a run that is too long to hold (a test compares them) and says why it has its
form.
"""

from __future__ import annotations

import errno
import hashlib
import tempfile
from collections.abc import Iterable, Iterator
from pathlib import Path
from types import ModuleType
from xml.etree import ElementTree

from lkltest.report.junit_case import (
    Case,
    CaseMaker,
    class_name,
    suite_name,
    suite_properties,
)
from lkltest.report.junit_stream import seconds_text, timestamp
from lkltest.verdict.results import Problem, SuiteResult
from lkltest.whole_file import write_whole

_PLAIN = frozenset(b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789_.")
_FILE_NAME_LIMIT = 200  # bytes; file systems take 255


def suite_document(result: SuiteResult) -> bytes:
    """Return the XML document of one suite run, with its declaration."""
    import junit_xml  # 10 ms, which a run that writes no report need not pay

    maker = CaseMaker()
    cases = suite_cases(result, maker)
    output = maker.other_output(result)
    classname = class_name(result)
    suite = junit_xml.TestSuite(
        suite_name(result),
        [_junit_case(junit_xml, case, classname) for case in with_output(cases, output)],
        hostname=suite_properties(result).get("hostname"),
        timestamp=timestamp(result.started) or None,
        properties=suite_properties(result),
        stdout=output or None,
    )
    root = ElementTree.Element("testsuites")
    root.append(suite.build_xml_doc())
    _satisfy(root[0], cases, result.seconds)
    text = ElementTree.tostring(root, encoding="unicode")
    return f'<?xml version="1.0" encoding="utf-8"?>\n{text}'.encode()


def suite_cases(result: SuiteResult, maker: CaseMaker) -> list[Case]:
    """Return the testcases of a suite run."""
    tied: dict[str, list[Problem]] = {}
    for problem in result.problems:
        if problem.point is not None:
            tied.setdefault(problem.point, []).append(problem)
    cases: list[Case] = []
    for point in result.points:
        cases.extend(maker.of_point(point, tied.get(point.name, ())))
    cases.extend(maker.of_rest(result, bool(result.points)))
    return cases


def with_output(cases: Iterable[Case], output: str) -> Iterator[Case]:
    """Yield the testcases, the first failed one with the suite's other output."""
    for case in cases:
        if output and case.element in ("failure", "error"):
            both = f"{case.output}\n\nother output:\n{output}" if case.output else output
            yield case._replace(output=both)
            output = ""
        else:
            yield case


def _junit_case(junit_xml: ModuleType, case: Case, classname: str) -> object:
    test = junit_xml.TestCase(case.name, classname, stdout=case.output or None)
    if case.element == "failure":
        test.add_failure_info(case.message, case.content, case.kind)
    elif case.element == "error":
        test.add_error_info(case.message, case.content, case.kind)
    elif case.element == "skipped":
        test.add_skipped_info(case.message)
    return test


def _satisfy(suite: ElementTree.Element, cases: list[Case], seconds: float) -> None:
    """Make of junit-xml's testsuite what the schema and the readers take."""
    suite.attrib.pop("disabled", None)
    suite.set("time", seconds_text(seconds))
    for element, case in zip(suite.iter("testcase"), cases, strict=True):
        element.tail = "\n"
        if case.seconds is not None:
            element.set("time", seconds_text(case.seconds))
    for output in suite.findall("system-out"):  # the schema wants it behind the testcases
        suite.remove(output)
        suite.append(output)


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
