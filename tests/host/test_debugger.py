# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.host.debugger and .tracer: a program that dies or hangs is looked at while it can be."""

import os
import shutil
import signal
import stat
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkltest.deadline import Deadlines
from lkltest.errors import Missing
from lkltest.host.api import Host, Launch
from lkltest.host.build import Build
from lkltest.host.console import Console, open_terminal
from lkltest.host.debugger import Debugger, HeldLog, arrange
from lkltest.host.execution import Execution
from lkltest.host.helper import Helper
from lkltest.sandbox.scope import Scope
from lkltest.verdict.results import Exit, ProblemKind, ProgramResult
from tests.compiler import compile_program

SOURCE = Path(__file__).parents[1] / "programs" / "dying.c"
needs_gdb = pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is missing")


class Here(Host):
    name = "here"

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


def start(scope: Scope, how: str, silence: float = 60.0, program: Path | None = None) -> Console:
    program = program or compile_program(SOURCE, "-pthread")
    ours, theirs = open_terminal()
    held = HeldLog("'dying.c'::log_buf", "'dying.c'::head")
    debugger = Debugger(program, scope, held)
    streams = {"stdin": theirs, "stdout": theirs, "stderr": theirs}
    child = debugger.spawn(
        lambda hook: scope.spawn([program, how], **streams, terminal=True, before_exec=hook)
    )
    os.close(theirs)
    deadlines = Deadlines(60.0, silence, silence, silence)
    return Console(child, ours, (str(program), how), deadlines, debugger=debugger)


def run(
    scope: Scope, how: str, silence: float = 60.0, program: Path | None = None
) -> tuple[ProgramResult, Console]:
    console = start(scope, how, silence, program)
    return Execution(Here(), console).run(), console


@needs_gdb
@pytest.mark.parametrize(
    ("how", "number", "function"),
    [
        ("segv", signal.SIGSEGV, "kernel_function"),
        ("thread", signal.SIGSEGV, "kernel_function"),
        ("abort", signal.SIGABRT, "main"),
    ],
)
def test_a_death_is_seen_with_its_log(scope: Scope, how: str, number: int, function: str) -> None:
    result, console = run(scope, how)
    assert console.exit == Exit(signal=number, cause="signalled")
    panic = next(problem for problem in result.problems if problem.kind is ProblemKind.PANIC)
    assert panic.point == "first" and "planted" in panic.reason
    first = console.hang_report.split("\n\n")[0]  # the dying thread's, before the idle one's
    assert function in first and "wait_for_ever" not in first
    assert "wait_for_ever" in console.hang_report
    assert any(function in problem.detail for problem in result.problems)


@needs_gdb
def test_a_program_that_dies_at_once_is_seen(scope: Scope) -> None:
    result, console = run(scope, "early")
    assert result.exit == Exit(signal=signal.SIGSEGV, cause="signalled")
    assert "before_main" in console.hang_report.split("\n\n")[0]


def test_a_program_with_privileges_of_its_own_is_started_all_the_same(scope: Scope) -> None:
    program = scope.folder / "privileged"
    shutil.copy(compile_program(SOURCE, "-pthread"), program)
    program.chmod(0o700 | stat.S_ISGID)
    _, console = run(scope, "caught", program=program)
    assert console.exit == Exit(status=0)


@needs_gdb
def test_a_helper_that_is_ended_while_it_dies_of_a_fault_is_told_of(scope: Scope) -> None:
    console = start(scope, "early")
    debugger = console._debugger
    assert isinstance(debugger, Debugger)
    tracer = debugger._tracer
    assert tracer is not None
    helper = Helper("server", Execution(Here(), console), ends_itself=False)
    while not tracer.dying:
        time.sleep(0.001)
    helper.stop()
    reasons = [problem.reason for problem in helper.problems()]
    assert "helper server: signal: killed by SIGSEGV in kernel_function" in reasons


@needs_gdb
def test_a_helper_that_does_not_answer_is_asked_what_it_does(scope: Scope) -> None:
    helper = Helper("server", Execution(Here(), start(scope, "hang")), tap=False)
    assert helper.wait_for("first", 20)
    helper.does_not_answer("has not answered umount")
    problem = next(iter(helper.problems()))
    assert problem.reason == "helper server: has not answered umount"
    assert "spin" in problem.detail.partition("\n\nThread")[0]
    assert not helper.ended(0)


@needs_gdb
def test_a_stopped_program_is_looked_at(scope: Scope) -> None:
    console = start(scope, "hang")
    helper = Helper("server", Execution(Here(), console), tap=False)
    assert helper.wait_for("first", 20)
    os.kill(console.child.pid, signal.SIGSTOP)
    helper.does_not_answer("has not answered")
    assert "spin" in next(iter(helper.problems())).detail


