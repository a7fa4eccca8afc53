# SPDX-License-Identifier: GPL-2.0-only
"""The clock that a suite's time is measured with."""

from __future__ import annotations

from pathlib import Path

from lkltest.report.tree import read
from tests.fake_build import SECONDS, fake_build, pytest

JUMP = """
import time

_time = time.time


def test_boot(lkl):
    time.time = lambda: _time() - 1e9
    lkl.run("boot")
"""


def test_a_clock_that_is_set_changes_no_duration(tmp_path: Path) -> None:
    (tmp_path / "test_it.py").write_text(JUMP, encoding="utf-8")
    build = fake_build(tmp_path / "build", boot="pass")
    words = [f"--lkl-build={build}", "--lkl-host=native", f"--lkl-json-dir={tmp_path}"]
    done = pytest(*words, "-p", "no:cacheprovider", "test_it.py", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert 0 <= read(tmp_path / "boot@native.json").seconds < SECONDS
