# SPDX-License-Identifier: GPL-2.0-only
"""Recipes: what a host needs and how its default build is made, as data (TOML files).

They lie beside the hosts, in `lkltest/hosts/setup/NAME.toml`; a package of somebody's own brings
its own through an entry point of the group `lkltest.recipes` that names a package with such files.

    about = "Linux as a library"     # what the build is, for people
    default = true                   # made when no host is named
    includes = ["tools"]             # other recipes of the folder that belong to it
    part = true                      # only ever included: no host has this name

    [packages]                       # to run programs: command, /file or python:module = package
    gdb = "gdb"

    [megabytes]                      # what a package and what it depends on take of the disk
    gdb = 40

    [[steps]]                        # to make the build: targets of a makefile beside the recipe
    name = "building the kernel"
    makefile = "bundled.mk"
    target = "kernel"
    packages = { bc = "bc" }         # what this step needs, unless the variable `unless` is set
    seconds = 5                      # about, and of one processor: processor_seconds = 300
    megabytes = 600                  # of the disk
"""

from __future__ import annotations

import tomllib
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from lkltest.errors import SetupError

ENTRY_POINT_GROUP = "lkltest.recipes"

_FOLDER = Path(__file__).parent.parent / "hosts" / "setup"


@dataclass(frozen=True, slots=True)
class Package:
    """A Debian package, and `probe`, what is missing when it is: a command, a file, a module.

    Asking for the command rather than for the package leaves alone what came another way.
    """

    probe: str
    name: str
    megabytes: float = 1


@dataclass(frozen=True, slots=True)
class Step:
    """One target of a makefile, which is done when make has nothing to do for it."""

    name: str
    makefile: Path
    target: str
    packages: tuple[Package, ...] = ()
    unless: str = ""
    seconds: float = 0
    processor_seconds: float = 0
    megabytes: float = 0


@dataclass(frozen=True, slots=True)
class Recipe:
    """What a host needs: `packages` to run programs, `steps` to make its default build."""

    name: str
    about: str = ""
    default: bool = False
    packages: tuple[Package, ...] = ()
    steps: tuple[Step, ...] = ()


@dataclass(frozen=True, slots=True)
class _File:
    """One TOML file, as it stands."""

    path: Path
    data: Mapping[str, Any] = field(repr=False)

    @property
    def part(self) -> bool:
        return bool(self.data.get("part"))

    def packages(self, pairs: Mapping[str, str]) -> tuple[Package, ...]:
        sizes = self.data.get("megabytes", {})
        return tuple(Package(probe, name, sizes.get(name, 1)) for probe, name in pairs.items())

    def steps(self) -> Iterator[Step]:
        for entry in self.data.get("steps", ()):
            settings = dict(entry)
            settings["makefile"] = self.path.parent / settings["makefile"]
            settings["packages"] = self.packages(settings.get("packages", {}))
            yield Step(**settings)


def recipe_names() -> list[str]:
    """The hosts that have a recipe."""
    return sorted(name for name, path in _files().items() if not _read(path).part)


def default_names() -> list[str]:
    """The hosts whose build is made when none is named."""
    return [name for name in recipe_names() if find_recipe(name).default]


def find_recipe(name: str) -> Recipe:
    """The recipe of host `name`, or in the TOML file `name`. Raises SetupError."""
    path = Path(name) if name.endswith(".toml") else _files().get(name)
    if path is None or not path.is_file():
        known = ", ".join(recipe_names())
        raise SetupError(f"no recipe for a host {name}: there are {known}")
    try:
        return _combine(path)
    except (ValueError, TypeError, KeyError) as error:
        raise SetupError(f"{path}: {error}") from None


def _combine(path: Path) -> Recipe:
    """The recipe in a file, with those that it includes; what comes twice counts once."""
    packages: dict[Package, None] = {}
    steps: dict[Step, None] = {}
    file = _read(path)
    for name in file.data.get("includes", ()):
        included = _combine(path.with_name(f"{name}.toml"))
        packages.update(dict.fromkeys(included.packages))
        steps.update(dict.fromkeys(included.steps))
    packages.update(dict.fromkeys(file.packages(file.data.get("packages", {}))))
    steps.update(dict.fromkeys(file.steps()))
    return Recipe(
        path.stem,
        file.data.get("about", ""),
        bool(file.data.get("default")),
        tuple(packages),
        tuple(steps),
    )


def _files() -> dict[str, Path]:
    """Each recipe's file by its name; hosts of somebody's own may replace one."""
    found = {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        spec = find_spec(point.value)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            found.update({path.stem: path for path in sorted(Path(folder).glob("*.toml"))})
    return found


def _read(path: Path) -> _File:
    try:
        return _File(path, tomllib.loads(path.read_text(encoding="utf-8")))
    except (OSError, tomllib.TOMLDecodeError) as error:
        raise SetupError(f"{path}: {error}") from None
