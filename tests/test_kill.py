# SPDX-License-Identifier: GPL-2.0-only
"""kill -9 of the whole runner, in the middle of real suites, leaves nothing after a second.

LKLTEST_KILLS says how often each way in is killed (8); LKLTEST_SEED repeats the moments.
"""

from __future__ import annotations

import os
import random
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from tests.census import MARKER, Census, new_marker
from tests.compiler import ROOT

KILLS = int(os.environ.get("LKLTEST_KILLS", "8"))
BIN = Path(sys.executable).parent
BUILD = ROOT / "build"

pytestmark = pytest.mark.skipif(
    not (BUILD / "tests" / "boot").exists(), reason="no bundled build: make setup"
)

# command and the seconds within which it is killed: from its start-up into its last suites
WAYS_IN = {
    "lkltest run": ([BIN / "lkltest", "run"], 2.5),
    "lkltest run -j 2": ([BIN / "lkltest", "run", "-j", "2"], 2.5),
    "pytest -n 2": (
        [BIN / "pytest", "--lkl-host=native", "-p", "no:cacheprovider", "-q", "-n", "2"],
        3.5,
    ),
    "pytest": ([BIN / "pytest", "--lkl-host=native", "-p", "no:cacheprovider", "-q"], 2.5),
}


@pytest.mark.parametrize("way", WAYS_IN)
def test_a_killed_runner_leaves_nothing(way: str, tmp_path: Path) -> None:
    command, span = WAYS_IN[way]
    temporary, junit, empty = (tmp_path / name for name in ("tmp", "junit", "empty"))
    for folder in (temporary, empty):
        folder.mkdir()
    seed = int(os.environ.get("LKLTEST_SEED", random.randrange(2**32)))  # noqa: S311
    print(f"LKLTEST_SEED={seed}")
    moments = random.Random(seed)  # noqa: S311
    marker = new_marker()
    census = Census.take(marker, temporary)
    environment = {**os.environ, MARKER: marker, "TMPDIR": str(temporary), "LKL_BUILD": str(BUILD)}
    option = "--junit-dir" if way.startswith("lkltest") else "--lkl-junit-dir"
    for _ in range(KILLS):
        seconds = moments.uniform(0.2, span)
        runner = subprocess.Popen(
            [*command, f"{option}={junit}"],
            cwd=empty,
            env=environment,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL,
        )
        try:
            runner.wait(seconds)
        except subprocess.TimeoutExpired:
            runner.send_signal(signal.SIGKILL)
            runner.wait()
        assert census.left() == [], f"killed after {seconds:.4f} s"
    assert list(empty.iterdir()) == []
    reports = [path for path in junit.glob("*") if path.suffix not in (".xml", ".part")]
    assert reports == []
