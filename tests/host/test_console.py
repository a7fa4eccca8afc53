# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.host.console and .execution: a program's bytes, its deadlines, its end, its verdict."""

import argparse
import os
import select
import signal
import threading
import time
from collections.abc import Callable, Iterator

import pytest

from lkltest.deadline import Deadline, Deadlines, timeout
from lkltest.errors import Missing
from lkltest.host.api import Host, Launch
from lkltest.host.build import Build
from lkltest.host.console import Console, exit_from_status, open_terminal
from lkltest.host.execution import Execution
from lkltest.host.helper import Helper
from lkltest.sandbox.scope import Scope
from lkltest.verdict.results import Exit, Outcome, Problem, ProblemKind

GOOD = r"printf '1..1 # toy\n* 1 a\nok 1 a\n ---\n time_us: 5\n ...\n'"


class Shell(Host):
    """Runs shell scripts, so that a test shows what its program does."""

    name = "shell"

    def missing(self) -> Missing | None:
        return None

    def accepts(self, build: Build) -> bool:
        return False

    def launch(self, launch: Launch, scope: Scope) -> Console:
        raise NotImplementedError


@pytest.fixture
def scope() -> Iterator[Scope]:
    with Scope() as opened:
        yield opened


Start = Callable[..., Console]


@pytest.fixture
def start(scope: Scope) -> Iterator[Start]:
    started: list[Console] = []

    def start(
        script: str,
        total: float = 60.0,
        silence: float = 60.0,
        diagnose: Callable[[], str] | None = None,
        side: bool = False,
    ) -> Console:
        ours, theirs = open_terminal()
        reading, writing = os.pipe() if side else (None, theirs)
        words = ("sh", "-c", script)
        child = scope.spawn(words, stdin=theirs, stdout=theirs, stderr=writing, terminal=True)
        os.close(theirs)
        if side:
            os.close(writing)
        deadlines = Deadlines(total, silence, silence, silence)
        console = Console(child, ours, words, deadlines, side=reading, diagnose=diagnose)
        started.append(console)
        return console

    yield start
    for console in started:
        console.close()


def read(console: Console) -> bytes:
    return b"".join(console.chunks())


class TestBytes:
    def test_they_pass_unchanged(self, start: Start) -> None:
        console = start(r"printf '\000\001\004\r\n\n\033[31m\377\376\t\032 end'")
        assert read(console) == b"\0\1\4\r\n\n\x1b[31m\xff\xfe\t\x1a end"
        assert console.exit == Exit(status=0)

    def test_much_output_at_the_very_end_is_not_lost(self, start: Start) -> None:
        assert len(read(start("head -c 3000000 /dev/zero"))) == 3_000_000

    def test_output_of_a_crash_is_not_lost(self, start: Start) -> None:
        console = start("echo before; kill -SEGV $$")
        assert read(console) == b"before\n"
        assert console.exit == Exit(signal=signal.SIGSEGV, cause="signalled")

    def test_they_arrive_while_the_program_runs(self, start: Start) -> None:
        chunks = start("echo first; sleep 1000").chunks()
        assert next(chunks) == b"first\n"

    def test_a_program_without_output_ends_too(self, start: Start) -> None:
        console = start("exit 7")
        assert read(console) == b""
        assert console.exit == Exit(status=7)

    def test_a_closed_console_is_waited_out(self, start: Start) -> None:
        console = start("echo bye; exec <&- >&- 2>&-; sleep 0.2; exit 3")
        assert read(console) == b"bye\n"
        assert console.exit == Exit(status=3)

    def test_nothing_is_echoed_and_input_is_a_terminal(self, start: Start) -> None:
        assert read(start("test -t 0 && test -t 1 && test -t 2 && echo yes")) == b"yes\n"


class TestSide:
    def test_it_is_kept_apart(self, start: Start) -> None:
        console = start("echo out; echo err >&2", side=True)
        assert read(console) == b"out\n"
        assert bytes(console.side_output) == b"err\n"

    def test_it_is_bounded(self, start: Start) -> None:
        console = start("head -c 5000000 /dev/zero >&2; echo out", side=True)
        assert read(console) == b"out\n"
        assert len(console.side_output) == 1 << 20

    def test_closing_it_early_ends_nothing(self, start: Start) -> None:
        console = start("exec 2>&-; sleep 0.1; echo out; exit 3", side=True)
        assert read(console) == b"out\n"
        assert console.exit.status == 3