@needs_gdb
def test_a_program_whose_first_thread_has_ended_is_looked_at(scope: Scope) -> None:
    result, _ = run(scope, "leaderless", 1.0)
    outlines = [problem.detail.partition("\n\nThread")[0] for problem in result.problems]
    assert any("spin_for_ever" in outline for outline in outlines)


def test_a_look_that_ends_the_program_says_so(
    scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(
        "lkltest.host.debugger.run_gdb",
        lambda *_: "ptrace: No such process.\nNo symbol table is loaded.",
    )
    console = start(scope, "hang")
    assert console.look() == "no backtrace: being looked at woke it up, and it ended"
    console.close()


@needs_gdb
def test_a_program_that_is_looked_at_while_it_dies_does_not_hang(
    scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    console = start(scope, "segv")
    debugger, wait = console._debugger, console._wait
    assert debugger is not None
    tracer = debugger._tracer
    assert tracer is not None
    passed = []

    def silence_passes_when_the_fault_was_seen(seconds: float) -> set[int]:
        ready: set[int] = set()
        while not (ready or tracer.dying):
            ready = wait(0.01)
        if passed or not tracer.dying:
            return ready or wait(seconds)
        passed.append(True)
        return set()

    monkeypatch.setattr(console, "_wait", silence_passes_when_the_fault_was_seen)
    result = Execution(Here(), console).run()
    assert passed
    assert result.exit == Exit(signal=signal.SIGSEGV, cause="signalled")


@needs_gdb
def test_a_hang_shows_the_thread_that_spins_first(scope: Scope) -> None:
    result, console = run(scope, "hang", silence=1.0)
    assert result.exit.cause == "stall"
    assert "spin" in console.hang_report.split("\n\n")[0]
    assert ProblemKind.PANIC in {problem.kind for problem in result.problems}


def test_a_signal_that_is_caught_is_left_to_the_program(scope: Scope) -> None:
    result, console = run(scope, "caught")
    assert console.exit == Exit(status=0)
    assert console.hang_report == ""
    assert [point.name for point in result.points] == ["first"]


def test_without_gdb_the_program_dies_all_the_same(
    scope: Scope, monkeypatch: pytest.MonkeyPatch
) -> None:
    compile_program(SOURCE, "-pthread")
    monkeypatch.setattr(shutil, "which", lambda name: None if name == "gdb" else name)
    _, console = run(scope, "segv")
    assert console.exit == Exit(signal=signal.SIGSEGV, cause="signalled")
    assert console.hang_report == "no backtrace: gdb is missing: apt-get install gdb"


GDB = """
[New LWP 12]
Thread 2 (Thread 0x7f0 (LWP 12) "kworker"):
#0  __futex_abstimed_wait_common64 (private=0) at ./nptl/futex-internal.c:57
#1  0x1 in sem_down () at lib/posix-host.c:131

Thread 1 (Thread 0x7f1 (LWP 11) "boot"):
#0  0x000055 in ext4_fill_super (sb=0x0) at fs/ext4/super.c:5000
[Inferior 1 (process 11) detached]
"""


class TestArrange:
    def test_threads_that_wait_come_last(self) -> None:
        assert arrange(GDB).split("\n\n")[1].startswith("Thread 1 ")

    def test_the_dying_thread_comes_first(self) -> None:
        assert arrange(GDB, 12).split("\n\n")[1].startswith("Thread 2 ")

    def test_an_outline_leads(self) -> None:
        assert arrange(GDB).startswith("ext4_fill_super fs/ext4/super.c:5000\n\n")
        asleep = GDB.replace(
            "sem_down () at lib/posix-host.c:131", "schedule () at kernel/sched/core.c:6597"
        )
        assert arrange(asleep, 12).startswith("schedule kernel/sched/core.c:6597\n\n")

    def test_a_frame_whose_return_address_is_signed_is_one(self) -> None:
        text = (
            "Thread 1 (Thread 602.602 (CPU#0 [running])):\n"
            "#0  0x00007fe97c0f8d4c [PAC] in pause () from /usr/lib/libc.so.6\n"
            "#1  0x00007fe97e2e08a0 [PAC] in kernel (how=119, where=where@entry=0x0) at test.c:11\n"
        )
        assert arrange(text).startswith("kernel test.c:11\n\nThread 1")

    def test_nothing_but_backtraces_is_kept(self) -> None:
        assert "[New" not in arrange(GDB) and "[Inferior" not in arrange(GDB)

    def test_why_there_is_none_is_kept(self) -> None:
        assert arrange("ptrace: Operation not permitted.\n") == "ptrace: Operation not permitted."
