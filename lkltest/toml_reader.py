# SPDX-License-Identifier: GPL-2.0-only
"""Reads a TOML file of ours: whatever is wrong with it is one line with file, line and column."""

from __future__ import annotations

import difflib
import re
import tomllib
from collections.abc import Collection, Iterator
from dataclasses import dataclass, field
from datetime import date
from functools import cached_property
from pathlib import Path
from typing import Any

from lkltest.errors import LkltestError
from lkltest.nightly import toml_position

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
    path: toml_position.Path = ()
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
        return toml_position.line_and_column(self.text, found[path])

    @cached_property
    def _positions(self) -> dict[toml_position.Path, int]:
        return toml_position.positions(self.text)

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

    def seconds(self, key: str, default: float | None) -> float | None:
        """A number of seconds, above 0 and below a million."""
        value = self._get(key, default, (int, float), "a number of seconds")
        if value is None:
            return None
        if isinstance(value, bool) or not 0 < value <= 1_000_000:
            raise self.error(f"{key}: {value} is no number of seconds to wait", key)
        return float(value)

    def count(self, key: str, default: int | None) -> int | None:
        """A whole number above 0."""
        value = self._get(key, default, int, "a whole number")
        if value is not None and (isinstance(value, bool) or not 0 < value <= 10_000):
            raise self.error(f"{key}: {value} is no number of times", key)
        return value if value is None else int(value)

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


def unknown(what: str, name: str, known: Collection[str]) -> str:
    """`unknown host 'wnie'; did you mean 'wine'? There are: native, wine`."""
    close = difflib.get_close_matches(name, known, 1)
    hint = f"; did you mean {close[0]!r}?" if close else ";"
    return f"unknown {what} {name!r}{hint} there are: {', '.join(sorted(known)) or 'none'}"


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
        where = toml_position.line_and_column(before, len(before))
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
        line, column = (
            (int(match[1]), int(match[2]))
            if match
            else toml_position.line_and_column(text, len(text))
        )
        said = _AT.sub("", message).removesuffix(_AT_END)
        raise ConfigError(f"{file}:{line}:{column}: {said}") from None
    except RecursionError:
        raise ConfigError(f"{file}:1:1: is nested too deeply") from None
