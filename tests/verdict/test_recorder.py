# SPDX-License-Identifier: GPL-2.0-only
"""The verdict: streams and ends, good and bad, and the problems that they come to."""

import signal

import pytest

from lkltest.tap.parser import Parser
from lkltest.verdict.exit_status import exit_problem
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit, Outcome, Problem, ProblemKind
from tests.verdict.recording import (
    GOOD,
    K,
    check_tree,
    outcomes,
    problems,
    record,
)


def test_pass() -> None:
    result = record(GOOD)
    assert result.passed
    assert outcomes(result) == {"mutex": "passed", "semaphore": "passed"}
    assert [(point.number, point.suite) for point in result.points] == [(1, "boot"), (2, "boot")]


@pytest.mark.parametrize(
    "cut",
    ["1..2 # bo", "* 1 mut", "ok 1 mu", "ok 1 mutex # SKIP no su", "# a rem", "1..0 # SKIP no"],
)
def test_a_kernel_bug_in_the_midst_of_a_line_is_heard(cut: str) -> None:
    start = GOOD.index(cut) if cut in GOOD else 0
    whole = f"{GOOD[:start]}{cut}[    1.250000] BUG: spinlock bad magic\n{GOOD[start:]}"
    assert K.BUG in {kind for kind, _ in problems(record(whole))}
    assert record(GOOD.replace("mutex", "BUG: [1]")).passed, "a name may be about one"


def test_a_result_without_number_is_not_what_another_number_announced() -> None:
    result = record("1..2\n* 1 a\nok a\n* 7 b\nok b\n")
    assert problems(result) == [(K.NEVER_REPORTED, "b")]


def test_a_time_stamp_alone_is_nothing() -> None:
    parser = Parser(printk=True)
    events = parser.feed(b"[    0.100000] 1..1\n[    0.100000] ok 1 a\n[    0.100000]")
    assert len(events + parser.close()) == 2


@pytest.mark.parametrize(
    ("stream", "expected"),
    [
        ("", [(K.NO_PLAN, None)]),
        ("hello\n", [(K.NO_PLAN, None)]),
        ("ok 1 a\nok 2 b\n", [(K.NO_PLAN, None)]),
        ("1..3\nok 1 a\nok 2 b\n", [(K.PLAN_NOT_MET, None)]),
        ("1..1\nok 1 a\nok 2 b\n", [(K.TOO_MANY_POINTS, "b")]),
        ("1..0\nok 1 a\n", [(K.TOO_MANY_POINTS, "a")]),
        ("1..2\nok 1 a\nok 1 b\nok 2 c\n", [(K.DUPLICATE_NUMBER, "b")]),
        ("1..1\nok 1 a\nok 0 b\n", [(K.TOO_MANY_POINTS, "b")]),
        ("ok 1 a\nok 2 b\n1..1\n", [(K.TOO_MANY_POINTS, None)]),
        ("1..1\nok 1 a\nBail out! no disk\n", [(K.BAIL_OUT, None)]),
        ("1..1\n* 1 a\nBail out! no disk\nok 1 a\n", [(K.BAIL_OUT, "a")]),
        ("1..1\n* 1 a\nok 1 a\n ---\n log: |\n  x\n", [(K.OPEN_YAML, "a")]),
        ("1..1\nok 1 a\n ---\n log: |\n  x\n", [(K.OPEN_YAML, "a")]),
        (
            "1..2\nok 1 a\n ---\n log: |\n  x\nok 2 b\n",
            [(K.OPEN_YAML, "a")],
        ),
        ("ok 1 a\n1..1", [(K.INCOMPLETE_LINE, None), (K.NO_PLAN, None)]),
        ("1..1\n* 1 a\n", [(K.NEVER_REPORTED, "a"), (K.PLAN_NOT_MET, None)]),
        ("1..2\n* 1 a\n* 2 b\nok 2 b\n", None),
        ("1..1\nok 99999999999999 a\n", None),
        ("1..1\nok 1 " + "x" * 100_000 + "\n", None),
        ("1..99999999999999\nok 1 a\n", None),
    ],
)
def test_bad_stream(stream: str, expected: list[tuple[ProblemKind, str | None]] | None) -> None:
    result = record(stream)
    assert not result.passed
    assert result.problems
    if expected is not None:
        assert problems(result) == expected


