# SPDX-License-Identifier: GPL-2.0-only
"""Where an image for 64-bit Arm is started: seen in it, or learnt by a boot and remembered."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkltest.hosts.qemu.exception_level import wants_el2
from lkltest.sandbox.scope import Scope

L4RE = b"L4Re is configured for EL2 mode (virtualization) but got started in EL1\0"
FEATURE = b"arm:hyp\0"


def boot(folder: Path, says: str) -> list[str]:
    """A command in QEMU's place that notes that it was run."""
    return ["sh", "-c", f"echo >>{folder}/boots; echo '{says}'; sleep 60"]


@pytest.mark.parametrize(
    ("content", "says", "wants"),
    [
        (b"bare metal", "", False),
        (L4RE + FEATURE + b"kernel" + FEATURE, "", True),
        (L4RE + FEATURE, "but got started in EL1 by the boot-loader", True),
        (L4RE + FEATURE, "Welcome to the L4Re Microkernel!", False),
    ],
)
def test_where_it_starts(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, content: bytes, says: str, wants: bool
) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    image = tmp_path / "image.elf"
    image.write_bytes(content)
    with Scope() as scope:
        for _ in range(2):
            assert wants_el2(image, boot(tmp_path, says), scope) is wants
    noted = tmp_path / "boots"
    assert (len(noted.read_text().splitlines()) if noted.exists() else 0) == (1 if says else 0)
