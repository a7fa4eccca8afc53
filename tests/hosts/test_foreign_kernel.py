# SPDX-License-Identifier: GPL-2.0-only
"""The bundled kernel built for aarch64 (hosts/setup/aarch64.mk), its suites under qemu-user."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lkltest.host.disk import missing_tool
from tests.compiler import ROOT
from tests.fake_build import lkltest
from tests.host.test_emulator import needs_all

BUILD = ROOT / "build" / "aarch64"

pytestmark = [
    needs_all,
    pytest.mark.skipif(
        not (BUILD / "tests" / "autoconf.sh").exists(),
        reason="no kernel for aarch64: make -f hosts/setup/aarch64.mk",
    ),
]


def test_it_boots_and_serves_threads() -> None:
    done = lkltest("run", "boot", f"--build={BUILD}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "37 points: 37 ok" in done.stdout


@pytest.mark.parametrize("filesystem", ["ext4", "vfat"])
def test_its_file_systems_hold_what_was_written(filesystem: str) -> None:
    if missing := missing_tool(filesystem):
        pytest.skip(str(missing))
    done = lkltest("run", f"disk[{filesystem}]", f"--build={BUILD}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "16 points: 16 ok" in done.stdout


def test_its_networks_work_but_where_the_emulation_lacks_them() -> None:
    done = lkltest("run", "net", f"--build={BUILD}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "net[loopback]@native     ok" in done.stdout
    assert "net[raw]@native          skipped" in done.stdout


def test_a_suites_own_program_starts_it(tmp_path: Path) -> None:
    """Compiled for aarch64 and linked with the kernel; where it dies the stack has its names."""
    shutil.copy(ROOT / "tests" / "programs" / "dies_in_kernel.c", tmp_path / "dies.c")
    (tmp_path / "test_dies.py").write_text('def test_dies(lkl):\n    lkl.run("dies")\n')
    done = lkltest("run", f"{tmp_path}/", f"--build={BUILD}")
    assert done.returncode == 1, done.stdout + done.stderr
    assert "signal: killed by SIGSEGV in faults (at clock)" in done.stdout
    assert "clock_read" in done.stdout, "the kernel's function that called it"