class TestLimits:
    def test_silence_is_a_stall(self, start: Start) -> None:
        console = start("echo one; sleep 1000", silence=0.3)
        assert read(console) == b"one\n"
        assert console.exit == Exit(cause="stall", note="0.3 s")

    def test_output_puts_the_stall_off(self, start: Start) -> None:
        console = start("for i in 1 2 3 4 5 6; do echo; sleep 0.2; done", silence=1.0)
        assert read(console) == b"\n" * 6
        assert console.exit == Exit(status=0)

    def test_a_kernels_word_that_it_hangs_ends_the_wait(self, start: Start) -> None:
        line = "[   24.080000] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:27]"
        script = rf"printf '1..1\n* 1 a\n{line}\n[   24.080000] RIP: 0010:spin+0x1/0x2\n'; yes"
        console = start(script, diagnose=lambda: "in spin ()")
        result = Execution(Shell(), console).run()
        assert console.exit == Exit(cause="hung")
        found = {problem.kind: problem for problem in result.problems}
        assert "soft lockup in spin" in found[ProblemKind.BUG].reason
        assert found[ProblemKind.BUG].point == "a"
        assert "in spin ()" in found[ProblemKind.BUG].detail
        assert ProblemKind.STALL in found

    def test_a_flood_does_not_put_the_deadline_off(self, start: Start) -> None:
        console = start("yes", total=0.5)
        for _ in console.chunks():
            pass
        assert console.exit == Exit(cause="deadline", note="0.5 s")

    def test_a_stubborn_program_is_ended(self, start: Start) -> None:
        console = start("trap '' TERM HUP INT; echo one; while :; do sleep 1000; done", silence=0.3)
        read(console)
        assert console.child.poll() is not None
        assert os.WTERMSIG(console.child.poll() or 0) == signal.SIGKILL

    def test_it_is_diagnosed_while_it_lives(self, start: Start) -> None:
        alive: list[bool] = []

        def diagnose() -> str:
            alive.append(console.child.poll() is None)
            return "in hang ()"

        console = start("sleep 1000", silence=0.1, diagnose=diagnose)
        read(console)
        assert alive == [True]
        assert console.hang_report == "in hang ()"

    def test_what_it_says_when_it_wakes_up_meanwhile_is_kept_apart(self, start: Start) -> None:
        def diagnose() -> str:
            console.child.kill(signal.SIGUSR1)
            poller = select.poll()
            poller.register(console._descriptor, select.POLLIN)
            assert poller.poll(60_000)
            return "in hang ()"

        script = "trap 'echo ok 1 slow' USR1; echo '* 1 slow'; sleep 1000 & wait; sleep 1000"
        console = start(script, silence=0.5, diagnose=diagnose)
        assert read(console) == b"* 1 slow\n", "the point that was silent is the one in flight"
        assert console.exit.cause == "stall"
        assert console.hang_report.startswith("in hang ()\n\nit woke up while it was looked at")
        assert console.hang_report.endswith("ok 1 slow")

    def test_a_program_that_ends_in_time_is_not_diagnosed(self, start: Start) -> None:
        console = start("echo", diagnose=lambda: pytest.fail("diagnosed"))
        read(console)
        assert console.hang_report == ""


class TestEnds:
    def test_kill_from_another_thread(self, start: Start) -> None:
        console = start("echo one; sleep 1000")
        chunks = console.chunks()
        assert next(chunks) == b"one\n"
        killer = threading.Timer(0.05, console.kill)
        killer.start()
        assert list(chunks) == []
        killer.join()
        assert console.exit == Exit(signal=signal.SIGKILL, cause="signalled")

    def test_close_ends_it_and_may_be_repeated(self, start: Start) -> None:
        console = start("sleep 1000")
        console.close()
        console.close()
        assert os.WTERMSIG(console.child.wait(10) or 0) == signal.SIGKILL

    def test_a_daemon_that_holds_the_console_holds_nothing_up(self, start: Start) -> None:
        console = start("setsid sh -c 'trap \"\" HUP; sleep 1000' & echo done")
        began = time.monotonic()
        assert read(console) == b"done\n"
        assert time.monotonic() - began < 30, "not until the deadline"
        assert console.exit == Exit(status=0)

    @pytest.mark.parametrize(
        ("status", "expected"),
        [
            (0, Exit(status=0)),
            (255 << 8, Exit(status=255)),
            (6 | 0x80, Exit(signal=6, cause="signalled")),
            (None, Exit(cause="ended", note="its end was not seen")),
        ],
    )
    def test_wait_statuses(self, status: int | None, expected: Exit) -> None:
        assert exit_from_status(status) == expected


