# SPDX-License-Identifier: GPL-2.0-only
"""Consoles of real L4Re images, played by a real machine: what comes of each, and when."""

from __future__ import annotations

import re
from collections import Counter
from pathlib import Path

import pytest

from lkltest.deadline import Deadlines
from lkltest.hosts.qemu.console import GuestConsole
from lkltest.hosts.qemu.verdict import Verdict
from lkltest.verdict.consequences import distinct
from lkltest.verdict.results import Outcome, ProblemKind, ProgramResult
from tests.compiler import ROOT
from tests.hosts.l4re.moe_log import Client, MoeLog
from tests.hosts.qemu.fixtures import play

CONSOLES = ROOT.parent / "shared" / "console" / "l4re"
LIMITS = Deadlines(total=30, silence=10, first_byte=10, plan=10)
SOON = 8.0
"""Seconds: less than any of the limits, so that none of them was waited for."""


def console(name: str) -> bytes:
    path = CONSOLES / f"{name}-tcg.log"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    return path.read_bytes()


def counts(result: ProgramResult) -> dict[str, int]:
    return dict(Counter(point.outcome.value for point in result.points))


@pytest.mark.parametrize(
    ("name", "how", "expected"),
    [
        ("ak_test_cmdline_flags", "end=idle", {"passed": 8}),
        ("ak_reboot", "end=reboot", {"passed": 8}),
        ("ak_reboot", "end=poweroff", {"passed": 8}),
        ("arm64_pass", "end=idle", {"passed": 4, "skipped": 1}),
        ("kut-mapdb", "end=idle", {"passed": 7}),
    ],
)
def test_passes(tmp_path: Path, name: str, how: str, expected: dict[str, int]) -> None:
    result = play(tmp_path, console(name), how, LIMITS)
    assert result.passed, result.problems
    assert counts(result) == expected


def test_a_bundle_ends_after_its_last_test(tmp_path: Path) -> None:
    result = play(tmp_path, console("bundle2"), "end=idle", LIMITS)
    assert counts(result) == {"passed": 13, "skipped": 4, "failed": 2}
    assert not result.problems, "a comment of a test is no set-up error"
    assert {point.suite for point in result.points} == {
        "test_cmdline_flags",
        "test_cmdline_options",
        "test_partner",
    }


@pytest.mark.parametrize("tests", [1, 2])
def test_a_bundle_is_waited_for(tmp_path: Path, tests: int) -> None:
    """A silence between two tests ends nothing."""
    stream = console("bundle2")
    pause = 0
    for _ in range(tests):
        pause = stream.index(b"TAP TEST FINISHED\r\n", pause) + 19
    result = play(tmp_path, stream, f"pause={pause} end=idle", LIMITS)
    assert len(result.points) == 19


def test_a_bundle_with_too_few_tests_fails(tmp_path: Path) -> None:
    stream = console("bundle2")
    stream = stream[: stream.index(b"Running 3/3")]
    result = play(tmp_path, stream, "end=idle", Deadlines(20, 3, 10, 10))
    assert result.exit.note == "3 s, the bundle's 3 tests: 2 finished"
    (tmp_path / "x").mkdir()
    end = play(tmp_path / "x", stream + b"BUNDLE TEST FINISH\r\n", "end=idle", LIMITS)
    assert ProblemKind.PLAN_NOT_MET in {problem.kind for problem in end.problems}
    assert end.seconds < SOON


