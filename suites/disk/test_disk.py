# SPDX-License-Identifier: GPL-2.0-only
"""disk: write, read back and remount files on each file system, then ask its own fsck."""

import re
from collections.abc import Callable

import pytest

from lkltest.host.build import filesystem_reason
from lkltest.host.disk import Disk, check
from lkltest.plugin.suite_run import SuiteRun
from lkltest.verdict.results import Outcome, PointResult

_NO_DRIVER = re.compile(r"^\s*lkl_mount_dev\(.*\) = -19\b", re.MULTILINE)
"""mount() knows no file system of this name: upstream's programs go on, and hang or crash."""
_NO_CHARSET = re.compile(r"FAT-fs \(\S+\): ((?:codepage|IO charset) \S+) not found")
"""Linux, fs/fat/inode.c: it cannot mount any vfat then (CONFIG_NLS_CODEPAGE_437 and others)."""


@pytest.mark.parametrize("filesystem", ["ext4", "btrfs", "vfat", "xfs"])
def test_disk(lkl: SuiteRun, disk_image: Callable[[str], Disk], filesystem: str) -> None:
    lkl.need("disk")
    disk = disk_image(filesystem)

    def unsupported(point: PointResult) -> str | None:
        if point.outcome is not Outcome.FAILED:
            return None
        if charset := _NO_CHARSET.search(point.log):
            return filesystem_reason(lkl.build, charset[1])
        unknown = _NO_DRIVER.search(point.log)
        return filesystem_reason(lkl.build, filesystem) if unknown else None

    lkl.run("disk", "-d", disk, "-t", filesystem, unsupported=unsupported)
    result = check(disk, lkl.scope)
    # Upstream's own program leaves vfat's dirty bit; ours has to unmount cleanly.
    forgiven = result.dirty_bit_only and lkl.build.kind != "bundled"
    lkl.point("fsck", result.clean or forgiven, result.log)
