# SPDX-License-Identifier: GPL-2.0-only
"""The short form of the campaign: each kind of harm once, on the quickest host.

LKLTEST_SEED repeats a run's moments. `make faults` does all of it on all hosts.
"""

from __future__ import annotations

import os
import random
import subprocess
from collections.abc import Iterator
from dataclasses import replace

import pytest

from lkltest.verdict.results import Outcome, PointResult, SuiteResult
from tests.census import MARKER
from tests.faults.arena import POINT, Arena, NotSurvived, TooLate, check_verdict
from tests.faults.machine import Fault, faults, present, try_fault

SHORT = (
    "runner SIGKILL",
    "runner SIGTERM",
    "runner SIGINT, -j 2",
    "program SIGKILL",
    "guard SIGKILL",
    "xdist worker SIGKILL",
    "full junit",
    "few descriptors",
    "no tun",
    "program: daemon-with-console",
    "terminal hung up",
    "full history",
    "no user namespaces",
    "host raises: process.close",
)
FAULTS = {fault.name: fault for fault in faults() if "native" in fault.hosts}


@pytest.fixture(scope="module")
def arena(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Arena]:
    if "native" not in present():
        pytest.skip("no bundled build: make setup")
    seed = os.environ.get("LKLTEST_SEED", str(random.randrange(2**32)))  # noqa: S311
    print(f"LKLTEST_SEED={seed}")
    chance = random.Random(seed)  # noqa: S311
    arena = Arena("native", tmp_path_factory.mktemp("arena"), chance)
    arena.settle()
    yield arena


@pytest.mark.parametrize("name", SHORT)
def test_survived(arena: Arena, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() != 0 and name in ("full junit", "full history", "no tun", "terminal hung up"):
        pytest.skip("only root mounts, and hangs up others' terminals")
    tried, survived = try_fault(arena, FAULTS[name], 1)
    assert survived == tried, capsys.readouterr().out


def test_what_is_not_survived_is_counted(arena: Arena, capsys: pytest.CaptureFixture[str]) -> None:
    def harm(_: Arena) -> None:
        raise NotSurvived("green without a result")

    def late(_: Arena) -> None:
        raise TooLate

    assert try_fault(arena, Fault("harm", harm), 2) == (2, 0)
    assert "green without a result" in capsys.readouterr().out
    assert try_fault(arena, Fault("late", late), 2) == (0, 0)


def points(*names: str) -> tuple[PointResult, ...]:
    return tuple(PointResult(name, Outcome.PASSED) for name in names)


def test_lost_points_are_not_survived(arena: Arena) -> None:
    boot, disk = (arena.reference[name] for name in ("boot@native", "disk[ext4]@native"))
    tree = SuiteResult("boot", "", "native", points=points(*boot))
    arena.nothing_lost([tree], boot, 0)
    arena.nothing_lost([tree], [*boot, *disk], 1)
    for shown, in_flight in (([*boot, disk[-1]], 0), ([*boot, "other"], 1), ([*boot, *boot], 0)):
        with pytest.raises(NotSurvived, match="in no result"):
            arena.nothing_lost([tree], shown, in_flight)


def test_wrong_verdicts_are_not_survived(arena: Arena) -> None:
    whole = SuiteResult("boot", "", "native", points=points("mutex", "tls"))
    part = replace(whole, points=whole.points[:1])
    names = {whole.id: ["mutex", "tls"]}
    check_verdict(0, [whole], names)
    for status, results, reason in (
        (0, [], "without a result"),
        (0, [part], "passed with 1 of 2 points"),
        (1, [whole], "failed are none"),
    ):
        with pytest.raises(NotSurvived, match=reason):
            check_verdict(status, results, names)
    with pytest.raises(NotSurvived, match="not one of"):
        arena.finish(arena.start("boot"), {3})


def test_what_is_left_is_not_survived(arena: Arena) -> None:
    with subprocess.Popen(["sleep", "100"], env={**os.environ, MARKER: arena.marker}) as process:
        with pytest.raises(NotSurvived, match=f"left: process {process.pid}: sleep 100"):
            arena.aftermath()
        process.kill()


def test_points_are_read_from_the_terminal_once() -> None:
    line = "test_boot.py::test_boot[native] SUBFAILED[a [b]]        [ 50%]"
    assert POINT.findall(line) == ["a [b]"]
    assert POINT.findall("[gw0] [ 50%] SUBPASSED[mutex] test_boot.py::test_boot[native]") == [
        "mutex"
    ]
    assert POINT.findall("SUBFAILED[mutex] test_boot.py::test_boot[native] - Failed: x") == []
