# SPDX-License-Identifier: GPL-2.0-only
"""The short form of the campaign: each kind of harm once, on the quickest host.

LKLTEST_SEED repeats a run's moments. `make faults` does all of it on all hosts.
"""

from __future__ import annotations

import os
import random
from collections.abc import Iterator
from pathlib import Path

import pytest

from tests.faults.arena import Arena, NotSurvived, TooLate
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
        pytest.skip("no bundled build: make build")
    seed = os.environ.get("LKLTEST_SEED", str(random.randrange(2**32)))  # noqa: S311
    print(f"LKLTEST_SEED={seed}")
    chance = random.Random(seed)  # noqa: S311
    arena = Arena("native", tmp_path_factory.mktemp("arena"), chance)
    arena.settle()
    yield arena


@pytest.mark.parametrize("name", SHORT)
def test_survived(arena: Arena, name: str, capsys: pytest.CaptureFixture[str]) -> None:
    if os.geteuid() != 0 and name in ("full junit", "no tun"):
        pytest.skip("only root mounts")
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


def test_lost_points_and_wrong_verdicts_are_not_survived(arena: Arena, tmp_path: Path) -> None:
    with pytest.raises(NotSurvived, match="in no result"):
        arena._compare(1, [], ["mutex"])
    with pytest.raises(NotSurvived, match="without a result"):
        arena._compare(0, [], [])
    with pytest.raises(NotSurvived, match="not one of"):
        arena.finish(arena.start("boot"), {3})
