# SPDX-License-Identifier: GPL-2.0-only
"""Text for people and their files: made harmless, made short, and figures in words. Pure.

Characters that XML 1.0 cannot hold at all (most control characters, U+FFFE, U+FFFF, lone
surrogates), those it discourages (U+007F to U+009F, the noncharacters) and direction marks, with
which a line can be made to look like another one, are shown as Python would: `\\x1b`. What is fit
for XML cannot drive a terminal either.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_NONCHARACTERS = "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
_MARKS = "\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNFIT = re.compile(
    f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_MARKS}\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]"
)
_PLAIN = bytes((9, 10, *range(32, 127)))


def printable(text: str) -> str:
    """`text` with all that drives a terminal, that XML cannot hold or that misleads, escaped."""
    # Both tests are quick ways to "nothing to do": for a name, and for a kernel's log.
    if text.isprintable() or (text.isascii() and not text.encode().translate(None, _PLAIN)):
        return text
    return _UNFIT.sub(_escape, text)


def printable_line(text: str) -> str:
    """As `printable`, with newlines and tabs escaped, too: for one line, or an XML attribute."""
    if text.isprintable():
        return text
    return printable(text).replace("\n", "\\n").replace("\t", "\\t")


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if 0xDC80 <= code <= 0xDCFF:  # a byte of a file name that is not UTF-8 (PEP 383)
        code -= 0xDC00
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"


def shortened(text: str, limit: int) -> str:
    """`text`, or as much of it as `limit` characters hold, `...` included."""
    return text if len(text) <= limit else text[: limit - 3] + "..."


def head_and_tail(text: str, limit: int) -> str:
    """`text`, or the first quarter and the end of `limit` characters of it, with what was cut."""
    cut = len(text) - limit
    if cut <= 0:
        return text
    head = limit // 4
    return f"{text[:head]}\n[... {cut} characters cut ...]\n{text[head + cut :]}"


def plural(count: int, word: str) -> str:
    """`1 point`, `2 points`."""
    return f"{count} {word}" if count == 1 else f"{count} {word}s"


def duration(seconds: float) -> str:
    """`3.2 s`, `40 s`, `5 min`, `2 min 5 s`, `1 h 3 min`."""
    if seconds < 60:
        return f"{seconds:.1f} s" if seconds < 10 else f"{seconds:.0f} s"
    minutes, rest = divmod(round(seconds), 60)
    if minutes < 60:
        return f"{minutes} min {rest} s" if rest else f"{minutes} min"
    return f"{minutes // 60} h {minutes % 60} min"


def unknown(what: str, name: str, known: Iterable[str]) -> str:
    """`unknown host 'wnie'; did you mean 'wine'? there are: native, wine`."""
    import difflib  # which takes longer to load than all else that a start needs of this module

    names = sorted(set(known))
    close = difflib.get_close_matches(name, names, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"unknown {what} {name!r}{hint} there are: {', '.join(names) or 'none'}"
