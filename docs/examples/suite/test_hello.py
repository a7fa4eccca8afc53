# SPDX-License-Identifier: GPL-2.0-only
"""A suite of one's own, with its own program, hello.c beside it: `lkltest run test_hello.py`."""

import pytest

from lkltest import SuiteRun


@pytest.mark.parametrize("name", ["world", "moon"])
def test_hello(lkl: SuiteRun, name: str) -> None:
    """hello: greets the world, and nobody else."""
    if name == "moon":
        lkl.skip_point("is greeted", "nobody lives there")
        return
    result = lkl.run("hello", name)
    lkl.point("in time", result.seconds < lkl.deadlines.total)
