# SPDX-License-Identifier: GPL-2.0-only
"""cptofs and cpfromfs: a tree copied into an image and out of it, nothing mounted here."""

import os
from collections.abc import Callable
from pathlib import Path

import pytest

from lkltest.host.disk import Disk, check
from lkltest.host.file_tree import (
    GROUP,
    OWNER,
    PLAIN,
    describe,
    differences,
    given_to,
    without,
    write,
)
from lkltest.host.image_reader import READERS, missing_reader, read_image
from lkltest.plugin.suite_run import SuiteRun
from lkltest.verdict.exit_status import exit_problem

_READ_ONLY = "XFS (vda): log recovery write I/O error"
"""LKL does not tell its kernel that an image was opened read-only."""


@pytest.mark.parametrize("filesystem", ["ext4", "btrfs", "vfat", "xfs"])
def test_cptofs(lkl: SuiteRun, disk_image: Callable[[str], Disk], filesystem: str) -> None:
    lkl.need("cptofs", "cpfromfs")
    disk = disk_image(filesystem)
    given, taken = lkl.scope.folder / "given", lkl.scope.folder / "taken"
    given.mkdir()
    taken.mkdir()
    write(given, filesystem)
    expected = without(describe(given), "names")
    folders = sorted(given.iterdir())
    root = os.geteuid() == 0  # what others read out of an image is theirs
    owner = ("-o", str(OWNER), "-g", str(GROUP)) if root and filesystem not in PLAIN else ()
    if not copy(lkl, "cptofs", disk, *owner, *map(str, folders), "/"):
        return
    result = check(disk, lkl.scope)
    lkl.point("fsck", result.clean or result.dirty_bit_only, result.log)
    reader, missing = READERS[filesystem][0], missing_reader(filesystem)
    if missing is None:
        written = given_to(expected, f"{OWNER}:{GROUP}") if root else without(expected, "owner")
        lost = differences(written, read_image(disk, lkl.scope), filesystem)
        lkl.point(f"read by {reader}", not lost, lost)
    else:
        lkl.skip_point(f"read by {reader}", str(missing))
    if copy(lkl, "cpfromfs", disk, *(f"/{folder.name}" for folder in folders), str(taken)):
        ours = given_to(expected, f"{os.geteuid()}:{os.getegid()}")
        lost = differences(ours, describe(taken), filesystem)
        lkl.point("the same", not lost, lost)
    one = Path("files", "small")
    if copy(lkl, "cpfromfs", disk, f"/{one}", str(taken), point="one file"):
        file = taken / one.name
        same = file.is_file() and file.read_bytes() == (given / one).read_bytes()
        lkl.point("the same file", same, "" if file.is_file() else f"{one.name}: missing")


def copy(lkl: SuiteRun, program: str, disk: Disk, *words: str, point: str = "") -> bool:
    """Run one of the two, as a test point."""
    options = ("-p", "-t", disk.filesystem, "-i")
    ended, said = lkl.tool(program, *options, disk, *words, forgiven=_READ_ONLY)
    if _READ_ONLY in said:
        reason = "XFS writes to its log while it is mounted, and cpfromfs opens the image read-only"
        lkl.skip_point(point or program, reason)
        return False
    problem = exit_problem(ended)
    lkl.point(point or program, problem is None, f"{said}\n{problem or ''}".strip())
    return ended.status == 0
