# SPDX-License-Identifier: GPL-2.0-only
"""Where in a TOML text each key and value stands, which tomllib does not tell. Pure.

Only for texts that tomllib has read, so that nothing has to be checked here (toml.io, v1.0.0).
"""

from __future__ import annotations

import re
import tomllib

Path = tuple[str | int, ...]
"""`("matrix", "hosts", 1)`: the second element of `hosts` in `[matrix]`."""

_BLANK = re.compile(r"(?:[ \t\r\n]|#[^\n]*)*")
_KEY = re.compile(r"""[A-Za-z0-9_-]+|"(?:[^"\\]|\\.)*"|'[^']*'""")
_STRING = re.compile(
    r'''"""(?:[^\\]|\\.)*?"{3,5}|\'\'\'.*?'{3,5}|"(?:[^"\\\n]|\\.)*"|'[^'\n]*\'''', re.DOTALL
)
_OTHER = re.compile(r"[^,\]}\n#]*")


def line_and_column(text: str, offset: int) -> tuple[int, int]:
    """Return line and column, both from 1, of a character."""
    return text.count("\n", 0, offset) + 1, offset - text.rfind("\n", 0, offset)


def positions(text: str) -> dict[Path, int]:
    """Return the offset of every value, and under `(..., key, "=")` of every key."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.found


class _Scanner:
    def __init__(self, text: str) -> None:
        self.found: dict[Path, int] = {(): 0}
        self._text = text
        self._at = 0
        self._tables: dict[Path, int] = {}  # how many elements an array of tables has so far

    def document(self) -> None:
        table: Path = ()
        while self._skip_blank():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> Path:
        start, array = self._at, self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        path: Path = ()
        for word in (words := self._keys())[:-1]:
            path = self._element((*path, word))
        path = (*path, words[-1])
        if array:
            self._tables[path] = self._tables.get(path, -1) + 1
            self.found.setdefault(path, start)
            path = self._element(path)
        self._at += 2 if array else 1
        self.found.setdefault(path, start)
        self.found.setdefault((*path, "="), start)
        return path

    def _element(self, path: Path) -> Path:
        """An array of tables is entered at its last element."""
        return (*path, self._tables[path]) if path in self._tables else path

    def _keys(self) -> list[str]:
        words = []
        while True:
            self._skip_blank()
            match = _KEY.match(self._text, self._at)
            assert match is not None  # noqa: S101 - tomllib has read it
            self._at = match.end()
            words.append(_plain(match[0]))
            self._skip_blank()
            if not self._text.startswith(".", self._at):
                return words
            self._at += 1

    def _pair(self, table: Path) -> None:
        start = self._at
        path = (*table, *self._keys())
        for length in range(len(table) + 1, len(path) + 1):
            self.found.setdefault((*path[:length], "="), start)
            self.found.setdefault(path[:length], start)
        self._at += 1  # the equals sign
        self._skip_blank()
        self._value(path)

    def _value(self, path: Path) -> None:
        self.found[path] = self._at
        character = self._text[self._at]
        if character in "[{":
            self._at += 1
            self._elements(path, "]" if character == "[" else "}")
            return
        match = (_STRING if character in "\"'" else _OTHER).match(self._text, self._at)
        assert match is not None  # noqa: S101
        self._at = match.end()

    def _elements(self, path: Path, end: str) -> None:
        number = 0
        while self._skip_blank() and self._text[self._at] != end:
            if self._text[self._at] == ",":
                self._at += 1
                number += 1
            elif end == "]":
                self._value((*path, number))
            else:
                self._pair(path)
        self._at += 1

    def _skip_blank(self) -> bool:
        match = _BLANK.match(self._text, self._at)
        assert match is not None  # noqa: S101
        self._at = match.end()
        return self._at < len(self._text)


def _plain(key: str) -> str:
    return next(iter(tomllib.loads(f"{key} = 0"))) if key[0] in "\"'" else key
