# SPDX-License-Identifier: GPL-2.0-only
"""Consoles that are played by a guest: a real machine, a real serial port, real QMP."""

from __future__ import annotations

import time
from pathlib import Path

import pytest

from lkltest.deadline import Deadlines
from lkltest.errors import LaunchError
from lkltest.host.api import Launch
from lkltest.host.execution import Execution
from lkltest.hosts.qemu.host import QemuHost
from lkltest.sandbox.scope import Scope
from lkltest.tap.parser import Parser
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit, Outcome, ProblemKind, ProgramResult
from tests.compiler import ROOT
from tests.hosts.qemu.fixtures import HALF, PLAYED, STREAMS, image, play

L4RE = STREAMS / "l4re"
RECORDED = sorted([*STREAMS.glob("bundled/*.tap"), *(ROOT / "tests" / "golden").rglob("*.tap")])
SHORT = Deadlines(total=20, silence=1.5, first_byte=3, plan=3)


def kinds(result: ProgramResult) -> set[ProblemKind]:
    return {problem.kind for problem in result.problems}


@pytest.mark.parametrize("file", RECORDED, ids=lambda file: f"{file.parent.name}-{file.stem}")
def test_a_recorded_stream(tmp_path: Path, file: Path) -> None:
    """The events of a stream through a machine are those that the parser makes of its bytes."""
    stream = file.read_bytes()
    recorder, parser = Recorder(reboot_is_failure=True), Parser()
    for event in (*parser.feed(stream), *parser.close()):
        recorder.add(event)
    expected = recorder.finish(Exit(cause="ended"))
    result = play(tmp_path, stream.replace(b"\n", b"\r\n"), "end=poweroff")
    assert [(each.name, each.outcome, each.log) for each in result.points] == [
        (each.name, each.outcome, each.log) for each in expected.points
    ]
    fails = "failing" in str(file.relative_to(ROOT))
    assert result.passed == expected.passed == (not fails)


@pytest.mark.parametrize("name", ["ned-pass", "lkl-pass"])
def test_a_passing_stream_of_l4re(tmp_path: Path, name: str) -> None:
    result = play(tmp_path, L4RE / f"{name}.raw")
    assert result.passed
    assert [point.name for point in result.points] == ["mutex", "semaphore", "join"]
    assert result.points[0].seconds is not None
    assert "ä long" in result.points[2].log


def test_a_failing_stream_of_l4re(tmp_path: Path) -> None:
    result = play(tmp_path, L4RE / "ned-fail.raw")
    assert not result.problems
    assert [point.outcome for point in result.points] == [
        Outcome.PASSED,
        Outcome.FAILED,
        Outcome.PASSED,
    ]


@pytest.mark.parametrize("name", ["ned-crash", "lkl-crash"])
def test_a_crash_of_l4re_has_its_dump_and_its_point(tmp_path: Path, name: str) -> None:
    result = play(tmp_path, L4RE / f"{name}.raw")
    (crash,) = [problem for problem in result.problems if problem.kind is ProblemKind.CRASH]
    assert crash.point == "semaphore"
    assert "unhandled write page fault at 0xa pc=0x400683" in crash.reason
    assert "[utcb]" in crash.detail, "the whole dump is there"
    assert result.seconds < 10, "nobody waits for a deadline"


def test_a_long_tag_is_known_by_what_is_shown_of_it(tmp_path: Path) -> None:
    lines = (b"\x1b[32mlonger-t| " + line + b"\x1b[0m\r\n" for line in PLAYED.splitlines())
    assert play(tmp_path, b"".join(lines), deadlines=SHORT, tag="longer-than-eight").passed


def test_programs_that_write_at_once(tmp_path: Path) -> None:
    result = play(tmp_path, L4RE / "ned-multi.raw")
    names = {point.name for point in result.points}
    assert {"mutex", "semaphore", "loop"} <= names
    (crash,) = [problem for problem in result.problems if problem.kind is ProblemKind.CRASH]
    assert crash.point == "semaphore"
    assert "loop" not in crash.detail, "the dump is of the program that crashed"


