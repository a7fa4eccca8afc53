# SPDX-License-Identifier: GPL-2.0-only
"""A line of TAP that a kernel's message tore apart, and how its parts are put together again.

    not [    1.250000] random: crng init done        [    1.250000] random: crng init done
    ok 2 read                                   ▶    not ok 2 read

The message ends in a newline of its own, so that the rest of the line comes as a line. Only what
can be the beginning of TAP is mended: a program may print a kernel's log, or text about one.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lkltest.tap.grammar import Comment, Plan, Point, recognise, says_something
from lkltest.tap.patterns import MESSAGE

_BROKEN_STAMP = re.compile(rb"(?:<[0-9]*+>?)?(?:\[[ 0-9.TC]*+\]?)+ ?\Z")  # of a message torn itself
_LONGEST_STAMP = 60
_MESSAGE = re.compile(rb"\s*+" + MESSAGE + b" ").match
_STAMP_AT = re.compile(MESSAGE + b" ").match
_STAMPED = re.compile(MESSAGE + b" ").search
_BEGINNINGS = (b"not ok", b"ok", b"bail out!", b"1..")
_IN_BLOCK = re.compile(rb"([ \t]++)(\.{0,3})(" + MESSAGE + rb" [^\n]*\n)\s*\Z")


class Torn(NamedTuple):
    """The beginning of a line.

    by_message: a message stood behind it, not a newline. stamp: of a message before that one, which
    was torn itself: its text comes as a line, before the rest of this one.
    """

    before: bytes
    by_message: bool
    stamp: bytes = b""

    def message(self, line: bytes) -> bytes | None:
        """The message that a line is, or the rest of; None for one that is not a kernel's."""
        for whole in (line, self.stamp + line) if self.stamp else (line,):
            if _MESSAGE(whole) is not None:
                return whole
        return None


def tear(line: bytes) -> Torn | None:
    """The beginning of a line of TAP that a message stands behind, or None for any other line."""
    stamp = _STAMPED(line)
    if stamp is None:
        return None
    message = stamp.end() if _STAMP_AT(line, stamp.end()) else stamp.start()
    broken = _BROKEN_STAMP.search(line, max(0, message - _LONGEST_STAMP), message)
    before = line[: broken.start() if broken else message]
    body = before.lstrip()
    if not body or not (_is_beginning(body) or says_something(before)):
        return None
    return Torn(before, by_message=True, stamp=broken[0] if broken else b"")


def mend(before: bytes, rest: bytes) -> bytes | None:
    """The line that the two are together, or None where they are not of one line."""
    body = rest.strip()
    said = recognise(body, 0)
    if before.strip() == b"not" and said and isinstance(said[-1], Point) and body[:2] == b"ok":
        return before[: len(before) - len(before.lstrip())] + b"not " + body
    if said and isinstance(said[-1], Comment):
        return before + rest if _may_have_comment(before) else None
    if said or body == b"---":
        return None
    whole = before + rest
    return whole if says_something(whole) else None


def _may_have_comment(before: bytes) -> bool:
    said = recognise(before.strip(), 0)
    return bool(said) and isinstance(said[-1], Plan | Point)


def may_be_lost(before: bytes) -> bool:
    """Whether a beginning whose rest was not found may have been a failure's, or half a number's.

    Half a name does no harm, and what else is missing breaks the plan.
    """
    body = before.strip()
    said = recognise(body, 0)
    if said:
        return isinstance(said[-1], Plan)
    return body[:1].lower() in (b"n", b"b")


def message_in_end(block: bytearray, indent: bytes, rest: bytes) -> re.Match[bytes] | None:
    """The last line of a block, if it is a message in the midst of `...`, of which rest came."""
    torn = _IN_BLOCK.search(block, block.rfind(b"\n", 0, len(block.rstrip())) + 1)
    if torn is None or torn[1] + torn[2] + rest.rstrip() != indent + b"...":
        return None
    return torn


def _is_beginning(body: bytes) -> bool:
    low = body.lower()
    return low in {b"*", b"* "} or any(word.startswith(low) for word in _BEGINNINGS)
