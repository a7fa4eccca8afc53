# SPDX-License-Identifier: GPL-2.0-only
"""l4re: the tests of an L4Re build tree, its `.t` files, each a variant."""

from lkltest.plugin.suite_run import SuiteRun


def test_l4re(lkl: SuiteRun, own_test: str) -> None:
    lkl.need(own_test)
    lkl.run(own_test)