def test_a_second_boot_is_a_failure(tmp_path: Path) -> None:
    result = play(tmp_path, L4RE / "ned-pass-reboot.raw")
    assert ProblemKind.REPEATED in kinds(result)


def test_points_that_come_again_are_a_failure(tmp_path: Path) -> None:
    assert ProblemKind.REPEATED in kinds(play(tmp_path, PLAYED + PLAYED))


@pytest.mark.parametrize(
    ("end", "kind", "text"),
    [
        ("triple", ProblemKind.CRASH, "reset the machine"),
        ("reboot", ProblemKind.CRASH, "reset the machine"),
        ("poweroff", ProblemKind.GUEST, "powered off"),
        ("panic", ProblemKind.PANIC, "pvpanic"),
    ],
)
def test_the_monitor_decides(tmp_path: Path, end: str, kind: ProblemKind, text: str) -> None:
    result = play(tmp_path, HALF, f"end={end}")
    found = [problem for problem in result.problems if problem.kind is kind]
    assert found and text in found[0].reason
    assert result.points[-1].name == "second" and result.points[-1].outcome is Outcome.FAILED
    assert result.seconds < 5


def test_a_power_off_when_all_is_done_is_an_end(tmp_path: Path) -> None:
    assert play(tmp_path, PLAYED, "end=poweroff").passed


@pytest.mark.parametrize("status", [0, 1])
def test_isa_debug_exit_gives_the_status(tmp_path: Path, status: int) -> None:
    result = play(tmp_path, PLAYED, f"end=exit{status}", debug_exit=True)
    assert result.exit.status == status
    assert result.passed == (status == 0)


@pytest.mark.parametrize(
    ("end", "verdict"), [("idle", "idle: "), ("spin", "spinning at 0x"), ("jdb", "spinning")]
)
def test_a_hang_is_reported(tmp_path: Path, end: str, verdict: str) -> None:
    result = play(tmp_path, HALF, f"end={end} -serial_esc", SHORT)
    (stall,) = [problem for problem in result.problems if problem.kind is ProblemKind.STALL]
    assert stall.point == "second"
    assert "machine: running" in stall.detail and verdict in stall.detail
    assert "HLT=" in stall.detail
    if end == "spin":
        assert "spin_here of player" in stall.detail
    if end == "jdb":
        assert "CPU 0: 1 ready thread" in stall.detail
    else:
        assert "after an NMI" in stall.detail


def test_a_picture_of_the_display(tmp_path: Path) -> None:
    kept = tmp_path / "kept"
    kept.mkdir()
    options = {"lkl_qemu_keep": str(kept)}
    result = play(tmp_path, HALF, "end=idle", SHORT, options, display=True)
    (stall,) = [problem for problem in result.problems if problem.kind is ProblemKind.STALL]
    (picture,) = kept.glob("*.png")
    assert str(picture) in stall.detail
    assert picture.read_bytes().startswith(b"\x89PNG")
    (raw,) = kept.glob("*.raw")
    assert raw.read_bytes() == HALF
    assert (kept / f"{raw.name}.times").read_text().split()[1] == "0"


def test_no_byte_is_no_boot(tmp_path: Path) -> None:
    result = play(tmp_path, PLAYED, "mute=60000", Deadlines(20, 20, 1.5, 20))
    (problem,) = [problem for problem in result.problems if problem.kind is ProblemKind.NO_BOOT]
    assert "not a byte" in problem.reason and "machine: running" in problem.detail


def test_no_plan_is_no_boot(tmp_path: Path) -> None:
    result = play(tmp_path, b"hello\r\nworld\r\n", deadlines=Deadlines(20, 20, 5, 1.5))
    (problem,) = [problem for problem in result.problems if problem.kind is ProblemKind.NO_BOOT]
    assert "world" in problem.reason


def test_a_plan_in_the_last_bytes_is_a_plan(tmp_path: Path) -> None:
    """All in one portion, and then a hang in the point that it announces."""
    result = play(tmp_path, HALF, deadlines=Deadlines(20, 2.5, 5, 1.5))
    assert ProblemKind.STALL in kinds(result) and ProblemKind.NO_BOOT not in kinds(result)


