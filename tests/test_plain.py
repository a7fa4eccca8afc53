# SPDX-License-Identifier: GPL-2.0-only
"""Dataclasses as plain JSON types, and back."""

import json
from collections.abc import Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path

import pytest

from lkltest.plain import from_plain, to_plain


class Colour(StrEnum):
    RED = "red"


@dataclass(frozen=True, slots=True)
class Leaf:
    colour: Colour
    place: Path | None = None


@dataclass(frozen=True, slots=True)
class Tree:
    name: str
    leaves: tuple[Leaf, ...] = ()
    trees: tuple["Tree", ...] = ()
    colours: Mapping[str, Colour] = field(default_factory=dict)
    words: tuple[str, ...] = ()
    best: Leaf | None = None


TREE = Tree("a", (Leaf(Colour.RED, Path("/x")),), (Tree("b"),), {"c": Colour.RED}, ("d",))


def test_every_kind_of_field_makes_the_trip() -> None:
    assert from_plain(Tree, json.loads(json.dumps(to_plain(TREE)))) == TREE


def test_nothing_but_plain_types_is_left() -> None:
    # execnet, which carries results between xdist's processes, takes no subclasses of them.
    plain = to_plain(TREE)
    assert plain["leaves"] == [{"colour": "red", "place": "/x"}]
    assert type(plain["colours"]["c"]) is str and type(plain["words"]) is list


def test_what_is_missing_has_its_default() -> None:
    assert from_plain(Tree, {"name": "a"}) == Tree("a")


@pytest.mark.parametrize(
    ("data", "error"),
    [
        ({}, TypeError),
        ({"name": "a", "shape": "round"}, TypeError),
        ({"name": "a", "best": {"colour": "blue"}}, ValueError),
    ],
)
def test_anything_else_is_an_error(data: dict[str, object], error: type[Exception]) -> None:
    with pytest.raises(error):
        from_plain(Tree, data)
