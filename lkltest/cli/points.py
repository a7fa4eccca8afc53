# SPDX-License-Identifier: GPL-2.0-only
"""What earlier runs have told: the test points of a build, for `list`; what failed, for `--lf`.

Both lie in the user's cache, the points by build, pytest's own cache by the directory of the run.
A cache that cannot be written is none: no run depends on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from pathlib import Path

import pytest

from lkltest.host.cache import write_atomically
from lkltest.places import cache_home
from lkltest.plugin.progress import RESULT_PROPERTY
from lkltest.verdict.results import SuiteResult

Points = dict[str, list[str]]
"""The names of the points of each suite variant on each host: `{"boot@native": [...]}`."""


def memory() -> Path | None:
    """Where pytest remembers what failed in this directory; None where nothing can be kept."""
    return _place(f"pytest-{_key(Path.cwd())}")


def known_points(build: Path) -> Points:
    """The points that runs of a build have had; {} when there was none."""
    place = _place(f"points-{_key(build)}.json")
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(place.read_bytes()) if place else None
        if isinstance(found, dict):
            return found
    return {}


class Observer:
    """A pytest plugin that keeps the names of the points which a run has."""

    def __init__(self) -> None:
        self._seen: dict[Path, Points] = {}

    def pytest_runtest_logreport(self, report: pytest.TestReport) -> None:
        for name, value in report.user_properties:
            if report.when == "teardown" and name == RESULT_PROPERTY and isinstance(value, dict):
                self._add(SuiteResult.from_dict(value))

    def pytest_sessionfinish(self) -> None:
        for build, points in self._seen.items():
            place = _place(f"points-{_key(build)}.json")
            if place is not None:
                with contextlib.suppress(OSError):
                    text = json.dumps({**known_points(build), **points})
                    write_atomically(place, text.encode())

    def _add(self, result: SuiteResult) -> None:
        if result.points and "build" in result.properties:
            names = [point.name for point in result.points]
            self._seen.setdefault(Path(result.properties["build"]), {})[result.id] = names


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]


def _place(name: str) -> Path | None:
    with contextlib.suppress(OSError, RuntimeError):
        folder = cache_home() / "runs"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder / name
    return None
