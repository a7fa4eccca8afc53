# SPDX-License-Identifier: GPL-2.0-only
"""Reads a TOML file of ours: whatever is wrong with it is one line with file, line and column."""

from __future__ import annotations

import math
import re
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from lkltest.errors import LkltestError
from lkltest.text import unknown

KeyPath = tuple[str | int, ...]
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


def positions(text: str) -> dict[KeyPath, int]:
    """Return the offset of every value, and under `(..., key, "=")` of every key."""
    scanner = _Scanner(text)
    scanner.document()
    return scanner.found


class _Scanner:
    def __init__(self, text: str) -> None:
        self.found: dict[KeyPath, int] = {(): 0}
        self._text = text
        self._at = 0
        self._tables: dict[KeyPath, int] = {}  # how many elements an array of tables has so far

    def document(self) -> None:
        table: KeyPath = ()
        while self._skip_blank():
            if self._text[self._at] == "[":
                table = self._header()
            else:
                self._pair(table)

    def _header(self) -> KeyPath:
        start, array = self._at, self._text.startswith("[[", self._at)
        self._at += 2 if array else 1
        path: KeyPath = ()
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

    def _element(self, path: KeyPath) -> KeyPath:
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

    def _pair(self, table: KeyPath) -> None:
        start = self._at
        path = (*table, *self._keys())
        for length in range(len(table) + 1, len(path) + 1):
            self.found.setdefault((*path[:length], "="), start)
            self.found.setdefault(path[:length], start)
        self._at += 1  # the equals sign
        self._skip_blank()
        self._value(path)

    def _value(self, path: KeyPath) -> None:
        self.found[path] = self._at
        character = self._text[self._at]
        if character in "[{":
            self._at += 1
            self._elements(path, "]" if character == "[" else "}")
            return
        match = (_STRING if character in "\"'" else _OTHER).match(self._text, self._at)
        assert match is not None  # noqa: S101
        self._at = match.end()

    def _elements(self, path: KeyPath, end: str) -> None:
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


_AT = re.compile(r" \(at line (\d+), column (\d+)\)$")
_AT_END = " (at end of document)"


class ConfigError(LkltestError):
    """A file that cannot be used; the message is `FILE:LINE:COLUMN: what is wrong`."""


