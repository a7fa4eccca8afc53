# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.guest.kernel_modules: what a kernel has, and in which order it is loaded."""

import gzip
import lzma
from pathlib import Path

import pytest

from lkltest.guest.kernel_modules import KernelModules, read_module


@pytest.fixture
def modules(tmp_path: Path) -> KernelModules:
    (tmp_path / "modules.builtin").write_text("kernel/fs/ext4/ext4.ko\nkernel/net/9p-x.ko\n")
    (tmp_path / "modules.dep").write_text(
        "kernel/a/top-most.ko.xz: kernel/a/middle.ko.xz kernel/a/base.ko\n"
        "kernel/a/middle.ko.xz: kernel/a/base.ko\nkernel/a/base.ko:\n\nrubbish\n"
    )
    return KernelModules(tmp_path)


def test_what_a_kernel_has(modules: KernelModules) -> None:
    assert modules.has("ext4") and modules.has("9p_x") and modules.has("top_most")
    assert not modules.has("xfs")


def test_each_after_what_it_needs_and_once(modules: KernelModules, tmp_path: Path) -> None:
    names = [path.name for path in modules.files(["top_most", "middle", "ext4", "nothing"])]
    assert names == ["base.ko", "middle.ko.xz", "top-most.ko.xz"]


def test_what_would_be_loaded_on_demand(modules: KernelModules, tmp_path: Path) -> None:
    """Also for a needed module, for one that asks for what needs it, and by an alias."""
    with (tmp_path / "modules.dep").open("a") as file:
        file.write("kernel/c/sum-intel.ko:\nkernel/c/sum_generic.ko:\n")
    (tmp_path / "modules.softdep").write_text(
        "# of modules\nsoftdep middle pre: crypto-sum crypto-hash absent post: xfs\n"
        "softdep base pre: top-most\nsoftdep\n"
    )
    (tmp_path / "modules.alias").write_text(
        "# of modules\nalias crypto-sum sum_intel\nalias crypto-sum sum_generic\n"
        "alias crypto-hash sum_intel\nalias pci:* x\n"
    )
    names = [path.name for path in modules.files(["top_most"])]
    assert names == ["base.ko", "sum_generic.ko", "middle.ko.xz", "top-most.ko.xz"]


def test_nothing_is_known() -> None:
    assert KernelModules(None).files(["ext4"]) == []
    assert not KernelModules(Path("/nonexistent")).has("ext4")


def test_packed_modules_are_unpacked(tmp_path: Path) -> None:
    (tmp_path / "a.ko.xz").write_bytes(lzma.compress(b"content"))
    (tmp_path / "a.ko.gz").write_bytes(gzip.compress(b"content"))
    (tmp_path / "a.ko").write_bytes(b"content")
    assert {read_module(path) for path in tmp_path.iterdir()} == {b"content"}


def test_a_damaged_module_is_an_oserror(tmp_path: Path) -> None:
    (tmp_path / "a.ko.xz").write_bytes(b"rubbish")
    with pytest.raises(OSError, match=r"a\.ko\.xz"):
        read_module(tmp_path / "a.ko.xz")
