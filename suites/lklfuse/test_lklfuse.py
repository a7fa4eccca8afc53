# SPDX-License-Identifier: GPL-2.0-only
"""lklfuse: a file system of LKL's, mounted through FUSE; what it wrote is read by other programs.

The mount is in a mount namespace of the run's own, with which it goes.
"""

import ast
import os
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lkltest.host import file_tree
from lkltest.host.disk import Disk, ToolHangs, check, run_tool
from lkltest.host.file_tree import Tree, differences, without
from lkltest.host.image_reader import READERS, missing_reader, read_image
from lkltest.plugin.suite_run import SuiteRun

_DEVICE = Path("/dev/fuse")
_OPTIONS = {"vfat": ",opts=utf8"}


@pytest.mark.parametrize("filesystem", ["ext4", "btrfs", "vfat", "xfs"])
def test_lklfuse(lkl: SuiteRun, disk_image: Callable[[str], Disk], filesystem: str) -> None:
    lkl.need("lklfuse")
    if not os.access(_DEVICE, os.R_OK | os.W_OK):
        pytest.skip(f"{_DEVICE} cannot be opened: run as root, or modprobe fuse")
    lkl.private_mounts()
    disk = disk_image(filesystem)
    folder = lkl.scope.folder / "mnt"
    folder.mkdir()
    mounted = Mount(lkl, disk, folder)
    if not mounted.up("mount"):
        return
    expected = mounted.tree("write and read back", "write", str(folder), filesystem)
    if mounted.hangs or not mounted.down("unmount") or expected is None:
        return
    if not mounted.up("mount again"):
        return
    found = mounted.tree("read", "describe", str(folder))
    if found is not None:
        lost = differences(expected, found, "")
        lkl.point("the same after remounting", not lost, lost)
    if not mounted.hangs:
        mounted.down("unmount again")
    if mounted.hangs:
        return
    result = check(disk, lkl.scope)
    lkl.point("fsck", result.clean, result.log)
    compare_with_reader(lkl, disk, expected)


class Mount:
    """The image, mounted by lklfuse: each step is a test point."""

    def __init__(self, lkl: SuiteRun, disk: Disk, folder: Path) -> None:
        self._lkl, self._disk, self._folder = lkl, disk, folder
        self.hangs = False
        """Whether lklfuse has not answered, and was ended."""

    def up(self, point: str) -> bool:
        """Mount it and wait until it is."""
        options = f"type={self._disk.filesystem}{_OPTIONS.get(self._disk.filesystem, '')}"
        self._helper = self._lkl.start(
            "lklfuse", self._disk, str(self._folder), "-f", "-o", options, tap=False
        )
        there = self._helper.wait_until(self._is_mounted, self._lkl.deadlines.plan)
        told = "" if there else f"no file system appeared\n{self._helper.told()}"
        self._lkl.point(point, there, told)
        return there

    def down(self, point: str) -> bool:
        """Unmount it and wait for the program's end."""
        status, output = self._use("umount", str(self._folder))
        gone = status == 0 and self._helper.ended_well(self._lkl.deadlines.plan)
        self._lkl.point(point, gone, "" if gone else f"{output}\n{self._helper.told()}".strip())
        return gone

    def tree(self, point: str, *words: str) -> Tree | None:
        """The answer of the tree's own program."""
        status, output = self._use(sys.executable, "-I", "-S", file_tree.__file__, *words)
        self._lkl.point(point, status == 0, "" if status == 0 else output)
        tree: Tree | None = ast.literal_eval(output) if status == 0 else None
        return tree

    def _use(self, *command: str) -> tuple[int | None, str]:
        """The status and output of a program that uses the mount; no status: it did not end.

        It is given up before lklfuse, which says nothing meanwhile, so that that can be asked why.
        """
        try:
            return run_tool(self._lkl.scope, command, None, self._lkl.deadlines.silence / 2)
        except ToolHangs as error:
            self.hangs = True
            self._helper.does_not_answer(f"has not answered {Path(command[0]).name}")
            return None, str(error)

    def _is_mounted(self) -> bool:
        mounts = Path(f"/proc/{self._lkl.scope.pid}/mounts").read_text(encoding="utf-8")
        return f" {self._folder} fuse" in mounts


def compare_with_reader(lkl: SuiteRun, disk: Disk, expected: Tree) -> None:
    """A test point: a program without LKL reads the same."""
    point = f"read by {READERS[disk.filesystem][0]}"
    missing = missing_reader(disk.filesystem)
    if missing is not None:
        lkl.skip_point(point, str(missing))
        return
    untold = ("names",) if os.geteuid() == 0 else ("names", "owner")  # chown takes root
    known = without(expected, *untold)
    lost = differences(known, read_image(disk, lkl.scope), disk.filesystem)
    lkl.point(point, not lost, lost)