@dataclass(frozen=True)
class Section:
    """A table of the file; every getter raises ConfigError that points at the value."""

    file: Path
    text: str
    data: dict[str, Any]
    path: KeyPath = ()
    seen: set[str] = field(default_factory=set)

    def error(self, message: str, *keys: str | int) -> ConfigError:
        """The error that points at a value of this table; `"="` last points at its key."""
        line, column = self._where(*keys)
        return ConfigError(f"{self.file}:{line}:{column}: {message}")

    def line(self, *keys: str | int) -> int:
        """The line in which a value stands."""
        return self._where(*keys)[0]

    def _where(self, *keys: str | int) -> tuple[int, int]:
        path = (*self.path, *keys)
        found = self._positions
        while path not in found:
            path = path[:-1]
        return line_and_column(self.text, found[path])

    @cached_property
    def _positions(self) -> dict[KeyPath, int]:
        return positions(self.text)

    def table(self, key: str) -> Section:
        """A table within; an empty one where there is none."""
        return self._child(self._get(key, {}, dict, "a table"), key)

    def tables(self, key: str) -> Iterator[Section]:
        """The elements of an array of tables."""
        for number, data in enumerate(self._get(key, [], list, "an array of tables")):
            if not isinstance(data, dict):
                raise self.error(f"{key} must hold tables", key, number)
            yield self._child(data, key, number)

    def named_tables(self, key: str) -> Iterator[tuple[str, Section]]:
        """The tables in a table: `[builds.stable]`."""
        table = self.table(key)
        for name in table.data:
            yield name, table.table(name)

    def string(self, key: str, default: str | None = None) -> str:
        """A string; raises for a missing one without a default, and for an empty one."""
        value = self._get(key, default, str, "a string")
        if value is None:
            raise self.error(f"{key} is missing")
        if not value and default != "":
            raise self.error(f"{key} is empty", key)
        return str(value)

    def strings(self, key: str, default: Collection[str] = ()) -> list[str]:
        """An array of strings."""
        values: list[str] = self._get(key, list(default), list, "an array of strings")
        for number, value in enumerate(values):
            if not isinstance(value, str):
                raise self.error(f"{key} must hold strings", key, number)
        return values

    def seconds(self, key: str) -> float | None:
        """A number of seconds, above 0 and below a million; None where there is none.

        That is about eleven days: poll(2) counts milliseconds in 32 bits.
        """
        value = self._get(key, None, (int, float), "a number of seconds")
        if value is None:
            return None
        if isinstance(value, bool) or not 0 < value <= 1_000_000:
            raise self.error(f"{key}: {value} is no number of seconds to wait", key)
        return float(value)

    def count(self, key: str, limit: int = 10_000) -> int | None:
        """A whole number from 1 to `limit`, None where there is none."""
        value = self._get(key, None, int, "a whole number")
        if value is not None and (isinstance(value, bool) or not 0 < value <= limit):
            raise self.error(f"{key} must be a whole number from 1 to {limit}", key)
        return value if value is None else int(value)

    def amount(self, key: str, default: float = 0) -> float:
        """A number that is not negative."""
        value = self._get(key, default, (int, float), "a number")
        if isinstance(value, bool) or not 0 <= value < math.inf:
            raise self.error(f"{key} must be a number that is not negative", key)
        return float(value)

    def flag(self, key: str) -> bool:
        """`true` or `false`, which is the default."""
        return bool(self._get(key, False, bool, "true or false"))

    def words(self, key: str) -> dict[str, str]:
        """A table of strings, for an environment."""
        table = self.table(key)
        return {name: table.string(name, "") for name in table.data}

    def day(self, key: str) -> date | None:
        """A date (`2026-12-31`), None where there is none."""
        value: date | None = self._get(key, None, date, "a date such as 2026-12-31")
        return value

    def has(self, key: str) -> bool:
        return key in self.data

    def finish(self) -> None:
        """Raise for the first key that nobody has asked for."""
        for key in self.data:
            if key not in self.seen:
                raise self.error(unknown("key", key, self.seen), key, "=")

    def _child(self, data: dict[str, Any], *keys: str | int) -> Section:
        return Section(self.file, self.text, data, (*self.path, *keys))

    def _get(self, key: str, default: Any, kind: Any, words: str) -> Any:
        self.seen.add(key)
        if key not in self.data:
            return default
        value = self.data[key]
        if not isinstance(value, kind):
            raise self.error(f"{key} must be {words}", key)
        return value


def read(file: Path) -> Section:
    """Read a TOML file. Raises ConfigError."""
    try:
        data = file.read_bytes()
    except OSError as error:
        raise ConfigError(f"{file}: {error.strerror}") from None
    try:
        text = data.decode()
    except UnicodeDecodeError as error:
        before = data[: error.start].decode()
        where = line_and_column(before, len(before))
        raise ConfigError(f"{file}:{where[0]}:{where[1]}: is not UTF-8") from None
    return parse(file, text)


def parse(file: Path, text: str) -> Section:
    """Read a TOML text that stands in `file`. Raises ConfigError."""
    text = text.replace("\r\n", "\n")
    try:
        return Section(file, text, tomllib.loads(text))
    except tomllib.TOMLDecodeError as error:
        message = str(error)
        match = _AT.search(message)
        line, column = (int(match[1]), int(match[2])) if match else line_and_column(text, len(text))
        said = _AT.sub("", message).removesuffix(_AT_END)
        raise ConfigError(f"{file}:{line}:{column}: {said}") from None
    except RecursionError:
        raise ConfigError(f"{file}:1:1: is nested too deeply") from None
