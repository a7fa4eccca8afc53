# SPDX-License-Identifier: GPL-2.0-only
"""The ids of cells and points: how they are taken apart, and the patterns that fit them. Pure."""

from __future__ import annotations

import fnmatch
import re
from dataclasses import dataclass

_ID = re.compile(
    r"(?P<suite>[^\[\]@#/]+)(\[(?P<variant>[^@#/]*)\])?@(?P<host>[^@#/]+)(#(?P<build>[^@#/]*))?"
)


@dataclass(frozen=True, slots=True)
class CellName:
    """The parts of a cell's id."""

    build: str
    host: str
    suite: str
    variant: str


def parse_id(cell_id: str) -> CellName | None:
    """Take the id of a cell (`disk[ext4]@native#stable`) apart; None when it is none."""
    match = _ID.fullmatch(cell_id)
    if match is None:
        return None
    return CellName(match["build"] or "", match["host"], match["suite"], match["variant"] or "")


def split_id(result_id: str) -> tuple[str, str]:
    """`disk[ext4]@native#stable` and `readdir` of the id of a point; "" for a cell's point."""
    slash = result_id.find("/", result_id.find("@") + 1)
    return (result_id, "") if slash < 0 else (result_id[:slash], result_id[slash + 1 :])


def matches(pattern: str, text: str) -> bool:
    """As a shell matches, but brackets stand for themselves: `disk[*]`."""
    return fnmatch.fnmatchcase(text, pattern.replace("[", "[[]"))
