# SPDX-License-Identifier: GPL-2.0-only
"""Changes: cells without results, problems without points, known failures, other machines."""

from dataclasses import replace
from datetime import date

import pytest

from lkltest.nightly.compare.known import Known, KnownFailure, all_known, known_points
from lkltest.nightly.history import queries
from lkltest.nightly.history.store import History
from lkltest.nightly.model.cell import Cell, CellOutcome, CellRecord
from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.nightly.report.build_model import cell_model, suite_trends
from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind, SuiteResult
from tests.nightly.compare.synthetic import changes, record

CELL = Cell("b", "native", "disk", "ext4")
ID = "disk[ext4]@native#b"
PASSED, FAILED, SKIPPED = Outcome.PASSED, Outcome.FAILED, Outcome.SKIPPED


def points(**outcomes: Outcome) -> tuple[PointResult, ...]:
    return tuple(PointResult(name, outcome) for name, outcome in outcomes.items())


def crashed(**outcomes: Outcome) -> CellRecord:
    result = SuiteResult("disk", "ext4", "native", points(**outcomes), (SIGNAL,))
    return replace(record(()), results=(result,))


SIGNAL = Problem(ProblemKind.SIGNAL, "killed by SIGSEGV")
SKIP = replace(record(()), results=(SuiteResult("disk", "ext4", "native", skip="no mkfs"),))
ERROR = CellRecord(CELL, (), "killed after 5 s", machine="m", arch="x86_64")
GOOD = record(points(a=PASSED, b=PASSED))


def after(
    *nights: CellRecord | list[CellRecord], known: Known | None = None
) -> list[tuple[str, str]]:
    """Kind and id of what changed in the last of `nights`."""
    return [(change.kind.value, change.id) for change in all_after(*nights, known=known)]


def all_after(*nights: CellRecord | list[CellRecord], known: Known | None = None) -> list[Change]:
    """All that changed in the last of `nights`."""
    with History(None) as history:
        for number, records in enumerate(nights):
            name = f"n{number:03}"
            history.begin_night(name, float(number), "x", "0")
            for one in records if isinstance(records, list) else [records]:
                history.add(name, queries.run_rows(one))
            history.finish_night(name, number + 0.5)
        return changes(history, f"n{len(nights) - 1:03}", known)


class TestReasons:
    def test_a_point_that_is_gone_says_what_ended_the_run(self) -> None:
        (gone,) = [c for c in all_after(GOOD, record(points(a=PASSED))) if c.id == f"{ID}/b"]
        assert gone.reason == "it is not in this run"
        (gone,) = [c for c in all_after(GOOD, crashed(a=PASSED)) if c.id == f"{ID}/b"]
        assert gone.reason == "the run ended with (signal)"

    def test_a_cell_says_what_it_was_before(self) -> None:
        (first,) = all_after(ERROR)
        (later,) = all_after(GOOD, ERROR)
        assert (first.before, later.before) == (None, CellOutcome.PASSED)


