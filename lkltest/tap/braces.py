# SPDX-License-Identifier: GPL-2.0-only
"""Results that print their subtests behind themselves, in braces: `ok 1 - name {` ... `}`.

Test2::Formatter::TAP calls it a buffered subtest, node-tap prints them for tests that ran at once.
A directive may stand on either side of the brace: `ok 2 - x { # TODO why`, `ok 3 # time=5ms {`.
"""

from __future__ import annotations

from typing import NamedTuple

from lkltest.tap.grammar import Diagnostic, Event, Point, recognise

_MOST = 64  # open at once; who nests deeper has forgotten to close them


class Braced(NamedTuple):
    """A result whose subtests follow, and its line's indentation."""

    point: Point
    indent: bytes


class Braces:
    """The results of a stream whose braces are open.

    Attributes:
        expected: the result whose line was the last one, if that ended in a brace.
    """

    def __init__(self) -> None:
        self.expected: Braced | None = None
        self._open: list[Braced] = []

    @property
    def pending(self) -> bool:
        """Whether a brace is open, or may be."""
        return self.expected is not None or bool(self._open)

    def expect(self, point: Point, indent: bytes, body: bytes) -> None:
        """Take a result and the line that it is from, which may end in a brace."""
        self.expected = None
        if b"{" not in body or len(self._open) >= _MOST:
            return
        if body.endswith(b"{"):
            events = recognise(body[:-1].rstrip(), point.depth)
            point = next((event for event in events if isinstance(event, Point)), point)
        elif point.name.endswith("{"):
            point = point._replace(name=point.name[:-1].rstrip())
        else:
            return
        self.expected = Braced(point, indent)

    def begins(self, indent: bytes, body: bytes) -> bool:
        """Whether the line after the brace shows that it is one."""
        expected = self.expected
        if expected is None:
            return False
        inside = len(indent) > len(expected.indent) and indent.startswith(expected.indent)
        if not (body == b"}" and indent == expected.indent) and not (inside and recognise(body, 0)):
            return False
        self.expected = None
        self._open.append(expected)
        return True

    def close(self, indent: bytes) -> list[Event]:
        """The result that a `}` ends, behind those inside that were left open; [] for none."""
        if not any(braced.indent == indent for braced in self._open):
            return []
        left = self._open.pop()
        out: list[Event] = []
        while left.indent != indent:
            out += _unclosed(left)
            left = self._open.pop()
        return [*out, left.point]

    def abandon(self, indent: bytes) -> list[Event]:
        """The results that no `}` has ended when TAP indented like this comes, innermost first."""
        out: list[Event] = []
        while self._open and len(indent) <= len(self._open[-1].indent):
            out += _unclosed(self._open.pop())
        return out


def _unclosed(braced: Braced) -> list[Event]:
    name = braced.point.name or braced.point.number
    return [Diagnostic("line-lost", f"no }} ended the subtests of {name}"), braced.point]
