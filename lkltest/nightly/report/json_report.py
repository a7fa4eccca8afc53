# SPDX-License-Identifier: GPL-2.0-only
"""A night as JSON: all that the other reports show, for programs. Pure.

The document is `{"format": "lkltest-night", "version": 1, ...}` and the fields of `NightModel`;
a mapping that Python keys by a tuple is a list of objects. A later version adds fields; one that
changes the meaning of a field has another number.
"""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

from lkltest.nightly.report.model import NightModel
from lkltest.plain import to_plain

VERSION = 1


def document(night: NightModel) -> str:
    """Return the document, in ASCII: console output may hold any byte."""
    return json.dumps(to_dict(night), indent=1) + "\n"


def to_dict(night: NightModel) -> dict[str, Any]:
    """Return plain JSON types."""
    return {
        "format": "lkltest-night",
        "version": VERSION,
        **to_plain(replace(night, cells=(), suite_trends={})),
        "cells": [{"id": cell.id, **to_plain(cell)} for cell in night.cells],
        "suite_trends": [
            {"suite": title, "host": host, "build": build, "nights": list(map(to_plain, points))}
            for (title, host, build), points in night.suite_trends.items()
        ],
    }
