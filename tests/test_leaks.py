# SPDX-License-Identifier: GPL-2.0-only
"""The census sees what it is meant to see."""

from __future__ import annotations

import os
import subprocess
import sys
from multiprocessing import shared_memory
from pathlib import Path

import pytest

from tests.census import MARKER, Census, new_marker
from tests.compiler import ROOT


def test_a_process_and_a_file_are_found(tmp_path: Path) -> None:
    marker = new_marker()
    census = Census.take(marker, tmp_path)
    assert census.left() == []
    (tmp_path / "file").touch()
    with subprocess.Popen(["sleep", "1000"], env={**os.environ, MARKER: marker}) as process:
        found = census.left(0.2)
        process.kill()
    assert found == [f"file {tmp_path}/file", f"process {process.pid}: sleep 1000 "]


def test_terminals_and_shared_memory_are_found() -> None:
    census = Census.take(new_marker())
    ours, theirs = os.openpty()
    memory = shared_memory.SharedMemory(create=True, size=1)
    try:
        new = census.new()
    finally:
        memory.close()
        memory.unlink()
        os.close(ours)
        os.close(theirs)
    assert any(name.startswith("pseudo-terminal") for name in new)
    assert f"shared memory /dev/shm/{memory.name.lstrip('/')}" in new


@pytest.mark.parametrize("leaks", [True, False])
def test_a_session_that_leaves_a_process_fails(tmp_path: Path, leaks: bool) -> None:
    test = tmp_path / "test_x.py"
    command = "['sleep', '20']" if leaks else "['true']"
    test.write_text(f"import subprocess\ndef test_x(): subprocess.Popen({command})\n")
    test.with_name("conftest.py").write_text(
        "from tests.leaks import LeakPolice\n"
        "def pytest_configure(config): config.pluginmanager.register(LeakPolice())\n"
    )
    words = ["-p", "no:cacheprovider", "-c", os.devnull, str(test)]
    words += ["-W", "ignore", "--rootdir", str(tmp_path)]
    environment = {**os.environ, "PYTHONPATH": str(ROOT)}
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *words],
        cwd=tmp_path,
        env=environment,
        capture_output=True,
        text=True,
        check=False,
        timeout=120,
    )
    assert ("left behind: process" in done.stdout) == leaks
    assert done.returncode == int(leaks), done.stdout + done.stderr
