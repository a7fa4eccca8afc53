# SPDX-License-Identifier: GPL-2.0-only
"""dlmopen: two kernels in one process, each a copy of the shared library."""

from lkltest.plugin.suite_run import SuiteRun


def test_dlmopen(lkl: SuiteRun) -> None:
    lkl.need("test-dlmopen", "liblkl.so")
    lkl.run("test-dlmopen", environment={"LD_LIBRARY_PATH": str(lkl.file("liblkl.so").parent)})
