# SPDX-License-Identifier: GPL-2.0-only
"""config: the library reads its configuration out of a JSON file."""

from lkltest.plugin.suite_run import SuiteRun


def test_config(lkl: SuiteRun) -> None:
    lkl.need("config")
    lkl.run("config")
