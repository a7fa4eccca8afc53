# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.host.cache: where kept files lie."""

import re
import stat
from pathlib import Path

import pytest

from lkltest.host import cache
from lkltest.host.cache import cache_directory


def test_cache_directory_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory("initramfs") == tmp_path / "lkltest" / "initramfs"


def test_cache_directory_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    folder = cache_directory("initramfs")
    assert folder == cache_directory("initramfs"), "one for the whole process"
    assert folder.name == "initramfs"
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert re.fullmatch(r"lkltest-[0-9a-f]{16}", folder.parent.name), "nobody can take it first"
    cache.close()
    assert not folder.parent.exists()
