# SPDX-License-Identifier: GPL-2.0-only
"""JUnit XML as testcases come, for a run that is too long to hold.

The same document as `lkltest.report.junit` makes, without junit-xml, which needs 144 µs a testcase
and all of them at once.

Schema: junit-10.xsd of Jenkins' xunit plugin, which pytest tests against, too. The testsuite's
counts stand before its testcases, so these wait in a file without a name until the counts are
known. The root has no counts: test-results-parser believes those it finds there, and the schema has
no `skipped` among them.

What the programs printed besides test points is the testsuite's system-out, and the first failed
testcase's as well: GitLab shows those of testcases alone.
"""

from __future__ import annotations

import os
import shutil
import tempfile
import time
from collections.abc import Iterable
from typing import IO, BinaryIO

from lkltest.report.junit_case import Case, class_name, suite_name, suite_properties
from lkltest.verdict.results import SuiteResult

_IN_MEMORY = 4 * 1024 * 1024  # bytes; a short report needs no file
_GATHERED = 256  # testcases that are written in one go
_CHUNK = 1024 * 1024
_END = "</testcase>\n"
_OUTPUT_END = "</system-out>"


class JunitStream:
    """Writes the document of one suite run; a context manager.

    Args:
        result: what is known before the run: suite, variant, host.
    """

    def __init__(self, result: SuiteResult) -> None:
        self._class = _quoted(class_name(result))
        # Named a directory, tempfile makes no trial file in it, which a kill would leave behind.
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - __exit__ closes
            _IN_MEMORY,
            dir=os.environ.get("TMPDIR") or "/tmp",  # noqa: S108 - it has no name there
        )
        self._gathered: list[str] = []
        self._elements = {"": 0, "failure": 0, "error": 0, "skipped": 0}
        self._first_failed: Case | None = None
        self._first_failed_end = 0  # where its output may be added to

    def __enter__(self) -> JunitStream:
        return self

    def __exit__(self, *_: object) -> None:
        self._spool.close()

    @property
    def some(self) -> bool:
        """Whether there are testcases."""
        return any(self._elements.values())

    def add(self, cases: Iterable[Case]) -> None:
        """Write testcases."""
        for case in cases:
            self.add_one(case)

    def add_one(self, case: Case) -> None:
        """Write a testcase."""
        self._elements[case.element] += 1
        if case.element in ("failure", "error") and self._first_failed is None:
            self._add_first_failed(case)
            return
        gathered = self._gathered
        gathered.append(_testcase(case, self._class))
        if len(gathered) >= _GATHERED:
            self._flush()

    def finish(self, result: SuiteResult, out: BinaryIO, output: str = "") -> None:
        """Write the document to `out`.

        Args:
            result: the suite run with its properties and its time; its points are not looked at.
            out: where to.
            output: what the programs printed besides test points, fit for XML.
        """
        self._flush()
        self._spool.seek(0)
        out.write(self._head(result).encode())
        if output and self._first_failed is not None:
            self._copy(self._first_failed_end, out)
            again = _escaped(output)
            if self._first_failed.output:
                again = f"\n\nother output:\n{again}"
            else:
                again = f"<system-out>{again}{_OUTPUT_END}"
            out.write(again.encode())
        shutil.copyfileobj(self._spool, out, _CHUNK)
        if output:
            out.write(f"<system-out>{_escaped(output)}{_OUTPUT_END}".encode())
        out.write(b"</testsuite></testsuites>\n")
        out.flush()

    def _add_first_failed(self, case: Case) -> None:
        self._flush()
        text = _testcase(case, self._class)
        rest = len(_OUTPUT_END + _END if case.output else _END)
        self._first_failed = case
        self._first_failed_end = self._spool.tell() + len(text.encode()) - rest
        self._spool.write(text.encode())

    def _copy(self, size: int, out: BinaryIO) -> None:
        while size and (chunk := self._spool.read(min(size, _CHUNK))):
            out.write(chunk)
            size -= len(chunk)

    def _flush(self) -> None:
        self._spool.write("".join(self._gathered).encode())
        self._gathered.clear()

    def _head(self, result: SuiteResult) -> str:
        counts = self._elements
        attributes = (
            f'name="{_quoted(suite_name(result))}" tests="{sum(counts.values())}" '
            f'failures="{counts["failure"]}" errors="{counts["error"]}" '
            f'skipped="{counts["skipped"]}" time="{seconds_text(result.seconds)}"'
        )
        properties = suite_properties(result)
        optional = {
            "hostname": properties.get("hostname", ""),
            "timestamp": timestamp(result.started),
        }
        attributes += "".join(
            f' {name}="{_quoted(value)}"' for name, value in optional.items() if value
        )
        elements = "".join(
            f'<property name="{_quoted(name)}" value="{_quoted(value)}" />'
            for name, value in properties.items()
        )
        return f'<?xml version="1.0" encoding="utf-8"?>\n<testsuites><testsuite {attributes}>' + (
            f"<properties>{elements}</properties>" if elements else ""
        )


def timestamp(started: float) -> str:
    """Return seconds since the epoch as `2026-11-21T12:00:00` in UTC, "" for 0."""
    return time.strftime("%Y-%m-%dT%H:%M:%S", time.gmtime(started)) if started else ""


def seconds_text(seconds: float) -> str:
    """Return seconds with three decimals: more, or an exponent, the schema does not take."""
    return f"{max(seconds, 0.0):.3f}"


def _testcase(case: Case, classname: str) -> str:
    name, seconds, element, kind, message, content, output = case
    if seconds is None:
        head = f'<testcase name="{_quoted(name)}" classname="{classname}"'
    else:
        time = seconds_text(seconds)
        head = f'<testcase name="{_quoted(name)}" classname="{classname}" time="{time}"'
    if not element and not output:
        return f"{head} />\n"
    inner = ""
    if element:
        attributes = f'type="{_quoted(kind or element)}" message="{_quoted(message)}"'
        if content:
            inner = f"<{element} {attributes}>{_escaped(content)}</{element}>"
        else:
            inner = f"<{element} {attributes} />"
    if output:
        inner += f"<system-out>{_escaped(output)}</system-out>"
    return f"{head}>{inner}</testcase>\n"


def _escaped(text: str) -> str:
    """Return `text`, which is printable already, as the content of an element."""
    # Looking is cheaper than replacing nothing, and much cheaper than one pattern for all three.
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    return text.replace(">", "&gt;") if ">" in text else text


def _quoted(text: str) -> str:
    """Return `text`, which is a printable line already, as the value of an attribute in `"`."""
    text = _escaped(text)
    return text.replace('"', "&quot;") if '"' in text else text
