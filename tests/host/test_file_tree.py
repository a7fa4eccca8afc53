# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.host.file_tree and image_reader: a tree compared, and read out of images by others."""

import os
from pathlib import Path

import pytest

from lkltest.host.disk import disk_image, run_tool
from lkltest.host.file_tree import describe, differences, given_to, without, write
from lkltest.host.image_reader import missing_reader, read_image
from lkltest.sandbox.scope import Scope


def test_each_difference_is_a_line(tmp_path: Path) -> None:
    write(tmp_path, "ext4")
    before = describe(tmp_path)
    assert differences(before, before, "ext4") == ""
    (tmp_path / "files" / "small").write_bytes(b"other line\n")
    (tmp_path / "files" / "empty").unlink()
    (tmp_path / "files" / "more").touch()
    (tmp_path / "links" / "mode-600").chmod(0o640)
    (tmp_path / "links" / "second-name").unlink()
    lines = differences(before, describe(tmp_path), "ext4").splitlines()
    assert [line.partition(",")[0] for line in lines if "content" not in line] == [
        "files/empty: missing",
        "links/second-name: missing",
        "files/more: not expected",
        "files/small: size is 11",
        "links/mode-600: mode is 0640",
        "links/mode-640: names is 1",
    ]
    assert len(lines) == 7


def test_an_owner_is_compared_where_he_is_known(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    expected = describe(tmp_path)
    assert expected["file"]["owner"] == f"{os.geteuid()}:{os.getegid()}"
    other = given_to(expected, "77:88")
    assert "file: owner is 77:88" in differences(expected, other, "ext4")
    assert differences(expected, without(other, "owner"), "ext4") == ""
    assert differences(expected, other, "vfat") == ""


def test_a_vfat_that_took_utf8_for_latin1(tmp_path: Path) -> None:
    write(tmp_path, "vfat")
    expected = describe(tmp_path)
    mangled = {path.encode().decode("latin-1"): known for path, known in expected.items()}
    assert differences(expected, mangled, "vfat") == ""
    assert "missing" in differences(expected, mangled, "ext4")


@pytest.mark.parametrize(
    ("filesystem", "fill"),
    [
        ("ext4", ("mkfs.ext4", "-q", "-F", "-d", "{tree}", "{disk}")),
        ("btrfs", ("mkfs.btrfs", "-q", "-f", "--rootdir", "{tree}", "{disk}")),
    ],
)
def test_images_made_by_others_are_read(
    tmp_path: Path, filesystem: str, fill: tuple[str, ...]
) -> None:
    missing = missing_reader(filesystem)
    if missing is not None:
        pytest.skip(str(missing))
    write(tmp_path, filesystem)
    expected = without(describe(tmp_path), "names")
    with Scope() as scope, disk_image(filesystem, scope, None) as disk:
        words = tuple(word.replace("{tree}", os.fspath(tmp_path)) for word in fill)
        status, output = run_tool(scope, words, disk)
        assert status == 0, output
        found = read_image(disk, scope)
    assert differences(expected, found, filesystem) == ""
