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

from collections.abc import Iterator
from dataclasses import dataclass
from importlib.metadata import entry_points
from importlib.util import find_spec
from pathlib import Path

from lkltest import toml_reader
from lkltest.errors import SetupError
from lkltest.toml_reader import ConfigError, Section

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
    """The needs of a host: `packages` to run programs, `steps` to make its default build."""

    name: str
    about: str = ""
    default: bool = False
    packages: tuple[Package, ...] = ()
    steps: tuple[Step, ...] = ()


def recipe_names() -> list[str]:
    """The hosts that have a recipe."""
    return sorted(name for name, path in _files().items() if not _is(path, "part"))


def default_names() -> list[str]:
    """The hosts whose build is made when none is named."""
    return sorted(name for name, path in _files().items() if _is(path, "default"))


def _is(path: Path, flag: str) -> bool:
    try:
        return toml_reader.read(path).flag(flag)
    except ConfigError:  # it is told when this recipe is asked for
        return False


def find_recipe(name: str) -> Recipe:
    """The recipe of host `name`, or in the TOML file `name`. Raises SetupError."""
    path = Path(name) if name.endswith(".toml") else _files().get(name)
    if path is None or not path.is_file():
        known = ", ".join(recipe_names())
        raise SetupError(f"no recipe for a host {name}: there are {known}")
    try:
        return _combine(path)
    except ConfigError as error:
        raise SetupError(str(error)) from None


def _combine(path: Path) -> Recipe:
    """The recipe in a file, with those that it includes; what comes twice counts once."""
    packages: dict[Package, None] = {}
    steps: dict[Step, None] = {}
    table = toml_reader.read(path)
    for number, name in enumerate(table.strings("includes")):
        file = path.with_name(f"{name}.toml")
        if not file.is_file():
            raise table.error(f"includes {name}, which is not there: {file}", "includes", number)
        included = _combine(file)
        packages.update(dict.fromkeys(included.packages))
        steps.update(dict.fromkeys(included.steps))
    sizes = table.table("megabytes")
    packages.update(dict.fromkeys(_packages(table, sizes)))
    steps.update(dict.fromkeys(_step(entry, sizes) for entry in table.tables("steps")))
    table.flag("part")
    recipe = Recipe(
        path.stem, table.string("about", ""), table.flag("default"), tuple(packages), tuple(steps)
    )
    table.finish()
    return recipe


def _packages(table: Section, sizes: Section) -> Iterator[Package]:
    for probe, name in table.words("packages").items():
        yield Package(probe, name, sizes.amount(name, 1))


def _step(table: Section, sizes: Section) -> Step:
    step = Step(
        table.string("name"),
        table.file.parent / table.string("makefile"),
        table.string("target"),
        tuple(_packages(table, sizes)),
        table.string("unless", ""),
        table.amount("seconds"),
        table.amount("processor_seconds"),
        table.amount("megabytes"),
    )
    table.finish()
    return step


def _files() -> dict[str, Path]:
    """Each recipe's file by its name; hosts of somebody's own may replace one."""
    found = {path.stem: path for path in sorted(_FOLDER.glob("*.toml"))}
    for point in entry_points(group=ENTRY_POINT_GROUP):
        spec = find_spec(point.value)
        for folder in (spec.submodule_search_locations or ()) if spec else ():
            found.update({path.stem: path for path in sorted(Path(folder).glob("*.toml"))})
    return found
