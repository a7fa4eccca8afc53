# SPDX-License-Identifier: GPL-2.0-only
"""The files of a suite run that were asked for on pytest's command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lkltest.errors import LkltestError
from lkltest.verdict.results import SuiteResult


class NotWritten(LkltestError):
    """A file that could not be written; the message is one line."""


def write_files(result: SuiteResult, option: Any) -> None:
    """Write JUnit and JSON where they are wanted. Raises NotWritten, after it has tried both."""
    wanted = {"JUnit": option.lkl_junit_dir, "JSON": option.lkl_json_dir}
    if not any(wanted.values()):
        return
    from lkltest.report import junit, tree

    writers = {"JUnit": junit.write, "JSON": tree.write}
    failures = []
    for kind, directory in wanted.items():
        if directory:
            try:
                writers[kind](result, Path(directory))
            except OSError as error:
                failures.append(f"{kind} directory {directory}: {error.strerror}")
    if failures:
        raise NotWritten("; ".join(failures))