class TestExecution:
    def test_points_come_as_they_are_reported(self, start: Start) -> None:
        script = r"printf '1..2 # toy\n* 1 a\nok 1 a\n* 2 b\n'; sleep 1000"
        points = Execution(Shell(), start(script)).points()
        assert next(points).name == "a"

    def test_stopping_ends_the_program(self, start: Start) -> None:
        console = start(r"printf '1..2 # toy\n* 1 a\nok 1 a\n* 2 b\n'; sleep 1000")
        points = Execution(Shell(), console).points()
        next(points)
        points.close()  # type: ignore[attr-defined]
        assert os.WTERMSIG(console.child.wait(10) or 0) == signal.SIGKILL

    def test_the_verdict(self, start: Start) -> None:
        result = Execution(Shell(), start(GOOD)).run()
        assert result.passed
        assert [(point.name, point.outcome) for point in result.points] == [("a", Outcome.PASSED)]
        assert result.exit == Exit(status=0)

    def test_a_listener_sees_every_byte(self, start: Start) -> None:
        seen: list[bytes] = []
        Execution(Shell(), start(f"{GOOD}; echo stray"), seen.append).run()
        text = b"".join(seen)
        assert text.startswith(b"1..1 # toy\n* 1 a\nok 1 a\n")
        assert text.endswith(b" ...\nstray\n")

    def test_what_it_hung_in_is_the_detail_of_the_stall(self, start: Start) -> None:
        script = r"printf '1..1 # toy\n* 1 a\n'; sleep 1000"
        console = start(script, silence=0.3, diagnose=lambda: "thread 1: in hang ()")
        result = Execution(Shell(), console).run()
        (stall,) = [problem for problem in result.problems if problem.kind is ProblemKind.STALL]
        assert stall.point == "a"
        assert "thread 1: in hang ()" in stall.detail
        assert [point.outcome for point in result.points] == [Outcome.FAILED]

    def test_what_the_host_saw_fails_the_run(
        self, start: Start, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        console = start(GOOD)
        seen = Problem(ProblemKind.CRASH, "page fault")
        monkeypatch.setattr(console, "problems", lambda: [seen])
        result = Execution(Shell(), console).run()
        assert not result.passed
        assert "page fault" in [problem.reason for problem in result.problems]

    def test_a_status_may_not_matter(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        assert not Execution(Shell(), start(f"{GOOD}; exit 3")).run().passed
        monkeypatch.setattr(Shell, "exit_status_matters", False)
        assert Execution(Shell(), start(f"{GOOD}; exit 3")).run().passed

    def test_a_done_stream_is_told(self, start: Start, monkeypatch: pytest.MonkeyPatch) -> None:
        console = start(f"{GOOD}; sleep 1000")
        monkeypatch.setattr(console, "stream_done", console.kill)
        result = Execution(Shell(), console).run()
        assert [point.name for point in result.points] == ["a"]


class TestBackground:
    def test_it_is_read_to_its_end(self, start: Start) -> None:
        helper = Helper("toy", Execution(Shell(), start(GOOD)))
        assert helper.join(30).passed

    def test_it_can_be_waited_for_until_it_announces_a_point(self, start: Start) -> None:
        helper = Helper("toy", Execution(Shell(), start("echo 1..1; echo '* 1 up'; sleep 1000")))
        assert helper.wait_for("up", 60)
        helper.join(0)
        assert not helper.wait_for("down", 60), "its end is no reason to wait on"

    def test_one_that_does_not_end_is_ended_and_fails(self, start: Start) -> None:
        helper = Helper("toy", Execution(Shell(), start(f"{GOOD}; sleep 1000")))
        assert not helper.join(0.3).passed

    def test_one_that_need_not_end_is_ended_at_once(self, start: Start) -> None:
        console = start("sleep 1000")
        helper = Helper("toy", Execution(Shell(), console), ends_itself=False)
        helper.join(1000)
        assert console.child.poll() is not None

    def test_its_error_is_raised_where_it_is_joined(self, start: Start) -> None:
        def listen(data: bytes) -> None:
            raise RuntimeError("no listener")

        helper = Helper("toy", Execution(Shell(), start("echo"), listen))
        with pytest.raises(RuntimeError, match="no listener"):
            helper.join(30)


class TestDeadline:
    def test_limits_follow_from_the_total(self) -> None:
        limits = Deadlines.from_timeout(60)
        assert limits.total == 60
        assert 0 < limits.silence <= limits.plan <= limits.total

    def test_a_moment_is_shared(self) -> None:
        deadline = Deadline(1000)
        assert 999 < deadline.remaining() <= 1000
        assert not deadline.expired
        passed = Deadline(-1)
        assert (passed.remaining(), passed.expired) == (0.0, True)

    @pytest.mark.parametrize("text", ["0", "-1", "nan", "inf", "1e99", "soon", ""])
    def test_what_is_no_limit(self, text: str) -> None:
        with pytest.raises((ValueError, argparse.ArgumentTypeError)):
            timeout(text)

    def test_a_limit(self) -> None:
        assert timeout("2.5") == 2.5