@pytest.mark.parametrize(
    "line",
    ["Oops: 0000", "BUG: x", "WARNING: CPU: 0 PID: 1 at x.c:1", "UBSAN: x"],
)
def test_kernel_trouble_is_tied_to_what_was_announced(line: str) -> None:
    in_log = f"1..2\nok 1 a\n ---\n log: |\n  [ 0.1] {line}\n ...\nok 2 b\n"
    between = f"1..2\n* 1 a\n[ 0.1] {line}\nok 1 a\nok 2 b\n"
    for stream in (in_log, between):
        result = record(stream)
        assert [problem.point for problem in result.problems] == ["a"]
        assert outcomes(result) == {"a": "failed", "b": "passed"}
        assert line in result.points[0].reason
    loose = record(f"1..1\nok 1 a\n ---\n log: |\n ...\n{line}\n")
    assert [(problem.point, problem.reason) for problem in loose.problems] == [
        (None, f"{line} (after a)")
    ]
    assert not loose.passed


@pytest.mark.parametrize("block", ["", " ---\n log: |\n ...\n"])
@pytest.mark.parametrize("following", ["ok 3 c\n", "* 3 c\nok 3 c\n"])
def test_trouble_between_two_points_came_after_the_first(block: str, following: str) -> None:
    result = record(f"1..3\nok 1 a\nok 2 b\n{block}[    1.0] BUG: x\n{following}")
    assert [(problem.point, problem.reason) for problem in result.problems] == [
        (None, "BUG: x (after b)")
    ]


def test_trouble_after_kunit_is_not_its_last_tests() -> None:
    kunit = "KTAP version 1\n1..1\n    1..2\n    ok 1 t\n    ok 2 u\nok 1 s\n"
    result = record(f"{kunit}[    1.0] BUG: x\n")
    assert [problem.reason for problem in result.problems] == ["BUG: x (after s)"]
    assert outcomes(result) == {"s": "passed"}


def test_a_panic_and_the_signal_that_follows_are_one_problem() -> None:
    end = "---[ end Kernel panic - not syncing: x ]---"
    stream = f"1..1\nok 1 a\nKernel panic - not syncing: x\n{end}\n"
    for ending in (Exit(None, signal.SIGABRT, "signalled"), Exit(1)):
        (problem,) = record(stream, ending).problems
        assert (problem.kind, problem.reason) == (K.PANIC, "x (after a)")
        assert problem.detail.endswith(end)


def test_harmless_warning() -> None:
    log = "[    0.027739] Warning: unable to open an initial console."
    assert record(f"{log}\n1..1\nok 1 a\n ---\n log: |\n  {log}\n ...\n").passed


def test_panic_in_flight_keeps_its_stack() -> None:
    stack = "".join(f"[  0.06] frame {number}\n" for number in range(100))
    stream = f"1..1\n* 1 start_kernel\n[  0.06] Kernel panic - not syncing: oh\n{stack}"
    result = record(stream, Exit(None, signal.SIGABRT, "signalled"))
    assert problems(result) == [(K.PANIC, "start_kernel")]
    assert result.problems[0].detail.endswith("frame 99")
    assert result.points[0].reason == "never reported: kernel panic: oh"


