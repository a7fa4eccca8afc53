# SPDX-License-Identifier: GPL-2.0-only
"""dlmopen: two kernels in one process, each a copy of the shared library."""

import pytest

from lkltest.host.executable import identify
from lkltest.plugin.suite_run import SuiteRun


def test_dlmopen(lkl: SuiteRun) -> None:
    lkl.need("test-dlmopen", "liblkl.so")
    machine = identify(lkl.file("test-dlmopen")).machine
    if machine != "x86_64":
        pytest.skip(f"upstream's program does nothing on {machine}, only on x86_64")
    lkl.run("test-dlmopen", environment={"LD_LIBRARY_PATH": str(lkl.file("liblkl.so").parent)})
