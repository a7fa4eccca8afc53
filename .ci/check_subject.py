#!/usr/bin/env python3
# SPDX-License-Identifier: GPL-2.0-only
"""The rule for a commit's subject, as git's commit-msg hook: `area: verb ...`, 72 characters."""

import re
import sys
from pathlib import Path

LONGEST = 72
_SUBJECT = re.compile(r"[\w.+/-]+(, [\w.+/-]+)*: [a-z`][^\s]* \S.*[^.\s]")
_GITS_OWN = re.compile(r"(Merge|Revert|fixup!|squash!|amend!) ")


def flaw(message: str) -> str:
    """The flaw of the subject of `message`, in words; "" when there is none."""
    subject = message.partition("\n")[0]
    if _GITS_OWN.match(subject):
        return ""
    if len(subject) > LONGEST:
        return f"it has {len(subject)} characters, {LONGEST} are allowed"
    if not _SUBJECT.fullmatch(subject):
        return "it is not `area: verb ...`, without a full stop"
    return ""


def main(file: str) -> int:
    """Check the message in `file`; returns the exit status."""
    found = flaw(Path(file).read_text(encoding="utf-8"))
    if found:
        print(f"the commit's subject: {found}", file=sys.stderr)
    return 1 if found else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1]))