@pytest.mark.parametrize(
    ("ending", "kind", "reason"),
    [
        (Exit(1), K.EXIT_STATUS, "exited with status 1"),
        (Exit(139), K.EXIT_STATUS, "exited with status 139 (a shell's word for SIGSEGV)"),
        (Exit(255), K.EXIT_STATUS, "exited with status 255"),
        (Exit(None), K.EXIT_STATUS, "exited with status unknown"),
        (Exit(None, 11, "signalled"), K.SIGNAL, "killed by SIGSEGV"),
        (
            Exit(None, 6, "signalled", "core dumped"),
            K.SIGNAL,
            "killed by SIGABRT, core dumped",
        ),
        (Exit(None, 63, "signalled"), K.SIGNAL, "killed by signal 63"),
        (Exit(None, 9, "deadline", "60 s"), K.DEADLINE, "did not end in time, 60 s"),
        (Exit(None, 9, "stall", "10 s"), K.STALL, "was silent for too long, 10 s"),
    ],
)
def test_bad_end(ending: Exit, kind: ProblemKind, reason: str) -> None:
    after = record(GOOD, ending)
    assert [(p.kind, p.point, p.reason) for p in after.problems] == [
        (kind, None, f"{reason} (after semaphore)")
    ]
    within = record(GOOD + "1..1 # boot\n* 1 halt\n", ending)
    unmet = [(K.PLAN_NOT_MET, None)] if kind is K.EXIT_STATUS else []
    assert problems(within) == [(kind, "halt"), *unmet]
    assert within.points[-1].reason == f"never reported: {reason}"


@pytest.mark.parametrize("ending", [Exit(0), Exit(cause="ended")])
def test_good_end(ending: Exit) -> None:
    assert record(GOOD, ending).passed


def test_status_that_proves_nothing() -> None:
    assert record(GOOD, Exit(3), exit_status_matters=False).passed
    assert exit_problem(Exit(None, 11, "signalled"), status_matters=False)
    assert exit_problem(Exit(None, None, "deadline"), status_matters=False)


def test_later_plan_continues_the_suite() -> None:
    stream = "1..1 # disk ext4\nok 1 prepfs\n1..2 # disk ext4\nok 1 add\nok 2 start\n"
    result = record(stream)
    assert result.passed
    assert [(p.number, p.suite) for p in result.points] == [
        (1, "disk ext4"),
        (1, "disk ext4"),
        (2, "disk ext4"),
    ]


def test_plan_cut_short_by_the_next_one() -> None:
    result = record("1..2 # a\nok 1 x\n1..1 # b\nok 1 y\n")
    assert problems(result) == [(K.PLAN_NOT_MET, None)]
    assert "plan 1..2 # a: 1 of 2 points never came: 2" in result.problems[0].reason


def test_plan_comes_last() -> None:
    assert record("ok 1 a\nok 2 b\n1..2\n").passed


@pytest.mark.parametrize(
    ("stream", "name", "reason"),
    [
        ("1..0 # vde tests\nvde not supported\nmore\n", "vde tests", "vde not supported"),
        ("1..0 # SKIP no tap\n", None, "no tap"),
        ("1..1\nok 1 a # SKIP no json\n", "a", "no json"),
        (
            "1..1\nok 1 a # SKIP\n ---\n time_us: 2\n log: |\n  no json\n  no json\n ...\n",
            "a",
            None,
        ),
        ("KTAP version 1\n1..1\nnot ok 1 a # SKIP why\n", "a", "why"),
        ("TAP version 13\n1..1\nnot ok 1 a # SKIP why\n", "a", "why"),
    ],
)
def test_skip(stream: str, name: str | None, reason: str | None) -> None:
    result = record(stream)
    assert result.passed
    (point,) = result.points
    assert point.outcome is Outcome.SKIPPED
    assert point.reason == (reason or "no json")
    assert name in (None, point.name)


def test_points_come_in_any_order() -> None:
    assert record("1..3\nok 2 b\nok 3 c\nok 1 a\n").passed
    assert not record("1..3\nok 2 b\nok 3 c\nok 4 a\n").passed


CUT = "1..1\n* 1 a\nok 1 a"
OPEN = "1..1\nok 1 a\n ---\n x: 1\n ..."


