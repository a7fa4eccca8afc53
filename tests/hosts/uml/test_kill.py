# SPDX-License-Identifier: GPL-2.0-only
"""Nothing is left of a UML kernel when its runner is killed with SIGKILL at any moment."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from lkltest.testing import PROGRAM_SOURCE
from tests.census import MARKER, Census, new_marker
from tests.compiler import compile_program

KILLS = int(os.environ.get("LKLTEST_KILLS", "50")) // 5
BOOT_SECONDS = 2.5


@pytest.mark.skipif(shutil.which("linux.uml") is None, reason="linux.uml is missing")
def test_kill_of_the_runner(tmp_path: Path) -> None:
    program = compile_program(PROGRAM_SOURCE, "-static")
    marker = new_marker()
    census = Census.take(marker, tmp_path)
    seed = int(os.environ.get("LKLTEST_SEED", random.randrange(2**32)))  # noqa: S311
    print(f"LKLTEST_SEED={seed}")
    moments = random.Random(seed)  # noqa: S311
    command = [sys.executable, "-m", "lkltest", "exec", "--host", "uml", str(program), "hang"]
    environment = {**os.environ, MARKER: marker, "TMPDIR": str(tmp_path)}
    for _ in range(KILLS):
        moment = moments.uniform(0.05, BOOT_SECONDS)
        with subprocess.Popen(
            command, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
        ) as runner:
            try:
                runner.wait(moment)
            except subprocess.TimeoutExpired:
                runner.send_signal(signal.SIGKILL)
        assert runner.returncode == -signal.SIGKILL, "it ended before it was killed"
        assert census.left() == [], f"killed after {moment:.4f} s"