def test_a_bundle_whose_tests_have_tags_of_their_own(tmp_path: Path) -> None:
    """The one that announces a bundle need not run its tests, one of which may come twice."""
    log = MoeLog()
    runner, first, second = (Client(tag, 2) for tag in (b"runner", b"test_one", b"test_two"))
    log.beside(b"L4 Bootstrapper")
    log.write(runner, b"BUNDLE TEST START\nBUNDLE TEST EXPECT TEST COUNT 3\n")
    pauses = []
    for number, client in enumerate((first, second, first), 1):
        name = client.tag
        log.write(runner, b"Running %d/3 %s\n" % (number, name))
        log.write(client, b"TAP TEST START\n1..1\nok same name\nTAP TEST FINISHED\n")
        pauses.append(len(log.wire) + log.wire.count(b"\n"))
    stream = bytes(log.wire).replace(b"\n", b"\r\n")
    result = play(tmp_path, stream, f"pause={pauses[1]} end=idle", LIMITS)
    assert result.passed, result.problems
    assert len(result.points) == 3 and result.seconds < SOON


def test_ned_announces_a_pause_in_seconds_too(tmp_path: Path) -> None:
    stream = console("seq").replace(b"Ned: Sleeping 1000ms", b"Ned: Sleeping 3s")
    pause = stream.index(b"Ned: Sleeping 3s\r\n") + 18
    result = play(tmp_path, stream, f"pause={pause} end=idle", LIMITS)
    assert result.exit.note == "nothing more came for 5 s"
    assert len(result.points) == 10


def test_properties_of_points_are_the_run_s(tmp_path: Path) -> None:
    lines = [b"TAP TEST START", b"1..1", b"ok Group::Name # SKIP no", b"#    Test-uuid: 1-2"]
    stream = b"".join(line + b"\r\n" for line in [*lines, b"TAP TEST FINISHED"])
    result = play(tmp_path, stream, "end=idle", LIMITS)
    assert result.properties["Group::Name: Test-uuid"] == "1-2"


@pytest.mark.parametrize(
    ("point", "status", "passes"),
    [(b"ok 1 a # SKIP b", 1, True), (b"ok 1 a", 1, False), (b"ok 1 a # SKIP b", 2, False)],
)
def test_status_1_after_skipped_points(
    tmp_path: Path, point: bytes, status: int, passes: bool
) -> None:
    """Atkins says it of a test whose SKIP stands in a function that the test calls."""
    lines = [b"L4 Bootstrapper", b"TAP TEST START", b"1..1", point, b"TAP TEST FINISHED"]
    lines += [b"MOE: task 3200 exited with %d" % status]
    result = play(tmp_path, b"".join(line + b"\r\n" for line in lines), "end=idle", LIMITS)
    assert result.passed is passes, result.problems


def test_programs_one_after_the_other_are_all_waited_for(tmp_path: Path) -> None:
    stream = console("seq")
    pause = stream.index(b"Ned: Sleeping 1000ms\r\n") + 22
    result = play(tmp_path, stream, f"pause={pause} end=idle", LIMITS)
    assert len(result.points) == 10
    assert counts(result)["failed"] == 1
    assert result.exit.note == "nothing more came for 3 s"


def test_a_status_that_moe_prints_counts(tmp_path: Path) -> None:
    stream = console("bare_exit3")
    result = play(tmp_path, stream, "end=idle", LIMITS)
    (problem,) = result.problems
    assert problem.kind is ProblemKind.EXIT_STATUS and result.exit.status == 3
    assert counts(result) == {"passed": 2}


@pytest.mark.parametrize("name", ["bundle2", "ned-pass", "kut-mapdb"])
def test_a_program_that_bails_out_is_not_waited_for(tmp_path: Path, name: str) -> None:
    """Also in a `TAP TEST` block that stays open, and in any case."""
    stream = console(name)
    result = re.search(rb"(?m)^(.*)ok [^\n]*\n", stream)
    assert result is not None
    stream = stream[: result.end()] + result[1] + b"BAIL out! no memory\r\n"
    played = play(tmp_path, stream, "end=idle", LIMITS)
    assert [problem.kind for problem in played.problems] == [ProblemKind.BAIL_OUT]
    assert played.seconds < SOON