@pytest.mark.parametrize(
    ("stream", "otherwise"),
    [
        (CUT, [(K.INCOMPLETE_LINE, "a"), (K.NEVER_REPORTED, "a"), (K.PLAN_NOT_MET, None)]),
        (OPEN, [(K.INCOMPLETE_LINE, None), (K.OPEN_YAML, "a")]),
    ],
)
def test_a_last_line_without_newline_counts_where_nobody_cut_it(
    stream: str, otherwise: list[tuple[ProblemKind, str | None]]
) -> None:
    assert record(stream, Exit(0)).passed
    assert record(stream, Exit(cause="ended"), is_file=True).passed
    for ending in (
        Exit(1),
        Exit(None, 9, "signalled"),
        Exit(None, 9, "stall"),
        Exit(cause="ended"),
    ):
        found = problems(record(stream, ending))
        told = {K.NEVER_REPORTED, *([] if ending.status or not ending.signal else [K.PLAN_NOT_MET])}
        assert {kind for kind, _ in found} >= {kind for kind, _ in otherwise} - told
    assert problems(record(stream, Exit(cause="ended"))) == otherwise
    assert not record(stream, Exit(0), exit_status_matters=False).passed, "it proves nothing"


def test_a_file_that_says_that_its_program_failed() -> None:
    """Perl's tests say it where only the exit status would."""
    for comment, passed in (
        ("Looks like your test exited with 3 just after 2.", False),
        ("Looks like your test died before it could output anything.", False),
        ("Looks like your test exited with 0 or so", True),
        ("It looks like your test died", True),
    ):
        stream = f"1..1\nok 1 a\n# {comment}\n"
        result = record(stream, Exit(cause="ended"), is_file=True)
        assert result.passed is passed
        assert record(stream, Exit(0)).passed, "the status is known"


def test_a_last_line_that_is_no_tap_may_go_without_newline() -> None:
    for last in ("# the end", "last words", "[    0.1"):
        assert record(f"{GOOD}{last}", Exit(cause="ended")).passed
    assert not record("1..1\nok 1 a\nnot ok 2 b").passed


def test_bail_out_ends_it_at_once() -> None:
    recorder, parser = Recorder(), Parser()
    for event in parser.feed(b"1..3\nok 1 a\nbail OUT! no disk\n"):
        recorder.add(event)
    assert recorder.done
    assert problems(recorder.finish(Exit(cause="ended")))[0] == (K.BAIL_OUT, None)


def test_todo_is_no_failure() -> None:
    result = record("1..2\nnot ok 1 a # TODO later\nok 2 b # TODO\n")
    assert result.passed
    assert outcomes(result) == {"a": "todo", "b": "passed"}
    assert result.points[0].reason == "later"


def test_names_are_kept_apart_and_never_empty() -> None:
    stream = "1..1 # x\n* 1 \nok 1 \n1..4 # x\nok 1 a\nok 2 a\nok 3\n* 4 \nok 4 \n"
    assert list(outcomes(record(stream))) == [
        "(unnamed 1)",
        "a",
        "a#2",
        "(unnamed 3)",
        "(unnamed 4)",
    ]


def test_announced_name_wins_over_none() -> None:
    assert list(outcomes(record("1..1\n* 1 mutex\nok 1\n"))) == ["mutex"]


def test_repeated_stream() -> None:
    twice = GOOD + GOOD
    assert record(twice).passed
    result = record(twice, reboot_is_failure=True)
    assert problems(result) == [(K.REPEATED, "mutex#2"), (K.REPEATED, "semaphore#2")]
    other = (
        "1..1 # disk\n* 1 \nok 1 \n1..1 # disk\n* 1 \nok 1 \n1..1 # net\nok 1 x\n1..1 # b\nok 1 x\n"
    )
    assert record(other, reboot_is_failure=True).passed


def test_in_flight_and_done() -> None:
    recorder, parser = Recorder(), Parser()

    def feed(text: str) -> None:
        for event in parser.feed(text.encode()):
            recorder.add(event)

    assert not recorder.done
    seen = []
    for line in GOOD.splitlines(keepends=True):
        feed(line)
        seen.append((recorder.in_flight, recorder.done))
    assert seen[1] == ("mutex", False)
    assert seen[3] == ("semaphore", False)
    feed(" ---\n log: |\n")
    assert not recorder.done
    feed(" ...\n")
    assert recorder.done
    assert recorder.in_flight is None


