# SPDX-License-Identifier: GPL-2.0-only
"""The columns at which a stream's subtests are open: they tell if an indented line is TAP.

The rules are in lkltest.tap.parser.
"""

from __future__ import annotations

import re
from bisect import bisect_left

from lkltest.tap.grammar import (
    BailOut,
    Comment,
    Diagnostic,
    Event,
    Plan,
    Point,
    Pragma,
    Version,
    recognise,
    says_something,
)

_TAB = 4  # columns
_VERSION_AT_END = re.compile(rb"K?TAP version [0-9]+\Z")


_LOWERED = Diagnostic(
    "line-lost", "the first version line was that of a subtest: the stream's own is missing"
)


class Levels:
    """The columns of the stream itself and of the subtests in it that are open.

    Attributes:
        find_base: the indentation of the first version line counts as none.
    """

    def __init__(self) -> None:
        self._columns = [0]
        self.find_base = False

    def close_all(self) -> tuple[Event, ...]:
        """A line of the stream itself has come, without indentation. Return what is wrong then."""
        lowered = self._columns[0] > 0
        self._columns = [0]
        self.find_base = False
        return (_LOWERED,) if lowered else ()

    def may_hold(self, indent: bytes) -> bool:
        """Whether a line that is indented like this can be TAP here."""
        return len(indent.expandtabs(_TAB)) in (0, *self._columns)

    def open(self, outer: bytes, inner: bytes) -> None:
        """Open the level below that of `outer`, where the first line in it is indented so."""
        self.close(outer)
        column = len(inner.expandtabs(_TAB))
        self._columns.append(min(column, self._columns[-1] + _TAB))

    def close(self, indent: bytes) -> None:
        """Close the levels that are indented deeper than this."""
        column = len(indent.expandtabs(_TAB))
        self._columns = [open_ for open_ in self._columns if open_ <= column] or [column]

    def recognise(self, indent: bytes, body: bytes) -> tuple[Event, ...]:
        """The events of a line at its depth; () where it is no TAP there. Opens and closes."""
        column = len(indent.expandtabs(_TAB))
        if self.find_base and body.startswith((b"TAP version", b"KTAP version")):
            self.find_base = False
            self._columns = [column]
        elif self.find_base and _VERSION_AT_END.search(body):
            self.find_base = False  # in which column its lines are is not known
        if column < self._columns[0] and (says_something(body) or _VERSION_AT_END.search(body)):
            self._columns = [column]
            return (_LOWERED, *recognise(body, 0))
        if self.find_base and column == 0 and says_something(body):
            self.find_base = False  # the stream has begun without a version
        depth = bisect_left(self._columns, column)
        is_new = depth == len(self._columns) or (self._columns[depth] != column and depth > 0)
        events = recognise(body, depth)
        if not events or isinstance(events[-1], BailOut | Pragma):
            return events
        last = events[-1]
        if is_new and not self._opens(last, column, depth):
            return ()
        if is_new or not isinstance(last, Comment):
            del self._columns[depth + (0 if is_new else 1) :]
        if not is_new:
            return events
        # Eight columns are two levels (TAP 14), of which the outer one has said nothing yet.
        missing, rest = divmod(column - self._columns[-1], _TAB)
        if missing > 1 and not rest:
            self._columns += range(self._columns[-1] + _TAB, column, _TAB)
            events = recognise(body, len(self._columns))
        self._columns.append(column)
        return events

    def _opens(self, event: Event, column: int, depth: int) -> bool:
        if isinstance(event, Comment):
            return event.text.startswith("Subtest")
        if isinstance(event, Point):
            levels, rest = divmod(column - self._columns[depth - 1], _TAB)
            return not rest and (levels == 1 or (levels > 1 and event.number is not None))
        return isinstance(event, Version | Plan)
