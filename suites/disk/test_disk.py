# SPDX-License-Identifier: GPL-2.0-only
"""disk: write, read back and remount files on each file system, then ask its own fsck."""

from collections.abc import Callable

import pytest

from lkltest.host.disk import Disk, check
from lkltest.plugin.suite_run import SuiteRun


@pytest.mark.parametrize("filesystem", ["ext4", "btrfs", "vfat", "xfs"])
def test_disk(lkl: SuiteRun, disk_image: Callable[[str], Disk], filesystem: str) -> None:
    disk = disk_image(filesystem)
    lkl.run("disk", "-d", disk, "-t", filesystem)
    result = check(disk, lkl.scope)
    # Upstream's own program leaves vfat's dirty bit; ours has to unmount cleanly.
    forgiven = result.dirty_bit_only and lkl.build.kind != "bundled"
    lkl.point("fsck", result.clean or forgiven, result.log)