class TestCells:
    def test_the_first_night(self) -> None:
        assert after(record(points(a=PASSED, b=FAILED))) == [("new", f"{ID}/b")]
        assert after(ERROR) == [("error", ID)]

    def test_a_cell_without_a_result_is_one_line(self) -> None:
        assert after(GOOD, ERROR) == [("error", ID)]

    def test_after_it_the_night_before_counts(self) -> None:
        assert after(GOOD, ERROR, GOOD) == []
        assert after(GOOD, ERROR, record(points(a=PASSED, b=FAILED))) == [("new", f"{ID}/b")]
        assert after(GOOD, ERROR, record(points(a=PASSED))) == [("vanished", f"{ID}/b")]

    def test_a_cell_that_is_skipped_as_a_whole(self) -> None:
        assert after(GOOD, SKIP) == [("skipped", ID)]
        assert after(GOOD, SKIP, SKIP) == []

    def test_a_cell_that_comes_and_goes(self) -> None:
        other = record(points(a=FAILED), Cell("b", "native", "boot"))
        new = [("new", "boot@native#b/a"), ("added", "boot@native#b")]
        assert after(GOOD, [GOOD, other]) == new
        assert after([GOOD, other], GOOD) == [("vanished", "boot@native#b")]
        assert after([GOOD, other], GOOD, GOOD) == []

    def test_a_failure_without_a_point(self) -> None:
        crash = crashed(a=PASSED)
        assert after(GOOD, crash) == [("new", f"{ID}/(signal)"), ("vanished", f"{ID}/b")]
        assert after(GOOD, crash, crash) == [("still", f"{ID}/(signal)")]
        fixed = after(crashed(a=PASSED, b=PASSED), GOOD)
        assert fixed == [("fixed", f"{ID}/(signal)")]
        assert after(*[GOOD, crashed(a=PASSED, b=PASSED)] * 4) == [("flaky", f"{ID}/(signal)")]

    def test_one_failed_repeat_is_a_failure(self) -> None:
        both = replace(GOOD, results=GOOD.results + record(points(a=PASSED, b=FAILED)).results)
        assert after(GOOD, both) == [("new", f"{ID}/b")]

    def test_what_returns_after_a_crash_is_not_added(self) -> None:
        whole, cut = record(points(a=PASSED, b=FAILED)), crashed(a=PASSED)
        found = after(GOOD, whole, cut, whole)
        assert found == [("still", f"{ID}/b"), ("fixed", f"{ID}/(signal)")]
        assert after(GOOD, cut, GOOD) == [("fixed", f"{ID}/(signal)")]

    def test_nor_what_returns_after_a_point_that_was_never_reported(self) -> None:
        reason = "never reported: killed by SIGABRT"
        cut = record((PointResult("a", FAILED, reason=reason),))
        assert after(GOOD, cut, GOOD) == [("fixed", f"{ID}/a")]

    def test_still_failing_keeps_the_commits_of_its_first_night(self) -> None:
        nights = [
            record(points(a=outcome), replace(CELL, commit=commit))
            for outcome, commit in [(PASSED, "aa"), (FAILED, "bb"), (FAILED, "cc")]
        ]
        (change,) = all_after(*nights)
        assert change.kind is ChangeKind.STILL_FAILING and change.commits == "aa..bb"

    def test_subtests(self) -> None:
        inner = PointResult("inner", FAILED, reason="7 is not 8")
        outer = record((PointResult("outer", FAILED, children=(inner,)),))
        found = after(GOOD, outer)
        assert ("new", f"{ID}/outer/inner") in found


class TestPlatforms:
    def test_another_architecture_is_another_platform(self) -> None:
        bad = record(points(a=PASSED, b=FAILED), arch="aarch64")
        assert after(bad, GOOD) == [("added", ID)], "nothing is fixed by running elsewhere"
        assert after(GOOD, bad, GOOD) == []

    def test_times_of_another_machine_do_not_count(self) -> None:
        def timed(machine: str, seconds: float) -> CellRecord:
            return record((PointResult("a", PASSED, seconds=seconds),), machine=machine)

        nights = [timed("fast", 1 + number % 3 / 100) for number in range(20)]
        assert after(*nights, *[timed("slow", 5.0)] * 5) == []
        assert after(*nights, *[timed("fast", 5.0)] * 3) == [("slower", f"{ID}/a")]


