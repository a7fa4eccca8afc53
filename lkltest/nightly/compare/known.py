# SPDX-License-Identifier: GPL-2.0-only
"""Known failures: a TOML file of result ids with a reason, a link and a date of expiry."""

from __future__ import annotations

import re
from collections.abc import Container, Mapping
from dataclasses import dataclass
from datetime import date
from pathlib import Path

from lkltest.nightly.model.ids import matches
from lkltest.nightly.model.rows import loose_problems, problem_name
from lkltest.toml_reader import read
from lkltest.verdict.results import Outcome, SuiteResult

_PATTERN = re.compile(
    r"(?P<title>[^@/#]+)@(?P<host>[^@/#]+)(#(?P<build>[^@/#]+))?/(?P<point>.+)", re.DOTALL
)


@dataclass(frozen=True, slots=True)
class KnownFailure:
    """One `[[known]]` table; `line` is where it stands.

    `pattern` is `suite[variant]@host#build/point` (without a build: all builds) in a shell's
    wildcards, where brackets stand for themselves. `(signal)` as the point is a problem of the run.
    """

    pattern: str
    reason: str
    link: str = ""
    expires: date | None = None
    line: int = 0
    slower: bool = False
    """Whether it is a slow-down that is known, and no failure."""

    @property
    def point(self) -> str:
        """The pattern of the point: `readdir`, `read*`."""
        return self._parts()["point"]

    def fits(self, point_id: str) -> bool:
        """Whether it is about the point `disk[ext4]@native#stable/readdir`."""
        cell, _, point = point_id.partition("/")
        return self.fits_cell(cell) and matches(self.point, point)

    def fits_cell(self, cell_id: str) -> bool:
        """Whether it is about points of the cell `disk[ext4]@native#stable`."""
        parts = self._parts()
        title, _, rest = cell_id.partition("@")
        host, _, build = rest.partition("#")
        titles = (title, title.partition("[")[0])  # `disk` is all variants of disk
        return (
            any(matches(parts["title"], name) for name in titles)
            and matches(parts["host"], host)
            and matches(parts["build"] or "*", build)
        )

    def expired(self, today: date) -> bool:
        """The day itself still counts."""
        return self.expires is not None and self.expires < today

    def text(self) -> str:
        """`reason (link)`."""
        return self.reason + (f" ({self.link})" if self.link else "")

    def _parts(self) -> Mapping[str, str]:
        match = _PATTERN.fullmatch(self.pattern)
        return match.groupdict() if match else {"title": "", "host": "", "build": "", "point": ""}


@dataclass(frozen=True, slots=True)
class Known:
    """All known failures, and the day that decides which have expired."""

    failures: tuple[KnownFailure, ...] = ()
    today: date = date.max

    def find(self, point_id: str) -> KnownFailure | None:
        """The first that is about this point and has not expired, else one that has, or None."""
        return self._first(point_id, slower=False)

    def slower(self, result_id: str) -> KnownFailure | None:
        """The first that knows a slow-down of this point or cell, and has not expired, or None."""
        found = self._first(result_id, slower=True)
        return None if found is None or found.expired(self.today) else found

    def _first(self, result_id: str, *, slower: bool) -> KnownFailure | None:
        found = [f for f in self.failures if f.slower is slower and f.fits(result_id)]
        alive = (failure for failure in found if not failure.expired(self.today))
        return next(alive, found[0] if found else None)

    def alive(self, point_id: str) -> KnownFailure | None:
        """As `find`, but an expired one is none."""
        found = self.find(point_id)
        return None if found is None or found.expired(self.today) else found


def load(file: Path, today: date) -> Known:
    """Read the file. Raises ConfigError with line and column."""
    top = read(file)
    failures = []
    for number, table in enumerate(top.tables("known")):
        pattern = table.string("id")
        if not _PATTERN.fullmatch(pattern):
            raise table.error(
                f"{pattern!r} is no pattern of results (suite[variant]@host/point)", "id"
            )
        line = top.line("known", number)
        failures.append(
            KnownFailure(
                pattern,
                table.string("reason"),
                table.string("link", ""),
                table.day("expires"),
                line,
                table.flag("slower"),
            )
        )
        table.finish()
    top.finish()
    return Known(tuple(failures), today)


def known_points(result: SuiteResult, cell_id: str, known: Known) -> dict[str, str]:
    """Return what is known of the failures of a tree, by the name of the point or problem.

    When all is known, so is the exit status that follows from it.
    """
    found = {name: known.alive(f"{cell_id}/{name}") for name in _failures(result)}
    said = {name: failure.text() for name, failure in found.items() if failure is not None}
    if said and len(said) == len(found):
        for problem in result.problems:
            if problem.point is None:
                said.setdefault(problem_name(problem.kind), next(iter(said.values())))
    return said


def all_known(result: SuiteResult, names: Container[str]) -> bool:
    """Whether nothing failed but what `names` holds."""
    return all(name in names for name in _failures(result))


def _failures(result: SuiteResult) -> list[str]:
    failed = [point.name for point in result.points if point.outcome is Outcome.FAILED]
    problems = [problem_name(problem.kind) for problem in loose_problems(result)]
    return list(dict.fromkeys([*failed, *problems]))
