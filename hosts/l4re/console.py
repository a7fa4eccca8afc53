# SPDX-License-Identifier: GPL-2.0-only
"""A serial console of L4Re, taken apart into one clean stream of bytes per program. Pure.

Fiasco ends lines with CR LF. Programs that ned starts print through moe's log (l4re-core,
moe/server/src/log.cc), which works like this. Each write starts with the client's colour (or a
reset, when it has none). A write that begins a raw line puts the client's tag, cut or padded to
eight columns, and `| ` in front, or `: ` when it goes on with a line of its own that another client
has cut. A cut is a line feed that is none of the client's: it comes after the other client's
colour, and the other's tag follows it at once. A line feed of a coloured client comes after a
reset. What is printed past that log (the kernel, moe, programs that moe starts) has no tag.
"""

from __future__ import annotations

import re
from typing import NamedTuple

from lkltest.tap.patterns import COLOUR, ESCAPE

TAG_COLUMNS = 8
_PARTIAL_LIMIT = 1 << 16
"""Bytes of one raw line that are held back; a longer line is handed out in parts."""

_ESCAPE = re.compile(ESCAPE)

_BROKEN = re.compile(rb"\x1b(?:\[[0-?]*[ -/]*|[\]PX^_][^\x07\x1b\n]*|[ -/]*)")
"""The remains of an escape that does not end properly before the end of its line."""

_RESET = re.compile(rb"\x1b\[[0;]*m")
_COLOUR = re.compile(COLOUR)
_USUAL = re.compile(rb"\x1b\[(?![0;]*m)[0-9;]+m([^\x1b\r]{8})\| ([^\x1b\r]*)\x1b\[0m\r*")
"""A whole line that a coloured client has written at once: tag, text."""

_LEADING = re.compile(b"(?:" + COLOUR + b")+")
_TRAILING = re.compile(b"(?:" + COLOUR + rb")+\Z")


class Piece(NamedTuple):
    """Bytes of one stream; `tag` is as printed, without padding, None for what had none."""

    tag: bytes | None
    data: bytes


def strip_escapes(line: bytes) -> bytes:
    """Remove escapes, whole and broken ones, from a line that is complete."""
    if b"\x1b" not in line:
        return line
    line = _ESCAPE.sub(b"", line)
    return _BROKEN.sub(b"", line) if b"\x1b" in line else line


