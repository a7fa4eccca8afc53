# SPDX-License-Identifier: GPL-2.0-only
"""The time of each night, of one run or several."""

import pytest

from lkltest.nightly.compare.compare import nightly_seconds
from lkltest.nightly.model.change import PointHistory
from lkltest.verdict.results import Outcome


def history(*runs: tuple[str, float | None]) -> PointHistory:
    nights = tuple(night for night, _ in runs)
    seconds = tuple(took for _, took in runs)
    return PointHistory("disk@native/a", (Outcome.PASSED,) * len(runs), seconds, nights)


@pytest.mark.parametrize(
    ("runs", "seconds"),
    [
        ([], []),
        ([("n1", 2.0)], [2.0]),
        ([("n1", 9.0), ("n1", 1.0), ("n1", 2.0), ("n2", 3.0)], [2.0, 3.0]),
        ([("n1", 1.0), ("n1", 2.0), ("n2", None), ("n2", 4.0)], [2.0, 4.0]),
        ([("n1", 1.0), ("n2", None), ("n3", 3.0)], [1.0, 3.0]),
        ([("n1", 1.0), ("n2", None)], []),  # tonight has none: there is nothing to compare
        ([("n1", None)], []),
    ],
)
def test_a_nights_time_is_the_median_of_its_runs(
    runs: list[tuple[str, float | None]], seconds: list[float]
) -> None:
    assert nightly_seconds(history(*runs)) == seconds
