# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.host.disk: images made and checked with the real tools, and what happens without them."""

import os
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkltest.host import disk as module
from lkltest.host.disk import (
    FILE_SYSTEMS,
    IMAGE_BYTES,
    Disk,
    DiskError,
    FileSystem,
    MissingTool,
    check,
    disk_image,
    missing_tool,
)
from lkltest.sandbox.scope import Scope

DIRTY_BYTE = 37
"""vfat: byte of a FAT16 boot sector whose lowest bit says "not unmounted"."""


@pytest.fixture
def scope() -> Iterator[Scope]:
    with Scope() as opened:
        yield opened


@pytest.fixture(params=sorted(FILE_SYSTEMS))
def filesystem(request: pytest.FixtureRequest) -> str:
    needs_tools(request.param)
    return str(request.param)


def needs_tools(name: str) -> None:
    missing = missing_tool(name)
    if missing is not None:
        pytest.skip(str(missing))


def set_dirty_bit(disk: Disk) -> None:
    assert os.pread(disk.descriptor, 5, 54) == b"FAT16", "images are of the size that mkfs made"
    (old,) = os.pread(disk.descriptor, 1, DIRTY_BYTE)
    os.pwrite(disk.descriptor, bytes([old | 1]), DIRTY_BYTE)


def damage_first_fat(disk: Disk) -> None:
    """The two copies of the FAT then differ."""
    reserved_sectors = int.from_bytes(os.pread(disk.descriptor, 2, 14), "little")
    os.pwrite(disk.descriptor, b"\x55" * 12, reserved_sectors * 512 + 64)


def test_a_new_image_is_clean(filesystem: str, scope: Scope) -> None:
    with disk_image(filesystem, scope, None) as disk:
        result = check(disk, scope)
    assert result.clean, result.log
    assert result.log.startswith(" ".join(FILE_SYSTEMS[filesystem].check))


def test_an_image_for_an_old_kernel_is_clean(filesystem: str, scope: Scope) -> None:
    with disk_image(filesystem, scope, (4, 9)) as disk:
        assert check(disk, scope).clean


def test_an_image_is_sparse_and_has_no_name(
    filesystem: str, scope: Scope, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tempfile, "tempdir", str(tmp_path))
    with disk_image(filesystem, scope, None) as disk:
        status = os.fstat(disk.descriptor)
        assert list(tmp_path.iterdir()) == []
    assert status.st_size == IMAGE_BYTES
    assert status.st_blocks * 512 < IMAGE_BYTES / 2
    assert status.st_nlink == 0


def test_an_image_is_closed_also_after_a_failure(scope: Scope) -> None:
    needs_tools("vfat")
    with pytest.raises(RuntimeError), disk_image("vfat", scope, None) as disk:
        raise RuntimeError
    with pytest.raises(OSError, match="Bad file"):
        os.fstat(disk.descriptor)


@pytest.mark.parametrize("damage", ["zeroed", "empty", "noise"])
def test_a_damaged_image_is_refused(filesystem: str, scope: Scope, damage: str) -> None:
    with disk_image(filesystem, scope, None) as disk:
        if damage == "empty":
            os.truncate(disk.descriptor, 0)
        else:
            content = bytes(1 << 20) if damage == "zeroed" else os.urandom(1 << 20)
            os.pwrite(disk.descriptor, content, 0)
        result = check(disk, scope)
    assert not result.clean
    assert not result.dirty_bit_only
    assert len(result.log.splitlines()) > 1, "the checker's own words are in the log"


def test_checking_changes_nothing(filesystem: str, scope: Scope) -> None:
    with disk_image(filesystem, scope, None) as disk:
        before = os.pread(disk.descriptor, 4 << 20, 0)
        check(disk, scope)
        assert os.pread(disk.descriptor, 4 << 20, 0) == before


class TestDirtyBit:
    """vfat's "not properly unmounted" alone is told apart from real damage."""

    @pytest.fixture
    def vfat(self, scope: Scope) -> Iterator[Disk]:
        needs_tools("vfat")
        with disk_image("vfat", scope, None) as disk:
            yield disk

    def test_alone_it_is_said_to_be_alone(self, vfat: Disk, scope: Scope) -> None:
        set_dirty_bit(vfat)
        result = check(vfat, scope)
        assert (result.clean, result.dirty_bit_only) == (False, True), result.log

    def test_with_other_damage_it_is_not_alone(self, vfat: Disk, scope: Scope) -> None:
        set_dirty_bit(vfat)
        damage_first_fat(vfat)
        result = check(vfat, scope)
        assert (result.clean, result.dirty_bit_only) == (False, False), result.log

    def test_other_damage_alone_is_no_dirty_bit(self, vfat: Disk, scope: Scope) -> None:
        damage_first_fat(vfat)
        result = check(vfat, scope)
        assert (result.clean, result.dirty_bit_only) == (False, False), result.log

    def test_no_words_of_another_file_system_are_taken_for_it(self, scope: Scope) -> None:
        needs_tools("ext4")
        with disk_image("ext4", scope, None) as disk:
            os.pwrite(disk.descriptor, b"Dirty bit is set", 0x400)
            assert not check(disk, scope).dirty_bit_only


