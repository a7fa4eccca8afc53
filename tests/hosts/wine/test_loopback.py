# SPDX-License-Identifier: GPL-2.0-only
"""net[loopback] of the Windows programs, where the loopback of this machine is down."""

import os
import shutil
import subprocess
from pathlib import Path

import pytest

from lkltest.report.tree import read
from lkltest.verdict.results import Outcome
from tests.compiler import ROOT
from tests.hosts.wine.fixtures import command, environment, require_wine

PROGRAM = ROOT / "build" / "windows" / "tests" / "net-test.exe"


def test_a_loopback_that_is_down_is_a_skip(tmp_path: Path) -> None:
    require_wine()
    if not PROGRAM.exists():
        pytest.skip("no Windows programs: lkltest setup wine")
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("only root makes a network namespace so easily")
    words = ["run", "net[loopback]", f"--build={PROGRAM.parents[1]}", f"--json-dir={tmp_path}"]
    done = subprocess.run(
        ["unshare", "--net", *command(*words)],
        env=environment(),
        cwd=tmp_path,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert done.returncode == 0, done.stdout + done.stderr
    points = {point.name: point for point in read(tmp_path / "net-loopback@wine.json").points}
    for name in ("udp", "tcp#2"):
        assert points[name].outcome is Outcome.SKIPPED
        assert "loopback interface is down" in points[name].reason
    assert points["winsock"].outcome is Outcome.PASSED
