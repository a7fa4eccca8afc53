# SPDX-License-Identifier: GPL-2.0-only
"""kunit: what the kernel's own tests said while it booted."""

import pytest

from lkltest.plugin.suite_run import SuiteRun
from lkltest.verdict.kernel_log import ktap_of


def test_kunit(lkl: SuiteRun) -> None:
    boot, console = lkl.listen("boot")
    ktap = ktap_of(console, [point.log for point in boot.points])
    if ktap:
        lkl.replay(ktap, printk=True)
    elif not lkl.problems:
        pytest.skip("no KTAP in the kernel's boot log: it was built without CONFIG_KUNIT")