class TestMissingTools:
    """With an empty PATH, each file system names its tool and the package that has it."""

    @pytest.fixture(autouse=True)
    def no_tools(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(module.shutil, "which", lambda name, path=None: None)

    @pytest.mark.parametrize("name", FILE_SYSTEMS)
    def test_tool_and_package_are_named(self, name: str) -> None:
        missing = missing_tool(name)
        assert missing is not None
        system = FILE_SYSTEMS[name]
        assert str(missing) == f"{system.make[0]} is missing: apt-get install {system.package}"

    @pytest.mark.parametrize("name", FILE_SYSTEMS)
    def test_no_image_is_begun(self, name: str, scope: Scope) -> None:
        with pytest.raises(MissingTool) as caught, disk_image(name, scope, None):
            pass
        assert caught.value.missing == missing_tool(name)


def test_a_missing_checker_counts_as_well(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(module, "find_tool", lambda name: None if "fsck" in name else "/bin/true")
    missing = missing_tool("vfat")
    assert missing is not None
    assert missing.what == "fsck.vfat is missing"


def test_tools_are_found_where_a_users_path_does_not_look(monkeypatch: pytest.MonkeyPatch) -> None:
    needs_tools("vfat")
    monkeypatch.setenv("PATH", "/usr/local/bin:/usr/bin:/bin")
    assert missing_tool("vfat") is None


class TestFailingTools:
    """A tool that fails, hangs or says nothing is one line."""

    def use(self, monkeypatch: pytest.MonkeyPatch, *make: str) -> None:
        system = FileSystem("ext4", make, ("true",), "coreutils")
        monkeypatch.setattr(module, "FILE_SYSTEMS", {"ext4": system})

    @pytest.mark.parametrize(
        ("script", "words"),
        [
            ("echo first; echo it is full >&2; exit 3", "sh failed with status 3: it is full"),
            ("exit 1", "sh failed with status 1: no output"),
            ("kill -9 $$", "sh failed with status -9: no output"),
        ],
    )
    def test_failure(
        self, monkeypatch: pytest.MonkeyPatch, scope: Scope, script: str, words: str
    ) -> None:
        self.use(monkeypatch, "sh", "-c", script)
        with pytest.raises(DiskError) as caught, disk_image("ext4", scope, None):
            pass
        assert str(caught.value) == words

    def test_a_hanging_tool_is_ended(self, monkeypatch: pytest.MonkeyPatch, scope: Scope) -> None:
        self.use(monkeypatch, "sh", "-c", "sleep 1000")
        monkeypatch.setattr(module, "_TOOL_SECONDS", 0.1)
        expected = pytest.raises(DiskError, match="sh did not end within")
        with expected, disk_image("ext4", scope, None):
            pass


class TestOldKernels:
    """Features follow from the kernel under test."""

    def arguments(self, scope: Scope, version: tuple[int, int] | None) -> str:
        needs_tools("xfs")
        with disk_image("xfs", scope, version) as disk:
            command = ["xfs_db", "-r", "-c", "version", disk.path]
            done = subprocess.run(
                command, capture_output=True, text=True, check=True, pass_fds=(disk.descriptor,)
            )
        return done.stdout

    def test_an_old_kernel_gets_an_xfs_that_it_knows(self, scope: Scope) -> None:
        found = self.arguments(scope, (4, 9))
        assert not {"BIGTIME", "INOBTCNT", "REFLINK", "NREXT64"} & set(found.strip().split(","))

    @pytest.mark.parametrize("version", [None, (5, 10), (6, 12)])
    def test_a_new_kernel_gets_todays_defaults(
        self, scope: Scope, version: tuple[int, int] | None
    ) -> None:
        assert "REFLINK" in self.arguments(scope, version)


class TestCopies:
    """Hosts whose programs need a path get a copy, and what they wrote comes back."""

    def test_there_and_back(self, filesystem: str, scope: Scope, tmp_path: Path) -> None:
        with disk_image(filesystem, scope, None) as disk:
            copy = disk.copy_to(tmp_path)
            assert copy.stat().st_size == IMAGE_BYTES
            assert copy.stat().st_blocks * 512 < IMAGE_BYTES / 2, "a copy is sparse as well"
            with copy.open("r+b") as file:
                file.seek(-20, os.SEEK_END)
                file.write(b"written by the guest")
            os.truncate(disk.descriptor, 0)
            disk.copy_from(copy)
            assert os.fstat(disk.descriptor).st_blocks * 512 < IMAGE_BYTES / 2
            assert os.pread(disk.descriptor, 99, IMAGE_BYTES - 20) == b"written by the guest"
            os.pwrite(disk.descriptor, bytes(20), IMAGE_BYTES - 20)
            assert check(disk, scope).clean

    def test_what_was_freed_is_gone_after_the_way_back(self, scope: Scope, tmp_path: Path) -> None:
        needs_tools("vfat")
        with disk_image("vfat", scope, None) as disk:
            copy = disk.copy_to(tmp_path)
            copy.write_bytes(b"short")
            disk.copy_from(copy)
            assert os.pread(disk.descriptor, 100, 0) == b"short"

    def test_a_copy_that_is_gone_is_an_os_error(self, scope: Scope, tmp_path: Path) -> None:
        needs_tools("vfat")
        with disk_image("vfat", scope, None) as disk, pytest.raises(FileNotFoundError):
            disk.copy_from(tmp_path / "nothing")


@pytest.mark.parametrize(
    ("available", "place", "where"),
    [
        (8 << 30, "", "memfd:lkltest-disk"),
        (1 << 30, "", "(deleted)"),
        (1 << 30, "/proc", "memfd:lkltest-disk"),
    ],
)
def test_an_image_is_in_memory_where_that_is_plenty_or_nothing_else_is(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, available: int, place: str, where: str
) -> None:
    assert module._memory_available() > 1 << 20
    monkeypatch.setattr(module, "_memory_available", lambda: available)
    descriptor = module._open_unnamed(Path(place or tmp_path))
    try:
        link = str(Path(f"/proc/self/fd/{descriptor}").readlink())
        assert where in link and ("memfd" in link) == ("memfd" in where)
    finally:
        os.close(descriptor)
