# SPDX-License-Identifier: GPL-2.0-only
"""Linux guests for aarch64 on QEMU's `virt`."""

from __future__ import annotations

import re
import shutil
from pathlib import Path

import pytest

from lkltest.guest.programs import missing_compiler
from lkltest.hosts.qemu.machine import MACHINES, Boot, Setup, command, command_by_hand
from tests.compiler import ROOT, compile_program
from tests.hosts.qemu.fixtures import lkltest, require_kernel

KERNEL = ROOT / "build" / "linux-arm64"
HANG = Path(__file__).parents[2] / "programs" / "guest_hang.c"


def test_the_second_line_of_a_machine_with_one_is_a_device() -> None:
    setup = Setup(MACHINES["arm64"], Boot("kernel"), "tcg", 10, ["console", "status"])
    for words in map(" ".join, (command(setup), command_by_hand(setup))):
        assert "-device pci-serial,chardev=ser1" in words
        assert words.count("-serial ") == 1


@pytest.fixture
def kernel() -> Path:
    """Debian's kernel for arm64, with a compiler for its programs."""
    require_kernel(KERNEL)
    missing = missing_compiler("aarch64")
    if missing is not None:
        pytest.skip(str(missing))
    if shutil.which("qemu-system-aarch64") is None:
        pytest.skip("qemu-system-aarch64 is missing: apt-get install qemu-system-arm")
    return KERNEL


@pytest.mark.parametrize("suite", ["boot", "disk[vfat]"])
def test_a_suite_runs(kernel: Path, suite: str) -> None:
    done = lkltest("run", suite, "--host", "qemu", "--build", kernel)
    assert done.returncode == 0, done.stdout
    assert re.search(r"1 suite: 1 ok; (16|37) points: \d+ ok", done.stdout)


@pytest.mark.parametrize(
    ("how", "who", "where"),
    [
        ("blocked", "guest_hang-", "kernel_clone"),
        ("busy", "CPU 0, busy in guest_hang-", "spin_for_ever"),
    ],
)
def test_a_guest_that_hangs_shows_the_functions(
    kernel: Path, how: str, who: str, where: str
) -> None:
    program = compile_program(HANG, "-static", compiler="aarch64-linux-gnu-gcc")
    words = ("--host", "qemu", "--build", kernel, "--timeout", "60")
    done = lkltest("exec", *words, program, how)
    assert done.returncode == 1
    shown = done.stderr[done.stderr.index("was silent for too long") :].splitlines()[:13]
    assert who in "\n".join(shown[2:])
    assert any(where in line for line in shown), shown
