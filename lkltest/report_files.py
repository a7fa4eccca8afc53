# SPDX-License-Identifier: GPL-2.0-only
"""The files of a suite run that were asked for on pytest's command line."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lkltest.results import SuiteResult


class NotWritten(Exception):
    """A file that could not be written; the message is one line."""


def write_files(result: SuiteResult, option: Any) -> None:
    """Write JUnit and JSON where they are wanted. Raises NotWritten."""
    if option.lkl_junit_dir:
        from lkltest.report.junit import write

        try:
            write(result, Path(option.lkl_junit_dir))
        except OSError as error:
            raise NotWritten(f"JUnit directory {option.lkl_junit_dir}: {error.strerror}") from None
    if option.lkl_json_dir:
        from lkltest.report.tree import write as write_tree

        try:
            write_tree(result, Path(option.lkl_json_dir))
        except OSError as error:
            raise NotWritten(f"JSON directory {option.lkl_json_dir}: {error.strerror}") from None
