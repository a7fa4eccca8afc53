# SPDX-License-Identifier: GPL-2.0-only
"""Dataclasses as plain JSON types, and back: of fields' types, not of code for each class. Pure.

    to_plain(Problem(ProblemKind.BUG, "x"))  == {"kind": "kernel BUG", "reason": "x", ...}
    from_plain(Problem, {"kind": ...})       == Problem(ProblemKind.BUG, "x")

Fields are str, int, float, bool, Path, enumerations, dataclasses, `tuple[X, ...]`, mappings from
str, and each of them or None.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import fields, is_dataclass
from enum import Enum
from functools import cache, partial
from pathlib import Path
from types import NoneType
from typing import Any, NamedTuple, TypeVar, cast, get_args, get_origin, get_type_hints

Kind = TypeVar("Kind")
_Convert = Callable[[Any], Any] | None  # None: it is plain already


class _Converter(NamedTuple):
    encode: _Convert = None
    decode: _Convert = None


def to_plain(value: Any) -> dict[str, Any]:
    """The fields of a dataclass by their names."""
    plain = {}
    kind: Any = type(value)
    for name, converter in _converters(kind):
        part = getattr(value, name)
        plain[name] = part if converter.encode is None else converter.encode(part)
    return plain


def from_plain(kind: type[Kind], data: Mapping[str, Any]) -> Kind:
    """Build a `kind` from what `to_plain` returned, as itself or after a trip through JSON.

    Missing fields have their defaults. Raises KeyError, TypeError or ValueError for anything else.
    """
    values, wanted = dict(data), cast(Any, kind)
    for name, converter in _converters(wanted):
        if converter.decode is not None and name in values:
            values[name] = converter.decode(values[name])
    return kind(**values)


@cache
def _converters(kind: Any) -> tuple[tuple[str, _Converter], ...]:
    hints = get_type_hints(kind)
    return tuple((item.name, _converter(hints[item.name])) for item in fields(kind))


def _converter(hint: Any) -> _Converter:
    arguments = get_args(hint)
    if get_origin(hint) is tuple:
        inner = _converter(arguments[0])
        return _Converter(partial(_each, list, inner.encode), partial(_each, tuple, inner.decode))
    if NoneType in arguments:
        inner = _converter(arguments[0])
        return _Converter(*(convert and partial(_unless_none, convert) for convert in inner))
    if isinstance(hint, type) and is_dataclass(hint):
        return _Converter(to_plain, partial(from_plain, hint))
    if get_origin(hint) is not None and issubclass(get_origin(hint), Mapping):
        inner = _converter(arguments[1])
        return _Converter(*(partial(_values, convert) for convert in inner))
    if isinstance(hint, type) and issubclass(hint, Enum):
        return _Converter(_value, hint)
    return _Converter(str, Path) if hint is Path else _Converter()


def _each(kind: type, convert: _Convert, values: Any) -> Any:
    return kind(values) if convert is None else kind([convert(value) for value in values])


def _values(convert: _Convert, values: Mapping[str, Any]) -> dict[str, Any]:
    if convert is None:
        return dict(values)
    return {name: convert(value) for name, value in values.items()}


def _unless_none(convert: Callable[[Any], Any], value: Any) -> Any:
    return None if value is None else convert(value)


def _value(member: Any) -> Any:
    return member.value if isinstance(member, Enum) else member  # a StrEnum may come as a str