class ConsoleReader:
    """Takes raw bytes in whatever portions they arrive; gives the pieces of the streams.

    Any portioning gives the same streams. Text that looks like a tag is taken for one where an
    escape stands before it, as moe's log writes it; or anywhere, in a console that holds no escape
    at all because something has removed them.

    Args:
        tags: False leaves every line in the one stream without a tag (another system's console).
    """

    def __init__(self, *, tags: bool = True) -> None:
        self._tags = tags
        self._partial = b""
        self._known: set[bytes] = set()
        self._escapes_seen = False
        self._cut_by: bytes | None = None  # the colour before the cut that ended the last raw line
        self._inside: bytes | None = None  # whose raw line is handed out in parts
        self._in_parts = False
        self._maybe: bytes | None = None  # whose line feed the next raw line shows to be a cut
        self._waiting: dict[bytes, None] = {}  # the same, until the tag comes again

    @property
    def partial(self) -> bytes:
        """The visible text of the raw line that has not ended, such as a prompt."""
        return strip_escapes(self._partial[-_PARTIAL_LIMIT:]).replace(b"\r", b"")

    def feed(self, data: bytes) -> list[Piece]:
        """Take the next raw bytes; return what they complete, in order."""
        *lines, rest = (self._partial + data).split(b"\n")
        pieces: list[Piece] = []
        for line in lines:
            self._line(line, pieces)
        self._partial = rest
        if self._maybe is not None and rest.startswith(b"\x1b"):
            self._settle(pieces)
        if len(rest) > _PARTIAL_LIMIT:
            self._hand_out_part(pieces)
        return _joined(pieces)

    def flush(self) -> list[Piece]:
        """Return the line feeds that are held back because they might be cuts.

        For when nothing has come for a while: what is held back might be the end of everything.
        """
        pieces: list[Piece] = []
        self._settle(pieces)
        pieces += [Piece(tag.rstrip(b" "), b"\n") for tag in self._waiting]
        self._waiting.clear()
        return pieces

    def close(self) -> list[Piece]:
        """Return what is left, a last line without its end included."""
        pieces: list[Piece] = []
        if self._partial:
            line, self._partial = self._partial, b""
            self._line(line, pieces, ended=False)
        return [*pieces, *self.flush()]

    def _line(self, raw: bytes, pieces: list[Piece], *, ended: bool = True) -> None:
        """Take a raw line without its line feed; `ended` says whether there was one."""
        if self._is_quiet and ended:
            usual = _USUAL.fullmatch(raw)
            if usual is not None:
                self._escapes_seen = True
                self._known.add(usual[1])
                pieces.append(Piece(usual[1].rstrip(b" "), usual[2] + b"\n"))
                return
        if b"\r" in raw:
            raw = raw.replace(b"\r", b"")
        escaped = b"\x1b" in raw
        text = strip_escapes(raw) if escaped else raw
        colour, self._cut_by = self._cut_by, None
        going_on = self._in_parts
        tag = self._inside if going_on else self._tag(raw, text, colour)
        if self._maybe is not None:
            self._settle(pieces, real=tag is None or raw.startswith(b"\x1b"))
        self._escapes_seen = self._escapes_seen or escaped
        self._in_parts = False
        if tag is not None:
            if not going_on:
                text = self._without_tag(text, tag, pieces)
            ended = ended and self._ends_for_real(raw, tag, colour)
            tag = tag.rstrip(b" ")
        if text or ended:
            pieces.append(Piece(tag, text + b"\n" if ended else text))

    @property
    def _is_quiet(self) -> bool:
        """Whether nothing is open that the next line could be about."""
        nothing = self._maybe is None and self._cut_by is None and not self._in_parts
        return nothing and self._tags and not self._waiting

    def _without_tag(self, text: bytes, tag: bytes, pieces: list[Piece]) -> bytes:
        if tag in self._waiting:
            del self._waiting[tag]
            if text[TAG_COLUMNS : TAG_COLUMNS + 1] != b":":
                pieces.append(Piece(tag.rstrip(b" "), b"\n"))
        return text[TAG_COLUMNS + 2 :]

    def _tag(self, raw: bytes, text: bytes, colour: bytes | None) -> bytes | None:
        """The tag of a raw line, padded as it is printed; None when it has none."""
        separator = text[TAG_COLUMNS : TAG_COLUMNS + 2]
        if separator not in (b"| ", b": ") or not self._tags:
            return None
        tag = text[:TAG_COLUMNS]
        if separator == b": " and tag not in self._known:
            return None  # `Ned says: Hi World!`
        shown_by_escape = raw.startswith(b"\x1b") or colour is not None or self._maybe is not None
        if not shown_by_escape and self._escapes_seen:
            return None
        self._known.add(tag)
        return tag

    def _ends_for_real(self, raw: bytes, tag: bytes, colour: bytes | None) -> bool:
        """Whether the line feed after a tagged line is its own; False also while it is not clear.

        `colour` is what was printed before the line's start when a cut came before it.
        """
        if not self._escapes_seen:
            self._waiting[tag] = None
            return False
        trailing = _TRAILING.search(raw)
        if trailing is None:
            return True
        *before, last = _COLOUR.findall(raw)
        previous = before[-1] if before else colour
        if _shows(last):
            self._cut_by = last
            return False
        if _shows(previous):
            return True
        if _shows(_own_colour(raw) or colour):
            self._cut_by = last  # a coloured client's own line feed comes after its reset
            return False
        self._maybe = tag
        return False

    def _settle(self, pieces: list[Piece], *, real: bool = True) -> None:
        """The line feed that might have been a cut was `real`, or was not."""
        if self._maybe is not None and real:
            pieces.append(Piece(self._maybe.rstrip(b" "), b"\n"))
        self._maybe = None

    def _hand_out_part(self, pieces: list[Piece]) -> None:
        """Hand out an endless line as far as it holds no unfinished escape."""
        cut = self._partial.rfind(b"\x1b", -256)
        end = cut if cut > 0 else len(self._partial)
        part, self._partial = self._partial[:end], self._partial[end:]
        if not self._in_parts:
            self._inside = self._tag(part, strip_escapes(part), self._cut_by)
        self._line(part, pieces, ended=False)
        self._in_parts = True


def _own_colour(raw: bytes) -> bytes | None:
    """The colour in front of a raw line's first text, the client's own."""
    leading = _LEADING.match(raw)
    return _COLOUR.findall(leading.group())[-1] if leading else None


def _shows(colour: bytes | None) -> bool:
    """Whether an escape sets a colour, and is not a reset."""
    return colour is not None and not _RESET.fullmatch(colour)


def _joined(pieces: list[Piece]) -> list[Piece]:
    """Join neighbours of one stream: one piece for many lines is what is cheap later."""
    joined: list[Piece] = []
    run: list[bytes] = []
    tag: bytes | None = None
    for piece in pieces:
        if run and piece.tag != tag:
            joined.append(Piece(tag, b"".join(run)))
            run.clear()
        tag = piece.tag
        run.append(piece.data)
    if run:
        joined.append(Piece(tag, b"".join(run)))
    return joined
