# SPDX-License-Identifier: GPL-2.0-only
"""Fail on any skip that .ci/allowed-skips.txt does not list: a green from skipping is not green.

Usage: check_skips.py JUNIT... where each is a JUnit file or a directory of them.
"""

from __future__ import annotations

import fnmatch
import sys
from collections.abc import Iterator
from pathlib import Path
from xml.etree import ElementTree

ALLOWED = Path(__file__).with_name("allowed-skips.txt")


def main(arguments: list[str]) -> int:
    """Returns 0 when every skip is allowed, 1 otherwise or when there was no test at all."""
    patterns = list(read_patterns(ALLOWED.read_text(encoding="utf-8")))
    files = [file for argument in arguments for file in junit_files(Path(argument))]
    cases = [case for file in files for case in read_cases(file)]
    if not cases:
        print(f"no test case in {' '.join(arguments)}", file=sys.stderr)
        return 1
    refused = [
        f"{name}: {reason}"
        for name, reason in cases
        if reason is not None and not any(allows(pattern, name, reason) for pattern in patterns)
    ]
    skipped = sum(reason is not None for _, reason in cases)
    print(f"{len(cases)} cases, {skipped} skipped, {len(refused)} of them not allowed")
    for line in refused:
        print(f"not allowed: {line}", file=sys.stderr)
    return 1 if refused else 0


def read_patterns(text: str) -> Iterator[tuple[str, str]]:
    """Yield (name pattern, reason pattern) of each line `NAME: REASON`; `#` starts a comment."""
    for line in text.splitlines():
        if line.strip() and not line.startswith("#"):
            name, _, reason = line.partition(": ")
            yield name.strip(), reason.strip()


def allows(pattern: tuple[str, str], name: str, reason: str) -> bool:
    """Whether both the case's name and its reason match, as in fnmatch(3)."""
    return fnmatch.fnmatchcase(name, pattern[0]) and fnmatch.fnmatchcase(reason, pattern[1])


def junit_files(path: Path) -> list[Path]:
    """The file itself, or all of a directory."""
    return sorted(path.glob("*.xml")) if path.is_dir() else [path]


def read_cases(file: Path) -> Iterator[tuple[str, str | None]]:
    """Yield (classname.name, reason of the skip or None) of each test case."""
    for case in ElementTree.parse(file).iter("testcase"):
        skipped = case.find("skipped")
        reason = None
        if skipped is not None:
            reason = " ".join((skipped.get("message") or skipped.text or "no reason").split())
        yield f"{case.get('classname')}.{case.get('name')}", reason


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
