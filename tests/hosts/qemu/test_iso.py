# SPDX-License-Identifier: GPL-2.0-only
"""CDs under QEMU: firmware, GRUB and a kernel with its module, really booted."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.hosts.qemu.fixtures import HALF, STREAMS, iso, lkltest

L4RE = STREAMS / "l4re"


def test_exec_boots_a_cd(tmp_path: Path) -> None:
    done = lkltest("exec", "--host", "qemu", iso(tmp_path / "x, y.iso", L4RE / "ned-pass.raw"))
    assert done.returncode == 0, done.stderr
    assert "x, y.iso@qemu: ok, 3 points" in done.stderr
    assert "L4 Bootstrapper" in done.stdout


def test_a_cd_that_crashes_fails(tmp_path: Path) -> None:
    done = lkltest("exec", "--host", "qemu", iso(tmp_path / "x.iso", L4RE / "ned-crash.raw"))
    assert done.returncode == 1
    assert "unhandled write page fault" in done.stderr


def test_a_cd_that_boots_again_is_a_crash(tmp_path: Path) -> None:
    (tmp_path / "console").write_bytes(HALF)
    cd = iso(tmp_path / "x.iso", tmp_path / "console", "end=triple")
    done = lkltest("exec", "--host", "qemu", cd)
    assert done.returncode == 1
    assert "the guest reset the machine" in done.stderr
    assert done.stdout.count("* 1 first") == 1


def test_a_cd_that_nothing_boots_from_is_one_line(tmp_path: Path) -> None:
    """The firmware finds no boot record: nothing is ever heard of it."""
    cd = tmp_path / "x.iso"
    cd.write_bytes(b"\0" * 0x8001 + b"CD001".ljust(2047, b"\0"))
    (tmp_path / "images.toml").write_text(
        "[images.x]\niso = 'x.iso'\n[images.x.deadlines]\nfirst_byte = 3\n"
    )
    done = lkltest("exec", "--host", "qemu", tmp_path / "images.toml:x")
    assert done.returncode == 1
    assert "not a byte on the console within 3 s" in done.stderr


@pytest.mark.parametrize("machine", ["q35", "pc", None])
def test_a_suite_runs_from_a_cd(tmp_path: Path, machine: str | None) -> None:
    """By a table, or (None) by the name of the file alone."""
    iso(tmp_path / "boot.iso", L4RE / "ned-pass.raw")
    if machine is not None:
        table = f"machine = '{machine}'\n[images.boot]\niso = 'boot.iso'\n"
        (tmp_path / "images.toml").write_text(table)
    done = lkltest("run", "--host", "qemu", "--build", tmp_path, "boot")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "boot@qemu                ok" in done.stdout