def test_an_image_may_have_limits_of_its_own(tmp_path: Path) -> None:
    minute = Deadlines(60, 60, 60, 60)
    result = play(tmp_path, b"hello\r\n", "end=idle", minute, deadlines_of_image={"plan": 1.0})
    assert ProblemKind.NO_BOOT in kinds(result)
    assert result.seconds < 20


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("No such object found: rom/x", ProblemKind.SETUP),
        ("MOE: FATAL exception in MOE", ProblemKind.SETUP),
        ("Ned: lua error: rom/x.cfg:3: oops", ProblemKind.SETUP),
        ("Kernel panic - not syncing: no init", ProblemKind.PANIC),
        ("\x1b[1mjdb: \x1b[K", ProblemKind.CRASH),
    ],
)
def test_the_console_decides(tmp_path: Path, line: str, kind: ProblemKind) -> None:
    ending = b"" if "jdb" in line else b"\r\n"
    result = play(tmp_path, b"L4 Bootstrapper\r\n" + line.encode() + ending)
    assert kind in kinds(result)
    assert result.seconds < 5


def test_a_last_point_without_a_block(tmp_path: Path) -> None:
    result = play(tmp_path, b"TAP version 13\r\n1..1\r\nok 1 - only\r\n")
    assert result.passed
    assert result.seconds < 5


def test_blocks_with_prefixes(tmp_path: Path) -> None:
    console = (
        b"noise ok 7 nothing\r\na: TAP TEST START\r\na: TAP version 13\r\na: 1..2\r\n"
        b"b: TAP TEST START\r\na: ok 1 x\r\nb: 1..1\r\nok 9 stray\r\nb: ok 1 y\r\n"
        b"a: not ok 2 z\r\na: TAP TEST FINISHED\r\nb: TAP TEST FINISH\r\n"
    )
    result = play(tmp_path, console)
    assert [point.name for point in result.points] == ["x", "z", "y"]
    assert [point.outcome for point in result.points][1] is Outcome.FAILED
    assert not result.problems


def test_two_machines_at_once(tmp_path: Path) -> None:
    host = QemuHost()
    folders = [tmp_path / "a", tmp_path / "b"]
    for folder in folders:
        folder.mkdir()
    names = [image(folder, PLAYED, "speed=2000") for folder in folders]
    with Scope() as scope:
        runs = [
            Execution(host, host.launch(Launch(name, (), {}, Deadlines(60, 60, 60, 60)), scope))
            for name in names
        ]
        both = [run.points() for run in runs]
        firsts = [next(points).name for points in both]
        assert firsts == ["first", "first"]
        for points in both:
            list(points)
        assert all(run.result is not None and run.result.passed for run in runs)


def test_two_megabytes_at_serial_speed_are_no_hang(tmp_path: Path) -> None:
    log = b"[    1.000000] a line of the kernel's log that goes on for a while\r\n" * 30_000
    console = b"1..1 # flood\r\n* 1 a\r\n" + log + b"ok 1 a\r\n"
    # Paced, so that it outlasts the limit for silence on a fast machine as well.
    result = play(tmp_path, console, "speed=300000", Deadlines(120, 3, 5, 5))
    assert result.passed
    assert result.seconds > 3


def test_a_machine_that_prints_for_ever_is_ended(tmp_path: Path) -> None:
    started = time.monotonic()
    result = play(tmp_path, PLAYED + b"noise\r\n" * 400_000, "speed=50000")
    assert result.passed
    assert time.monotonic() - started < 10


@pytest.mark.parametrize("what", ["not an image\n", "\x7fELF"])
def test_what_is_no_image_is_one_line(tmp_path: Path, what: str) -> None:
    file = tmp_path / "file"
    file.write_text(what)
    with Scope() as scope, pytest.raises(LaunchError) as caught:
        QemuHost().launch(Launch(file), scope)
    assert str(file) in str(caught.value) and "\n" not in str(caught.value)
