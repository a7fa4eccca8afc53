# SPDX-License-Identifier: GPL-2.0-only
"""JUnit XML of a run that is too long to hold: testcases are written as they come.

The same document as `lkltest.report.junit` makes (a test compares them), without junit-xml, which
needs 144 µs a testcase and all of them at once. The testsuite's counts stand before its testcases,
so these wait in a file without a name until the counts are known.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from collections.abc import Iterable
from typing import IO, BinaryIO

from lkltest.report.junit import seconds_text, timestamp
from lkltest.report.junit_case import Case, class_name, suite_name, suite_properties
from lkltest.report.xml_text import escaped, quoted
from lkltest.verdict.results import SuiteResult

_IN_MEMORY = 4 * 1024 * 1024  # bytes; a short report needs no file
_GATHERED = 256  # testcases that are written in one go


class JunitStream:
    """Writes the document of one suite run; a context manager.

    Args:
        result: what is known before the run: suite, variant, host.
    """

    def __init__(self, result: SuiteResult) -> None:
        self._class = quoted(class_name(result))
        # Named a directory, tempfile makes no trial file in it, which a kill would leave behind.
        self._spool: IO[bytes] = tempfile.SpooledTemporaryFile(  # noqa: SIM115 - __exit__ closes
            _IN_MEMORY,
            dir=os.environ.get("TMPDIR") or "/tmp",  # noqa: S108 - it has no name there
        )
        self._gathered: list[str] = []
        self._elements = {"": 0, "failure": 0, "error": 0, "skipped": 0}

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
        gathered = self._gathered
        gathered.append(_testcase(case, self._class))
        if len(gathered) >= _GATHERED:
            self._flush()

    def finish(self, result: SuiteResult, out: BinaryIO) -> None:
        """Write the document to `out`.

        Args:
            result: the suite run with its properties and its time; its points are not looked at.
            out: where to.
        """
        self._flush()
        self._spool.seek(0)
        out.write(self._head(result).encode())
        shutil.copyfileobj(self._spool, out, 1024 * 1024)
        out.write(b"</testsuite></testsuites>\n")
        out.flush()

    def _flush(self) -> None:
        self._spool.write("".join(self._gathered).encode())
        self._gathered.clear()

    def _head(self, result: SuiteResult) -> str:
        counts = self._elements
        common = (
            f'tests="{sum(counts.values())}" failures="{counts["failure"]}" '
            f'errors="{counts["error"]}" time="{seconds_text(result.seconds)}"'
        )
        properties = suite_properties(result)
        optional = {
            "hostname": properties.get("hostname", ""),
            "timestamp": timestamp(result.started),
        }
        attributes = "".join(
            f' {name}="{quoted(value)}"' for name, value in optional.items() if value
        )
        elements = "".join(
            f'<property name="{quoted(name)}" value="{quoted(value)}" />'
            for name, value in properties.items()
        )
        return (
            '<?xml version="1.0" encoding="utf-8"?>\n'
            f'<testsuites {common}><testsuite name="{quoted(suite_name(result))}" {common} '
            f'skipped="{counts["skipped"]}"{attributes}>'
            + (f"<properties>{elements}</properties>" if elements else "")
        )


def _testcase(case: Case, classname: str) -> str:
    name, seconds, element, kind, message, content, output = case
    if seconds is None:
        head = f'<testcase name="{quoted(name)}" classname="{classname}"'
    else:
        time = seconds_text(seconds)
        head = f'<testcase name="{quoted(name)}" classname="{classname}" time="{time}"'
    if not element and not output:
        return f"{head} />\n"
    inner = ""
    if element:
        attributes = f'type="{quoted(kind or element)}" message="{quoted(message)}"'
        if content:
            inner = f"<{element} {attributes}>{escaped(content)}</{element}>"
        else:
            inner = f"<{element} {attributes} />"
    if output:
        inner += f"<system-out>{escaped(output)}</system-out>"
    return f"{head}>{inner}</testcase>\n"
