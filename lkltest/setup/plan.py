# SPDX-License-Identifier: GPL-2.0-only
"""A plan: what is missing of some recipes, what it costs, and its doing."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path

from lkltest.errors import SetupError
from lkltest.text import plural, printable_line

from .diagnosis import FULL_DISK, diagnose
from .packages import Apt, install_command, missing
from .place import has_room, prepare
from .recipe import Package, Recipe, Step
from .step import run_step

_SECONDS_PER_MEGABYTE = 0.2
"""The time for installing packages, fetching included, on a machine of 2026; a rule of thumb."""

_NOT_HANDED_DOWN = ("MAKEFLAGS", "MAKELEVEL", "MFLAGS", "MAKEOVERRIDES", "BUILD")
"""Variables in which a make above this process tells its own options and targets."""


@dataclass(frozen=True, slots=True)
class Plan:
    """The work for some hosts: `packages` to install, then `steps` to make.

    What only `wished` recipes need may fail: somebody else says then what it costs.
    """

    place: Path
    hosts: tuple[str, ...]
    packages: tuple[Package, ...]
    steps: tuple[Step, ...]
    wished_packages: tuple[Package, ...] = ()
    wished_steps: tuple[Step, ...] = ()

    @classmethod
    def of(cls, wanted: Sequence[Recipe], wished: Sequence[Recipe], place: Path) -> Plan:
        """The plan for some recipes: what they need and what is not there."""
        wanted_steps, packages = _missing_of(wanted, place)
        wished_steps, wished_packages = _missing_of(wished, place)
        return cls(
            place,
            tuple(recipe.name for recipe in wanted if recipe.about),
            packages,
            wanted_steps,
            tuple(package for package in wished_packages if package not in packages),
            tuple(step for step in wished_steps if step not in wanted_steps),
        )

    def is_empty(self) -> bool:
        return not (self._all_packages() or self.steps or self.wished_steps)

    def lines(self) -> list[str]:
        """The plan for people: what will be done, how much that is, about how long it takes."""
        packages, steps = self._all_packages(), [*self.steps, *self.wished_steps]
        lines = [f"Setting up {', '.join(self.hosts) or 'lkltest'} in {self.place}:"]
        if packages:
            names = " ".join(package.name for package in packages)
            size = sum(package.megabytes for package in packages)
            lines.append(f"  packages, about {size:.0f} MB: {names}")
        lines += [f"  {step.name}" for step in steps]
        megabytes = sum(part.megabytes for part in packages)
        megabytes += sum(step.megabytes for step in steps)
        seconds = sum(_seconds(step) for step in steps)
        seconds += _SECONDS_PER_MEGABYTE * sum(package.megabytes for package in packages)
        minutes = max(1, round(seconds / 60))
        lines.append(f"About {plural(minutes, 'minute')} and {_size(megabytes)} of disk.")
        return lines

    def check_space(self) -> None:
        """Refuse what does not fit on the disk. Raises SetupError."""
        prepare(self.place, sum(step.megabytes for step in [*self.steps, *self.wished_steps]))
        wanted = sum(package.megabytes for package in self._all_packages())
        free = shutil.disk_usage("/usr").free / 1e6
        if free < wanted:
            raise SetupError(
                f"/usr: the disk has {free:.0f} MB left where packages need about {wanted:.0f}: "
                "free some of it and try again"
            )

    def install_packages(self, *, allowed: bool) -> None:
        """Install all packages in one round. Raises SetupError."""
        required = [package.name for package in self.packages]
        everything = [package.name for package in self._all_packages()]
        if not everything:
            return
        if not allowed:
            raise SetupError(
                f"packages are missing: {install_command(everything)} (or add --install)"
            )
        logs = self.place / "log"
        try:
            Apt.for_packages(everything, logs).install(everything)
        except SetupError as error:
            if not self.wished_packages:
                raise
            _echo_error(error)
            if required:
                Apt.for_packages(required, logs).install(required)

    def make_steps(self) -> None:
        """Make the steps. Raises SetupError when one that is wanted fails."""
        for step in self.steps:
            self._make(step)
        for step in self.wished_steps:
            if missing(_packages_of(step)):
                continue  # said already
            try:
                self._make(step)
            except SetupError as error:
                _echo_error(error)

    def _make(self, step: Step) -> None:
        log = self.place / "log" / f"{step.makefile.stem}-{step.target}.log"
        done = run_step(step.name, _make_command(step, self.place), log, environment=_environment())
        if done.status != 0:
            cause = diagnose(done.text if has_room(log) else FULL_DISK)
            raise SetupError(f"{step.name}: {cause}; all of it: {log}")

    def _all_packages(self) -> list[Package]:
        found = {package.name: package for package in [*self.packages, *self.wished_packages]}
        return [found[name] for name in sorted(found)]


def _missing_of(
    recipes: Sequence[Recipe], place: Path
) -> tuple[tuple[Step, ...], tuple[Package, ...]]:
    """The steps that are not done, and the packages that they and running programs lack."""
    every = dict.fromkeys(step for recipe in recipes for step in recipe.steps)
    to_do = tuple(step for step in every if not is_done(step, place))
    needed = [package for recipe in recipes for package in recipe.packages]
    needed += [package for step in to_do for package in _packages_of(step)]
    return to_do, tuple(missing(needed))


def _packages_of(step: Step) -> tuple[Package, ...]:
    return () if step.unless and os.environ.get(step.unless) else step.packages


def is_done(step: Step, place: Path) -> bool:
    """Whether make has nothing to do for a step (`make -q`)."""
    try:
        done = subprocess.run(
            [*_make_command(step, place), "-q"],
            env=_environment(),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            check=False,
        )
    except FileNotFoundError:
        return False
    return done.returncode == 0


def _make_command(step: Step, place: Path) -> list[str]:
    return [
        *("make", "-s", "--no-print-directory", "-f", str(step.makefile)),
        *(f"BUILD={place}", f"PYTHON={sys.executable}", step.target),
    ]


def _environment() -> dict[str, str]:
    kept = {name: value for name, value in os.environ.items() if name not in _NOT_HANDED_DOWN}
    return {**kept, "LC_ALL": "C"}


def _seconds(step: Step) -> float:
    return step.seconds + step.processor_seconds / (os.cpu_count() or 1)


def _size(megabytes: float) -> str:
    return f"{megabytes / 1000:.1f} GB" if megabytes >= 1000 else f"{megabytes:.0f} MB"


def _echo_error(error: SetupError) -> None:
    print(f"lkltest setup: {printable_line(str(error))}", file=sys.stderr, flush=True)
