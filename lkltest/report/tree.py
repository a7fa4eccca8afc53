# SPDX-License-Identifier: GPL-2.0-only
"""The tree of a suite run as a JSON file: how one process hands its result to another."""

from __future__ import annotations

import json
from pathlib import Path

from lkltest.plain import from_plain, to_plain
from lkltest.report.junit import file_name
from lkltest.verdict.results import SuiteResult
from lkltest.whole_file import write_whole


def write(result: SuiteResult, directory: Path) -> Path:
    """Write the tree into `directory`, whole or not at all. Returns its path; raises OSError."""
    path = (directory / file_name(result)).with_suffix(".json")
    write_whole(path, json.dumps(to_plain(result)))  # whose escapes are ASCII
    return path


def read(path: Path) -> SuiteResult:
    """Read one. Raises OSError, ValueError for what is no such file."""
    try:
        return from_plain(SuiteResult, json.loads(path.read_text(encoding="ascii")))
    except (KeyError, TypeError, AttributeError) as error:
        raise ValueError(f"{path}: is no suite's tree ({error!r})") from None
