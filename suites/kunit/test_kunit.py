# SPDX-License-Identifier: GPL-2.0-only
"""kunit: what the kernel's own tests said while it booted."""

import pytest

from lkltest.plugin.suite_run import SuiteRun
from lkltest.verdict.kernel_log import ktap_of, whole_ktap, without_expected
from lkltest.verdict.results import PointResult


def test_kunit(lkl: SuiteRun) -> None:
    lkl.require("kunit")
    points, console = lkl.listen("boot", until=has_all)
    ktap = ktap_of(console, [point.log for point in points])
    if ktap:
        lkl.replay(without_expected(whole_ktap(ktap) or ktap), printk=True)
    elif not lkl.problems:
        pytest.skip("no KTAP in the kernel's boot log: it was built without CONFIG_KUNIT")


def has_all(console: bytes, points: list[PointResult]) -> bool:
    """Whether KUnit has ended: what the program does then is the boot suite's."""
    return whole_ktap(ktap_of(console, [point.log for point in points])) != b""
