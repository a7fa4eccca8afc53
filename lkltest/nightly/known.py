# SPDX-License-Identifier: GPL-2.0-only
"""Known failures: a TOML file of result ids with a reason, a link and a date of expiry."""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, replace
from datetime import date
from pathlib import Path

from lkltest.nightly.config import matches
from lkltest.nightly.entries import is_problem, problem_name
from lkltest.nightly.toml_reader import read
from lkltest.results import Outcome, PointResult, SuiteResult

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

    def fits(self, point_id: str) -> bool:
        """Whether it is about the point `disk[ext4]@native#stable/readdir`."""
        cell, _, point = point_id.partition("/")
        return self.fits_cell(cell) and matches(self._parts()["point"], point)

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

    def said(self) -> str:
        """`known failure: reason (link)`."""
        return f"known failure: {self.reason}" + (f" ({self.link})" if self.link else "")

    def _parts(self) -> Mapping[str, str]:
        match = _PATTERN.fullmatch(self.pattern)
        return match.groupdict() if match else {"title": "", "host": "", "build": "", "point": ""}


@dataclass(frozen=True, slots=True)
class Known:
    """All of them, and the day that decides what has expired."""

    failures: tuple[KnownFailure, ...] = ()
    today: date = date.max

    def find(self, point_id: str) -> KnownFailure | None:
        """The first that is about this point and has not expired, else one that has, or None."""
        found = [failure for failure in self.failures if failure.fits(point_id)]
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
            )
        )
        table.finish()
    top.finish()
    return Known(tuple(failures), today)


def marked(result: SuiteResult, cell_id: str, known: Known) -> SuiteResult:
    """Return the tree in which known failures are expected ones (TODO), with what is known.

    Problems that belong to such a point, and problems that are known themselves, are left out.
    """
    points = tuple(_marked(point, f"{cell_id}/", known) for point in result.points)
    expected = {
        point.name
        for old, point in zip(result.points, points, strict=True)
        if old.outcome is Outcome.FAILED and point.outcome is Outcome.TODO
    }
    problems = tuple(
        problem
        for problem in result.problems
        if problem.point not in expected
        and not (problem.point is None and known.alive(f"{cell_id}/{problem_name(problem.kind)}"))
    )
    if not points and result.problems and not problems:
        # A suite without points and problems would be a failure: this one is an expected one.
        points = tuple(_of_problem(problem.kind, cell_id, known) for problem in result.problems)
    return replace(result, points=points, problems=problems)


def known_points(result: SuiteResult, cell_id: str, known: Known) -> Iterator[tuple[str, str]]:
    """Yield name and what is known of the points of a tree that failed as expected."""
    for point in result.points:
        found = known.alive(f"{cell_id}/{point.name}")
        if found is not None and point.outcome in (Outcome.FAILED, Outcome.TODO):
            yield point.name, found.said()


def _marked(point: PointResult, prefix: str, known: Known) -> PointResult:
    name = prefix + point.name
    children = tuple(_marked(child, f"{name}/", known) for child in point.children)
    found = known.alive(name) if point.outcome is Outcome.FAILED else None
    if found is None:
        return replace(point, children=children)
    return replace(point, outcome=Outcome.TODO, reason=found.said(), children=children)


def _of_problem(kind: str, cell_id: str, known: Known) -> PointResult:
    name = problem_name(kind)
    found = known.alive(f"{cell_id}/{name}")
    assert is_problem(name) and found is not None  # noqa: S101 - it was left out for that
    return PointResult(name, Outcome.TODO, reason=found.said())
