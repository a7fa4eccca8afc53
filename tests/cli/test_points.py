# SPDX-License-Identifier: GPL-2.0-only
"""What `lkltest run -j` remembers: whether workers would have paid the last time."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from lkltest.cli import points
from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind, SuiteResult
from tests.fake_build import environment, fake_build, lkltest


@pytest.fixture(autouse=True)
def cache(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "getloadavg", lambda: (0.0, 0.0, 0.0))
    return tmp_path


def test_nothing_is_known_at_first() -> None:
    assert points.workers_pay(["build x"], 2)


@pytest.mark.parametrize(
    ("seconds", "pay"),
    [([0.1] * 12, False), ([1.0] * 12, True), ([30.0, 0.2], False), ([30.0, 9.0], True)],
)
def test_workers_pay_where_they_save_more_than_their_start(seconds: list[float], pay: bool) -> None:
    points._keep_times(["build x", "boot"], seconds)
    assert points.workers_pay(["boot", "build x"], 2) is pay
    assert points.workers_pay(["build y", "boot"], 2), "another run"


def test_a_busy_machine_makes_no_suite_long(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(os, "getloadavg", lambda: (float(10 * (os.cpu_count() or 1)),) * 3)
    points._keep_times(["boot"], [1.0] * 4)
    assert not points.workers_pay(["boot"], 2)


def test_a_second_run_of_short_suites_has_no_workers(tmp_path: Path) -> None:
    build = fake_build(tmp_path / "lkl", boot="pass", disk="pass")
    words = ["run", "boot", "kunit", f"--build={build}", "-j2"]
    kept = environment(XDG_CACHE_HOME=str(tmp_path))
    assert "created: 2/2 workers" in lkltest(*words, "-v", env=kept).stdout
    for file in (tmp_path / "lkltest" / "runs").glob("times-*"):
        file.write_text("[0.1, 0.1]")
    done = lkltest(*words, "-v", env=kept)
    assert done.returncode == 0 and "workers" not in done.stdout


def test_a_run_that_was_cut_short_has_forgotten_no_point(tmp_path: Path) -> None:
    def run(*names: str, problem: bool = False) -> list[str]:
        result = SuiteResult(
            *("boot", "", "native"),
            points=tuple(PointResult(name, Outcome.PASSED) for name in names),
            problems=(Problem(ProblemKind.INTERRUPTED, "interrupted in call"),) if problem else (),
            properties={"build": str(tmp_path)},
        )
        points._keep_points([result])
        return points.known_points(tmp_path)["boot@native"]

    assert run("one", "two", "three") == ["one", "two", "three"]
    assert run("one", "more", problem=True) == ["one", "two", "three", "more"]
    assert run("one", "two") == ["one", "two"], "the build has changed"