@pytest.mark.parametrize("status", [0, 3])
def test_an_early_end_is_told_at_once(tmp_path: Path, status: int) -> None:
    stream = console("bare_exit3")
    stream = (
        stream[: stream.index(b"* 2 semaphore")] + b"MOE: task 3700 exited with %d\r\n" % status
    )
    result = play(tmp_path, stream, "end=idle", LIMITS)
    assert not result.passed and result.seconds < SOON
    assert ProblemKind.PLAN_NOT_MET in {problem.kind for problem in result.problems}


def test_status_69_is_a_skip(tmp_path: Path) -> None:
    stream = console("bare_exit3")
    stream = stream[: stream.index(b"1..2 # boot")] + b"MOE: task 3700 exited with 69\r\n"
    result = play(tmp_path, stream, "end=idle", LIMITS)
    assert not result.problems
    assert [point.outcome for point in result.points] == [Outcome.SKIPPED]
    assert "69" in result.points[0].reason


@pytest.mark.parametrize(
    ("lines", "kind", "said"),
    [
        (
            b"l4re_itas: ERROR: rom/t: Unhandled exception: PC=0x400181 PFA=0x4008 LdrFlgs=0x0",
            ProblemKind.CRASH,
            "Unhandled exception: PC=0x400181",
        ),
        (
            b"rom/t: t.c: 10: main: Assertion `argc > 99' failed.\r\n"
            b"l4re_itas: FATAL: Fatal signal: Aborted (si_signo=6, si_code=0)",
            ProblemKind.CRASH,
            "Assertion `argc > 99' failed.",
        ),
        (
            b"terminate called after throwing an instance of 'N2L417Element_not_foundE'",
            ProblemKind.CRASH,
            "an exception was not caught",
        ),
        (
            b"terminate called from 0xa001da46 after throwing an instance of 'E'\r\n"
            b"  what: No such object found: rom/nothere\r\nMOE: task 3800 exited with 70",
            ProblemKind.SETUP,
            "No such object found: rom/nothere",
        ),
        (
            b"Panic: Nested trap handler not yet initialized\r\n\r\nPress any key to reboot.",
            ProblemKind.PANIC,
            "Panic: Nested trap handler not yet initialized",
        ),
        (b"something\r\n\r\nKey press reboots...", ProblemKind.SETUP, "bootstrap has given up"),
        (
            b"FATAL exception in MOE:\r\nException: No such object found: rom/l4re.",
            ProblemKind.SETUP,
            "FATAL exception in MOE: Exception: No such object found: rom/l4re.",
        ),
    ],
)
def test_one_event_is_one_problem(
    tmp_path: Path, lines: bytes, kind: ProblemKind, said: str
) -> None:
    result = play(tmp_path, b"L4 Bootstrapper\r\n" + lines + b"\r\n", "end=idle", LIMITS)
    (problem,) = distinct(result.problems)
    assert problem.kind is kind and said in problem.reason
    assert result.seconds < SOON
    console, verdict = GuestConsole(), Verdict()
    for line in lines.splitlines(keepends=True):  # also where its second line comes later
        console.feed(line.rstrip(b"\r\n") + b"\r\n")
        verdict.look(console)
    (problem, *_) = verdict.problems
    assert problem.kind is kind and said in problem.reason


@pytest.mark.parametrize(
    ("name", "kind", "said"),
    [
        ("missing", ProblemKind.SETUP, "No such object found: rom/no_such_program"),
        ("arm64_el1", ProblemKind.SETUP, "started in EL1"),
        ("lkl_kdebug", ProblemKind.CRASH, "the kernel debugger was entered"),
        ("lkl-crash", ProblemKind.CRASH, "unhandled write page fault"),
    ],
)
def test_is_told_at_once(tmp_path: Path, name: str, kind: ProblemKind, said: str) -> None:
    result = play(tmp_path, console(name), "end=idle", LIMITS)
    (problem,) = [problem for problem in result.problems if problem.kind is kind]
    assert said in problem.reason
    assert result.seconds < SOON
