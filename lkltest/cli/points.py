# SPDX-License-Identifier: GPL-2.0-only
"""Memories of earlier runs: a build's points, for `list`; failures, for `--lf`; times, for `-j`.

All lie in the user's cache, the points by build, pytest's own cache by the directory of the run,
times by what was run. A cache that cannot be written is none: no run depends on it.
"""

from __future__ import annotations

import contextlib
import hashlib
import json
import os
from collections.abc import Iterable, Sequence
from pathlib import Path

import pytest

from lkltest.places import cache_home
from lkltest.plugin.progress import REPORTER, SuiteReporter
from lkltest.verdict.results import SuiteResult
from lkltest.whole_file import write_whole

Points = dict[str, list[str]]
"""The names of the points of each suite variant on each host: `{"boot@native": [...]}`."""


def failures_directory() -> Path | None:
    """The folder for pytest's memory of failures here; None where nothing can be kept."""
    return _place(f"pytest-{_key(Path.cwd())}")


def known_points(build: Path) -> Points:
    """The points that runs of a build have had; {} when there was none."""
    place = _place(f"points-{_key(build)}.json")
    with contextlib.suppress(OSError, ValueError):
        found = json.loads(place.read_bytes()) if place else None
        if isinstance(found, dict):
            return found
    return {}


_WORKERS = 1.0
"""The seconds that it takes until pytest-xdist's workers run tests."""


def workers_pay(run: Sequence[str], jobs: int) -> bool:
    """Whether suites side by side are quicker, as far as the last `run` tells.

    A run whose suites take tenths of a second is over before workers have started.
    """
    place = _times(run)
    with contextlib.suppress(OSError, ValueError):
        seconds = [float(each) for each in json.loads(place.read_bytes())] if place else []
        if seconds:
            together = max(sum(seconds) / jobs, *seconds)
            return sum(seconds) - together > _WORKERS
    return True


def _times(run: Sequence[str]) -> Path | None:
    words = "\0".join(sorted(run))
    return _place(f"times-{hashlib.sha256(os.fsencode(words)).hexdigest()[:16]}.json")


class Observer:
    """A pytest plugin that keeps the names of the points which a `run` has had, and its times."""

    def __init__(self, run: Sequence[str]) -> None:
        self._run = run

    def pytest_sessionfinish(self, session: pytest.Session) -> None:
        reporter = session.config.pluginmanager.getplugin(REPORTER)
        if isinstance(reporter, SuiteReporter):
            _keep_times(self._run, [result.seconds for result in reporter.results])
            _keep_points(reporter.results)


def _keep_points(results: Iterable[SuiteResult]) -> None:
    """Keep the points of each build's suites; of one that was cut short, what was known, too."""
    known: dict[str, Points] = {}
    for result in results:
        if result.points and "build" in result.properties:
            build = result.properties["build"]
            points = known.setdefault(build, known_points(Path(build)))
            names = [point.name for point in result.points]
            before = points.get(result.id, []) if result.problems else []
            points[result.id] = list(dict.fromkeys([*before, *names]))
    for build, points in known.items():
        place = _place(f"points-{_key(Path(build))}.json")
        if place is not None:
            with contextlib.suppress(OSError):
                write_whole(place, json.dumps(points).encode())


def _keep_times(run: Sequence[str], seconds: Sequence[float]) -> None:
    place = _times(run)
    if place is not None and seconds:
        with contextlib.suppress(OSError):
            # Others on the machine make all take longer, the start of workers, too.
            slower = max(1.0, os.getloadavg()[0] / (os.cpu_count() or 1))
            write_whole(place, json.dumps([round(each / slower, 2) for each in seconds]).encode())


def _key(path: Path) -> str:
    return hashlib.sha256(os.fsencode(path.absolute())).hexdigest()[:16]


def _place(name: str) -> Path | None:
    with contextlib.suppress(OSError, RuntimeError):
        folder = cache_home() / "runs"
        folder.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(folder, os.W_OK | os.X_OK):
            return folder / name
    return None