class TestKnown:
    TODAY = date(2026, 11, 21)

    def known(self, pattern: str, expires: date | None = None) -> Known:
        return Known((KnownFailure(pattern, "so", "", expires),), self.TODAY)

    @pytest.mark.parametrize(
        ("pattern", "fits"),
        [
            ("disk[ext4]@native/b", True),
            ("disk[ext4]@native#b/b", True),
            ("disk[ext4]@native#c/b", False),
            ("disk[*]@*/b", True),
            ("disk@native/b", True),
            ("disk[e]@native/b", False),
            ("disk[ext4]@nat?ve/?", True),
            ("disk[ext4]@native/bb", False),
        ],
    )
    def test_patterns(self, pattern: str, fits: bool) -> None:
        assert KnownFailure(pattern, "").fits(f"{ID}/b") is fits

    def test_classes(self) -> None:
        bad, known = record(points(a=PASSED, b=FAILED)), self.known("disk[ext4]@native/b")
        assert after(GOOD, bad, known=known) == [("known", f"{ID}/b")]
        assert after(bad, GOOD, known=known) == [("outdated", f"{ID}/b")]
        every = self.known("disk@*/*")
        assert after(GOOD, bad, known=every) == [("known", f"{ID}/b")]
        assert after(bad, GOOD, known=every) == [("outdated", f"{ID}/*")]
        skipped = record(points(a=PASSED, b=SKIPPED))
        assert after(skipped, skipped, known=known) == []

    def test_the_day_itself_still_counts(self) -> None:
        bad = record(points(a=PASSED, b=FAILED))
        today = self.known("disk@native/b", self.TODAY)
        assert after(GOOD, bad, known=today) == [("known", f"{ID}/b")]
        past = self.known("disk@native/b", date(2026, 11, 20))
        assert after(GOOD, bad, known=past) == [("expired", f"{ID}/b")]
        assert ("expired", "disk@native/b") in after(GOOD, GOOD, known=past)

    def test_a_longer_lived_entry_wins(self) -> None:
        both = Known(
            (
                KnownFailure("disk@native/b", "old", "", date(2026, 1, 1)),
                KnownFailure("disk@native/*", "new"),
            ),
            self.TODAY,
        )
        bad = record(points(a=FAILED, b=FAILED))
        found = after(GOOD, bad, known=both)
        assert [kind for kind, _ in found] == ["known", "known"]

    def test_a_cell_whose_failures_are_all_known_has_passed(self) -> None:
        status = Problem(ProblemKind.EXIT_STATUS, "exited with status 1")
        result = SuiteResult("disk", "ext4", "native", points(a=PASSED, b=FAILED), (status,))
        one = replace(GOOD, results=(result,))
        known = self.known("disk@native/b")
        assert known_points(result, ID, known) == {"b": "so", "(exit status)": "so"}
        assert cell_model(one, known).outcome is CellOutcome.PASSED
        assert cell_model(one, Known()).outcome is CellOutcome.FAILED
        other = replace(result, problems=(status, SIGNAL))
        names = known_points(other, ID, known)
        assert names == {"b": "so"} and not all_known(other, names)


def test_a_trend_marks_where_it_became_slower() -> None:
    with History(None) as history:
        for number in range(30):
            name = f"n{number:02}"
            history.begin_night(name, float(number), "x", "0")
            seconds = (1.0 if number < 20 else 2.0) + number % 3 / 50
            result = replace(GOOD.results[0], seconds=seconds)
            history.add(name, queries.run_rows(replace(GOOD, results=(result,))))
        platforms = queries.platforms_of(history, "n29")
        trends = suite_trends(queries.histories_of(history, "n29", platforms), {(ID, "n20"): "abc"})
    trend = trends["disk[ext4]", "native", "b"]
    assert [point.night for point in trend if point.regressed] == ["n20"]
    assert trend[20].commit == "abc"


@pytest.mark.parametrize(
    ("wanted", "found"),
    [
        (None, "n2"),
        ("n0", "n0"),
        ("1970-01-02", "n1"),
        ("1970-02-02", "n2"),
        ("abc1110", "n1"),
        ("abc111", "n1"),
        ("abc000", "n0"),
    ],
)
def test_baselines(wanted: str | None, found: str) -> None:
    with History(None) as history:
        for number in range(4):
            name = f"n{number}"
            history.begin_night(name, 43_200.0 + number * 86_400, "x", "0")
            cell = replace(CELL, commit=f"abc{number}{number}{number}0")
            history.add(name, queries.run_rows(record(points(a=PASSED), cell)))
            history.add(
                name, queries.run_rows(record(points(a=PASSED), replace(CELL, suite="other")))
            )
            history.finish_night(name, 1.0)
        assert queries.baseline_of(history, "n3", wanted) == found
        for nothing in ("1969-01-01", "abc", "fffffff", "%", "*", "", "v6.12", "nix"):
            with pytest.raises(queries.NoBaseline):
                queries.baseline_of(history, "n3", nothing)


def test_every_kind_has_a_place() -> None:
    from lkltest.nightly.report.labels import LABELS

    assert set(LABELS) == set(ChangeKind)
