# SPDX-License-Identifier: GPL-2.0-only
"""A night as JSON: all that the other reports show, for programs. Pure.

The document is `{"format": "lkltest-night", "version": 1, ...}` and the fields of `NightModel`;
a mapping that Python keys by a tuple is a list of objects. A later version adds fields; one that
changes the meaning of a field has another number.
"""

from __future__ import annotations

import json
from dataclasses import asdict, fields
from typing import Any

from lkltest.nightly.report.model import CellModel, NightModel

VERSION = 1
_WITH_TREES = {"result", "results"}


def document(night: NightModel) -> str:
    """Return the document, in ASCII: console output may hold any byte."""
    return json.dumps(to_dict(night), indent=1) + "\n"


def to_dict(night: NightModel) -> dict[str, Any]:
    """Return plain JSON types."""
    plain = {"night_id", "started", "baseline_id", "machine", "seconds", "failed", "notes"}
    return {
        "format": "lkltest-night",
        "version": VERSION,
        **{name: getattr(night, name) for name in sorted(plain)},
        "properties": dict(night.properties),
        "changes": [asdict(change) for change in night.changes],
        "cells": [_cell(cell) for cell in night.cells],
        "flaky": [asdict(point) for point in night.flaky],
        "histories": {id_: asdict(history) for id_, history in night.histories.items()},
        "suite_trends": [
            {
                "suite": title,
                "host": host,
                "build": build,
                "nights": [asdict(point) for point in points],
            }
            for (title, host, build), points in night.suite_trends.items()
        ],
    }


def _cell(cell: CellModel) -> dict[str, Any]:
    names = [field.name for field in fields(cell) if field.name not in _WITH_TREES]
    return {
        "id": cell.id,
        **{name: getattr(cell, name) for name in names},
        "known": dict(cell.known),
        "result": cell.result.to_dict() if cell.result else None,
        "results": [result.to_dict() for result in cell.results],
    }
