# SPDX-License-Identifier: GPL-2.0-only
"""Builds on their way to another machine."""

import io
import tarfile
from pathlib import Path

import pytest

from lkltest.nightly.cluster.build_copy import (
    BadCopy,
    build_files,
    content_hash,
    copy_of,
    pack,
    unpack,
)
from lkltest.nightly.cluster.sent_builds import SentBuilds


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A `tools/lkl` with objects beside its programs."""
    for name in ("tests/boot", "tests/disk.exe", "tests/boot.o", "lib/liblkl.so", "kernel/a.o"):
        file = tmp_path / "lkl" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(name.encode() * 1000)
    (tmp_path / "lkl" / "tests" / "boot").chmod(0o755)
    return tmp_path / "lkl"


def test_programs_travel_and_objects_stay(build: Path) -> None:
    names = [str(file.relative_to(build)) for file in build_files(build)]
    assert names == ["lib/liblkl.so", "tests/boot", "tests/disk.exe"]


def test_a_copy_is_the_same_build(build: Path, tmp_path: Path) -> None:
    digest = content_hash(build)
    copy = unpack(pack(build), digest, tmp_path / "copies")
    assert content_hash(copy) == digest
    assert copy_of(digest, tmp_path / "copies") == copy
    assert (copy / "tests" / "boot").stat().st_mode & 0o777 == 0o755
    assert unpack(pack(build), digest, tmp_path / "copies") == copy, "again"
    assert [path.name for path in (tmp_path / "copies").iterdir()] == [digest]


def test_a_file_keeps_its_name(tmp_path: Path) -> None:
    kernel = tmp_path / "linux"
    kernel.write_bytes(b"\x7fELF")
    copy = unpack(pack(kernel), content_hash(kernel), tmp_path / "copies")
    assert copy.name == "linux" and copy.read_bytes() == b"\x7fELF"


def test_a_directory_without_programs_travels_whole(tmp_path: Path) -> None:
    (tmp_path / "images" / "deep").mkdir(parents=True)
    (tmp_path / "images" / "deep" / "disk.img").write_bytes(b"image")
    copy = unpack(pack(tmp_path / "images"), content_hash(tmp_path / "images"), tmp_path / "c")
    assert (copy / "deep" / "disk.img").read_bytes() == b"image"


@pytest.mark.parametrize("change", ["content", "mode", "name"])
def test_another_build_has_another_hash(build: Path, change: str) -> None:
    digest = content_hash(build)
    boot = build / "tests" / "boot"
    if change == "content":
        boot.write_bytes(b"else")
    elif change == "mode":
        boot.chmod(0o644)
    else:
        boot.rename(boot.with_name("net-test"))
    assert content_hash(build) != digest


def test_what_came_is_another(build: Path, tmp_path: Path) -> None:
    with pytest.raises(BadCopy, match="is another"):
        unpack(pack(build), "0" * 64, tmp_path / "copies")
    assert list((tmp_path / "copies").iterdir()) == []


@pytest.mark.parametrize("archive", [b"", b"nonsense", b"\x1f\x8b\x08"])
def test_what_came_is_no_archive(archive: bytes, tmp_path: Path) -> None:
    with pytest.raises(BadCopy, match="no archive"):
        unpack(archive, "0" * 64, tmp_path / "copies")
    assert list((tmp_path / "copies").iterdir()) == []


@pytest.mark.parametrize("name", ["../outside", "/outside", "build/../../outside"])
def test_an_archive_stays_in_its_place(name: str, tmp_path: Path) -> None:
    buffer = io.BytesIO()
    with tarfile.open(fileobj=buffer, mode="w:gz") as archive:
        archive.addfile(tarfile.TarInfo(name))
    with pytest.raises(BadCopy, match="no file of it"):
        unpack(buffer.getvalue(), "0" * 64, tmp_path / "copies")
    assert not (tmp_path / "outside").exists()


def test_a_file_that_names_images_is_not_sent_without_them(tmp_path: Path) -> None:
    (tmp_path / "images.toml").touch()
    with pytest.raises(OSError, match="put them on each worker"):
        SentBuilds(client=None).send(tmp_path / "images.toml", "digest")


def test_there_is_no_build(tmp_path: Path) -> None:
    with pytest.raises(FileNotFoundError):
        content_hash(tmp_path / "gone")
