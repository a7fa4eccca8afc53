# SPDX-License-Identifier: GPL-2.0-only
"""A guest that boots again repeats its stream: points that come again show it. Pure.

A later plan of the same name alone does not: it continues that suite with other points.
"""

from __future__ import annotations

from lkltest.verdict.results import ProblemKind
from lkltest.verdict.subtests import Trouble


class Repeats:
    """Remembers which points a stream had under which plan."""

    def __init__(self) -> None:
        self._reported: set[tuple[str, str]] = set()

    def note(self, plan: str, name: str) -> list[Trouble]:
        """Remember a point. Return a trouble if the stream had it before."""
        if not name:
            return []
        if (plan, name) in self._reported:
            reason = f"{name} came again: did the guest boot twice?"
            return [Trouble(ProblemKind.REPEATED, reason)]
        self._reported.add((plan, name))
        return []
