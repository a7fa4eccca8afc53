# SPDX-License-Identifier: GPL-2.0-only
"""An invented night with one of everything that a report has to show, hostile texts included."""

from dataclasses import replace

from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.model.change import Change, ChangeKind, PointHistory
from lkltest.nightly.report.model import CellModel, FlakyPoint, NightModel, TrendPoint
from lkltest.verdict.results import (
    Outcome,
    PointResult,
    Problem,
    ProblemKind,
    SuiteResult,
    suite_title,
)

STARTED = 1_795_226_400.0  # 2026-11-21 02:00:00 UTC
COMMIT = "0123456789abcdef0123456789abcdef01234567"
OLDER = "fedcba9876543210fedcba9876543210fedcba98"
HOSTILE = (
    "</pre><script>document.title='owned'</script><img src=x onerror=alert(1)> & \x1b[31m\u202e|`"
)
"""Ends elements, starts scripts, drives terminals, breaks Markdown's tables and code spans."""

SUITES = (("boot", ""), ("disk", "ext4"), ("disk", "btrfs"), ("net", "tap"))
NIGHTS = tuple(f"2026-{10 + day // 31}-{day % 31 + 1:02}T02-00-00" for day in range(22, 52))
NIGHT = NIGHTS[-1]


def suite_result(suite: str, variant: str, host: str, *points: PointResult) -> SuiteResult:
    """A run with nine passed points and the given ones."""
    passed = tuple(
        PointResult(f"step {number}", Outcome.PASSED, number, seconds=0.01)
        for number in range(1, 10)
    )
    return SuiteResult(
        suite,
        variant,
        host,
        (*passed, *points),
        properties={"kernel": "6.12.0-lkl", "compiler": "gcc 12.2.0", "machine": "x86_64"},
        seconds=1.25,
        started=STARTED,
    )


def cell(build: str, host: str, result: SuiteResult | None, **other: object) -> CellModel:
    """The cell of a suite run."""
    suite, variant = (result.suite, result.variant) if result else ("net", "tap")
    view = CellModel(
        build,
        host,
        suite,
        variant,
        CellOutcome(result.outcome.value) if result else CellOutcome.ERROR,
        result,
        "",
        result.seconds if result else 9.5,
        f"lkltest run '{suite}' --host {host} --build builds/{build}",
        results=(result,) if result else (),
        commit=COMMIT if build == "next" else "",
    )
    return replace(view, **other)  # type: ignore[arg-type]


def example_night() -> NightModel:
    """The night: a new failure, an error, a known failure, a slow point, flaky and fixed ones."""
    cells = []
    for build in ("stable", "next"):
        for host in ("native", "qemu", "wine"):
            cells += [_cell(build, host, suite, variant) for suite, variant in SUITES]
    failure = "disk[ext4]@native#next/readdir"
    flaky = "net[tap]@qemu#stable/tcp"
    return NightModel(
        NIGHT,
        STARTED,
        NIGHTS[-2],
        "x86_64 Linux 6.1.0",
        tuple(cells),
        changes=(
            Change(
                ChangeKind.NEW_FAILURE,
                failure,
                HOSTILE,
                "passed",
                "failed",
                commit_before=OLDER,
                commit_after=COMMIT,
            ),
            Change(ChangeKind.VANISHED, "boot@wine#stable/gone", "", "passed", None),
            Change(ChangeKind.ERROR, "net[tap]@wine#next", "worker died twice: tcp://10.0.0.2:1"),
            Change(
                ChangeKind.SLOWER,
                "boot@native#next/step 3",
                "3.2 times its usual time",
                "passed",
                "passed",
                0.5,
                1.6,
                commit_before=OLDER,
                commit_after=COMMIT,
            ),
            Change(ChangeKind.STILL_FAILING, "boot@qemu#next/clock", "late", "failed", "failed"),
            Change(ChangeKind.FLAKY, flaky, "failed 4 of 30 nights", "passed", "failed"),
            Change(ChangeKind.FIXED, "net[tap]@native#stable/udp", "", "failed", "passed"),
            Change(ChangeKind.ADDED, "boot@native#next/brand new", "", None, "passed"),
        ),
        histories={
            failure: _history(failure, ["passed"] * 29 + ["failed"]),
            flaky: _history(flaky, (["passed"] * 6 + ["failed"]) * 4 + ["passed", "failed"]),
        },
        suite_trends={
            (suite_title(suite, variant), host, "next"): _trend(
                1.0 + number, number == 1 and host == "native"
            )
            for number, (suite, variant) in enumerate(SUITES)
            for host in ("native", "qemu")
        },
        flaky=(FlakyPoint(flaky, 9, 4, 30),),
        seconds=125.0,
        failed=True,
        notes=("the history is locked: this night is not in it",),
        properties={"lkltest": "0.1.0", "name": "nightly <b>example</b>"},
    )


def _cell(build: str, host: str, suite: str, variant: str) -> CellModel:
    where = (build, host, suite)
    if where == ("next", "wine", "net"):
        lost = "worker died twice: tcp://10.0.0.2:1"
        return cell(build, host, None, error=lost, log=f"last words\n{HOSTILE}")
    if where == ("stable", "wine", "net"):
        return cell(build, host, SuiteResult(suite, variant, host, skip="no TAP under Wine"))
    if where == ("next", "native", "disk") and variant == "ext4":
        bad = PointResult("readdir", Outcome.FAILED, 10, reason=HOSTILE, log=f"oops\n{HOSTILE}\n")
        return cell(build, host, suite_result(suite, variant, host, bad))
    if where == ("next", "qemu", "boot"):
        late = PointResult("clock", Outcome.FAILED, 10, reason="late", log="clock: 3 s late\n")
        known = {"clock": "QEMU's clock without KVM"}
        return cell(build, host, suite_result(suite, variant, host, late), known=known)
    if where == ("stable", "qemu", "net"):
        bad = PointResult("tcp", Outcome.FAILED, 10, log="connection reset\n")
        result = suite_result(suite, variant, host, bad)
        panic = Problem(ProblemKind.PANIC, "Attempted to kill init!", None, "Call Trace:\n  panic")
        return cell(build, host, replace(result, problems=(panic,)))
    extra = PointResult("later", Outcome.TODO, 10, reason="not there yet")
    return cell(build, host, suite_result(suite, variant, host, extra))


def _history(id_: str, outcomes: list[str]) -> PointHistory:
    seconds = tuple(0.01 + 0.001 * (number % 3) for number in range(len(outcomes)))
    return PointHistory(id_, tuple(map(Outcome, outcomes)), seconds, NIGHTS)


def _trend(base: float, regresses: bool) -> tuple[TrendPoint, ...]:
    """Thirty nights with some noise; one that regresses is half as slow again from night 21 on."""
    points = []
    for number, night in enumerate(NIGHTS):
        slow = 1.5 if regresses and number >= 20 else 1.0
        noise = 1 + 0.04 * ((number * 7) % 5 - 2)
        points.append(TrendPoint(night, base * slow * noise, COMMIT[:12], slow > 1 and number < 23))
    return tuple(points)
