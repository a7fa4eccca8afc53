# SPDX-License-Identifier: GPL-2.0-only
"""boot: start the kernel, make system calls, halt it."""

from lkltest.plugin.suite_run import SuiteRun


def test_boot(lkl: SuiteRun) -> None:
    lkl.run("boot")
