# SPDX-License-Identifier: GPL-2.0-only
"""vfio: LKL's own driver for NVMe, on the disk of a machine with an IOMMU, then fsck."""

from collections.abc import Callable
from dataclasses import replace

import pytest

from lkltest.host.disk import Disk, check
from lkltest.plugin.suite_run import SuiteRun


@pytest.mark.parametrize("filesystem", ["ext4", "vfat"])
def test_vfio(lkl: SuiteRun, disk_image: Callable[[str], Disk], filesystem: str) -> None:
    lkl.need("disk-vfio-pci")
    if not lkl.host.hands_over:
        pytest.skip("a disk to give away takes a machine of its own: --host qemu")
    disk = disk_image(filesystem)
    lkl.run("disk-vfio-pci", "-n", replace(disk, handed_over=True), "-t", filesystem)
    result = check(disk, lkl.scope)
    lkl.point("fsck", result.clean or result.dirty_bit_only, result.log)