def test_wall_time() -> None:
    recorder, parser = Recorder(), Parser()
    recorder.add(parser.feed(b"1..2\n")[0], 1.0)
    recorder.add(parser.feed(b"* 1 sleep\n")[0], 2.0)
    events = parser.feed(b"ok 1 sleep\n ---\n time_us: 1000\n log: |\n ...\n")
    (point,) = recorder.add(events[0], 5.5)
    assert point.seconds == 3.5
    (event,) = parser.feed(b"ok 2 quick\n ---\n time_us: 1000\n log: |\n ...\n")
    (point,) = recorder.add(event, 6.0)
    assert point.seconds == 0.001


def test_given_problems() -> None:
    recorder, parser = Recorder(), Parser()
    for event in parser.feed(b"1..2\nok 1 a\n* 2 b\n") + parser.close():
        recorder.add(event)
    crash = Problem(K.CRASH, "page fault", recorder.in_flight)
    given_problems = [crash, Problem(K.HELPER, "died", "a"), Problem(K.GUEST, "odd", "nowhere")]
    result = recorder.finish(Exit(0), given_problems, 1.5)
    check_tree(result)
    assert problems(result) == [
        (K.NEVER_REPORTED, "b"),
        (K.CRASH, "b"),
        (K.HELPER, "a"),
        (K.GUEST, None),
    ]
    assert outcomes(result) == {"a": "failed", "b": "failed"}
    assert result.points[1].reason == "never reported: crash: page fault"
    assert result.seconds == 1.5


def test_properties_from_the_banner() -> None:
    banner = "[ 0.0] Linux version 4.9.0 (u@h) (gcc version 12.2.0 (Debian 12.2.0-14) ) #1 Sat"
    expected = {"kernel": "4.9.0", "compiler": "gcc version 12.2.0 (Debian 12.2.0-14)"}
    assert record(f"{banner}\n{GOOD}").properties == expected
    in_log = f"1..1\nok 1 a\n ---\n log: |\n  {banner}\n ...\n"
    assert record(in_log).properties == expected
    assert record(GOOD).properties == {}


class TestMeanwhile:
    """What others than the program said while a point was in flight."""

    SAID = "[    1.570000] FAT-fs (ubda): codepage cp437 not found"
    LOG = " ---\n log: |\n  mount = -22\n ...\n"

    def log(self, *middle: str, end: str = f"not ok 1 mount\n{LOG}") -> str:
        said = "".join(f"{line}\n" for line in middle)
        return record(f"1..1 # disk\nbefore\n* 1 mount\n{said}{end}").points[0].log

    def test_it_comes_before_a_failed_points_own_log(self) -> None:
        assert self.log(self.SAID, "# a remark").splitlines() == [
            *(self.SAID, "# a remark", "mount = -22")
        ]

    def test_a_point_that_passed_has_its_own_alone(self) -> None:
        assert self.log(self.SAID, end=f"ok 1 mount\n{self.LOG}") == "mount = -22"

    def test_nothing_is_said_twice(self) -> None:
        assert self.log("# a remark", end="not ok 1 mount\n") == "# a remark"
        report = "[    1.250000] BUG: spinlock bad magic"
        assert "spinlock" not in self.log(report), "the problem has it"

    def test_of_a_flood_the_end_is_kept_in_whole_lines(self) -> None:
        lines = self.log(*(f"line {number}" for number in range(2000))).splitlines()
        assert lines[-2:] == ["line 1999", "mount = -22"]
        assert 100 < len(lines) < 500
        assert all(line.startswith("line ") for line in lines[:-1])

    def test_where_nothing_was_announced_it_belongs_to_nobody(self) -> None:
        stream = f"1..1\n{self.SAID}\nnot ok 1 mount\n{self.LOG}"
        assert record(stream).points[0].log == "mount = -22"
