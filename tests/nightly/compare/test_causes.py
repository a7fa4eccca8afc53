# SPDX-License-Identifier: GPL-2.0-only
"""Changes gathered by cause, and the words that a night gets for them."""

from dataclasses import replace
from datetime import date
from pathlib import Path

from lkltest.nightly.compare.causes import causes
from lkltest.nightly.compare.known import Known, KnownFailure
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.nightly.report.labels import Verdict, headline, is_news, verdict
from lkltest.nightly.report.model import NightModel
from lkltest.nightly.report.text import lines, night_line, summary
from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind
from tests.nightly.compare.synthetic import record
from tests.nightly.compare.test_compare import all_after

WHOLE = tuple(PointResult(f"step {n}", Outcome.PASSED) for n in range(12))
NEW, STILL = ChangeKind.NEW_FAILURE, ChangeKind.STILL_FAILING


def crash(*points: PointResult) -> CellRecord:
    signal = Problem(ProblemKind.SIGNAL, "killed by SIGSEGV")
    plan = Problem(ProblemKind.PLAN_NOT_MET, "12 planned")
    whole = record(points)
    return replace(whole, results=(replace(whole.results[0], problems=(plan, signal)),))


def night(*changes: Change, failed: bool = False) -> NightModel:
    return NightModel("n", 0.0, None, "", (), changes, failed=failed)


def test_a_crash_with_all_that_follows_is_one_line() -> None:
    changes = all_after(record(WHOLE), crash(WHOLE[0]))
    assert len(changes) == 13
    (line,) = lines(changes)
    assert line == "NEW FAILURE    disk[ext4]@native#b/(signal): killed by SIGSEGV; 13 points"
    assert summary(changes) == "new failure: 13 points, 1 cause"
    assert headline(night(*changes, failed=True)) == "FAILED: new failure: 13 points, 1 cause"


def test_the_point_that_a_run_ended_in_speaks_for_it() -> None:
    last = PointResult("step 1", Outcome.FAILED, reason="never reported: killed by SIGSEGV")
    changes = all_after(record(WHOLE), crash(WHOLE[0], last))
    (cause,) = causes(changes)
    assert len(cause.changes) == 13
    again = all_after(record(WHOLE), crash(WHOLE[0], last), crash(WHOLE[0], last))
    (cause,) = causes(again)
    assert cause.lead.kind is STILL, "a crash stays a failure"


def test_what_a_known_crash_did_not_reach_is_known() -> None:
    last = PointResult("step 1", Outcome.FAILED, reason="never reported: killed by SIGSEGV")
    entry = KnownFailure("disk[ext4]@native/step 1", "planted")
    changes = all_after(
        record(WHOLE), record((WHOLE[0], last)), known=Known((entry,), date(2026, 1, 1))
    )
    assert {one.kind for one in changes} == {ChangeKind.KNOWN}
    (line,) = lines(changes)
    assert line.startswith("known failure  disk[ext4]@native#b/step 1: planted: never reported")
    assert line.endswith("; 11 points")


def test_the_same_failure_elsewhere_is_one_line() -> None:
    bad = (*WHOLE[:-1], replace(WHOLE[-1], outcome=Outcome.FAILED))
    cells = [Cell("b", host, "disk", v) for host in ("native", "wine") for v in ("ext4", "xfs")]
    changes = all_after([record(WHOLE, c) for c in cells], [record(bad, c) for c in cells])
    assert lines(changes) == [
        "NEW FAILURE    disk[ext4]@native#b/step 11: not ok;"
        " also in disk[xfs]@native#b, disk[ext4]@wine#b, disk[xfs]@wine#b"
    ]


def test_cells_are_counted_as_cells() -> None:
    gone = [Change(ChangeKind.VANISHED, f"disk[{v}]@a#b", "so") for v in ("ext4", "xfs")]
    assert summary(gone) == "vanished: 2 cells, 1 cause"


def test_different_points_are_different_causes() -> None:
    told = [Change(NEW, "boot@a#b/x", "so"), Change(NEW, "boot@a#b/y", "so")]
    assert len(causes([*told, Change(STILL, "boot@w#b/x"), Change(NEW, "net@a#b/x", "so")])) == 4


def test_what_vanished_without_a_crash_stands_alone() -> None:
    changes = all_after(record(WHOLE), record(WHOLE[:-1]))
    assert [cause.lead.kind for cause in causes(changes)] == [ChangeKind.VANISHED]


def test_a_night_with_failures_is_never_ok() -> None:
    still = [Change(STILL, "boot@a#b/x"), Change(STILL, "boot@a#b/y")]
    assert headline(night(*still)) == "no news, 2 still failing"
    assert verdict(night(*still)) is Verdict.FAILING
    fixed = Change(ChangeKind.FIXED, "boot@a#b/z")
    assert headline(night(*still, fixed)) == "no new failure, 2 still failing, 1 fixed"
    assert headline(night(fixed)) == "ok: 1 fixed"
    assert headline(night()) == "ok: nothing changed"


def test_the_last_line_has_the_colour_of_the_page() -> None:
    still = Change(STILL, "boot@native#b/mmap")
    line = night_line(night(still), Path("nights/n"), colour=True)
    assert "\x1b[33mno news, 1 still failing\x1b[0m; " in line
    assert "\x1b[32mok: nothing changed\x1b[0m; " in night_line(night(), Path("n"), colour=True)
    assert "\x1b" not in night_line(night(still), Path("n"))
    assert verdict(night(Change(NEW, "boot@a#b/x"))) is Verdict.FAILING, "--fail-on none"


def failing(reason: str) -> CellRecord:
    return record((PointResult("a", Outcome.FAILED, reason=reason),))


def test_another_reason_than_the_night_before_is_said_and_is_news() -> None:
    same = all_after(failing("timed out after 9.5 s"), failing("timed out after 31 s"))
    assert [change.reason_before for change in same] == [""]
    assert not is_news(night(*same)) and headline(night(*same)) == "no news, 1 still failing"
    changes = all_after(failing("timed out"), failing("timed out"), failing("killed by SIGSEGV"))
    (line,) = lines(changes)
    assert line == (
        "still failing  disk[ext4]@native#b/a: since n000: now killed by SIGSEGV, before timed out"
    )
    assert is_news(night(*changes))
    assert headline(night(*changes)) == "no new failure, 1 still failing, 1 for another reason"


def test_what_fails_for_another_reason_speaks_for_its_cause() -> None:
    there = [failing("x"), failing("x")]
    elsewhere = [replace(one, cell=Cell("b", "uml", "disk", "ext4")) for one in there]
    elsewhere[1] = replace(elsewhere[1], results=failing("y").results)
    changes = all_after(*([here, other] for here, other in zip(there, elsewhere, strict=True)))
    (cause,) = causes(changes)
    assert (cause.lead.reason_before, len(cause.changes)) == ("x", 2)


def test_trouble_that_was_there_before_is_no_news() -> None:
    unfit = NightModel("n", 0.0, None, "", (), notes=("worker a gets no cell",))
    assert is_news(unfit)
    assert not is_news(replace(unfit, notes_before=unfit.notes))
    assert is_news(replace(unfit, notes=(*unfit.notes, "b is lost"), notes_before=unfit.notes))
