# SPDX-License-Identifier: GPL-2.0-only
"""Text that is safe in XML 1.0, whatever a console printed. Pure.

Characters that XML cannot hold at all (most control characters, U+FFFE, U+FFFF, lone surrogates)
and those it discourages (U+007F to U+009F, the noncharacters) are shown as Python would: `\\x1b`.
So are direction marks, with which a line can be made to look like another one.
"""

from __future__ import annotations

import re

_NONCHARACTERS = "".join(
    f"{chr(plane + 0xFFFE)}{chr(plane + 0xFFFF)}" for plane in range(0, 0x110000, 0x10000)
)
_MARKS = "\u200e\u200f\u202a-\u202e\u2066-\u2069"
_UNFIT = re.compile(
    f"[\x00-\x08\x0b-\x1f\x7f-\x9f{_MARKS}\ud800-\udfff\ufdd0-\ufdef{_NONCHARACTERS}]"
)
_PLAIN = bytes((9, 10, *range(32, 127)))


def visible(text: str) -> str:
    """Return `text` with all that XML cannot hold or that misleads a reader shown as escapes."""
    # Both tests are quick ways to "nothing to do": for a name, and for a kernel's log.
    if text.isprintable() or (text.isascii() and not text.encode().translate(None, _PLAIN)):
        return text
    return _UNFIT.sub(_escape, text)


def visible_line(text: str) -> str:
    """Return `text` for an attribute, where XML would turn newlines and tabs into spaces."""
    if text.isprintable():
        return text
    return visible(text).replace("\n", "\\n").replace("\t", "\\t")


def escaped(text: str) -> str:
    """Return `text`, which is visible already, as the content of an element."""
    # Looking is cheaper than replacing nothing, and much cheaper than one pattern for all three.
    if "&" in text:
        text = text.replace("&", "&amp;")
    if "<" in text:
        text = text.replace("<", "&lt;")
    return text.replace(">", "&gt;") if ">" in text else text


def quoted(text: str) -> str:
    """Return `text`, which is a visible line already, as the value of an attribute in `"`."""
    text = escaped(text)
    return text.replace('"', "&quot;") if '"' in text else text


def _escape(match: re.Match[str]) -> str:
    code = ord(match[0])
    if code > 0xFFFF:
        return f"\\U{code:08x}"
    return f"\\u{code:04x}" if code > 0xFF else f"\\x{code:02x}"
