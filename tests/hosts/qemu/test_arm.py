# SPDX-License-Identifier: GPL-2.0-only
"""The machine of another architecture, really booted."""

from __future__ import annotations

import struct
from pathlib import Path

import pytest

from lkltest.hosts.qemu.accel import missing_qemu
from lkltest.hosts.qemu.machine import MACHINES
from tests.hosts.qemu.fixtures import HALF, PLAYED, lkltest

_AT = 0x4010_0000
_PRINT = (
    0xD2A12000,  # movz x0, #0x900, lsl #16: the PL011's registers
    0x10000121,  # adr x1, text
    0x38401422,  # next: ldrb w2, [x1], #1
    0x340000A2,  # cbz w2, idle
    0xB9401803,  # full: ldr w3, [x0, #0x18]
    0x372FFFE3,  # tbnz w3, #5, full
    0xB9000002,  # str w2, [x0]
    0x17FFFFFB,  # b next
    0xD503207F,  # idle: wfi
    0x17FFFFFF,  # b idle
)


@pytest.fixture(autouse=True)
def _qemu() -> None:
    missing = missing_qemu(MACHINES["arm64"])
    if missing is not None:
        pytest.skip(str(missing))


def bare_metal(file: Path, text: bytes) -> Path:
    """An ELF image that prints `text` on the first serial port and idles."""
    body = struct.pack("<10I", *_PRINT) + text + b"\0"
    size, start = len(body), 64 + 56
    head = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    head += struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, _AT, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    segment = struct.pack("<IIQQQQQQ", 1, 5, start, _AT, _AT, size, size, 4)
    file.write_bytes(head + segment + body)
    return file


def test_an_image_for_arm_passes(tmp_path: Path) -> None:
    done = lkltest("exec", "--host", "qemu", bare_metal(tmp_path / "boot.elf", PLAYED))
    assert done.returncode == 0, done.stderr
    assert done.stdout.replace("\r", "") == PLAYED.decode().replace("\r", "")
    done = lkltest("run", "--host", "qemu", "--build", tmp_path, "boot")
    assert "boot@qemu                ok" in done.stdout


def test_an_image_for_arm_that_hangs_is_reported(tmp_path: Path) -> None:
    bare_metal(tmp_path / "boot.elf", HALF)
    (tmp_path / "images.toml").write_text(
        "[images.boot]\nkernel = 'boot.elf'\ndeadlines.silence = 1\n"
    )
    done = lkltest("run", "--host", "qemu", "--build", tmp_path, "boot")
    assert done.returncode == 1
    assert "machine: running\n" in done.stdout
    assert "idle or spinning at 0x40100024" in done.stdout
