# SPDX-License-Identifier: GPL-2.0-only
"""The Wine host passes the contract, and tells what a Windows program died of."""

from __future__ import annotations

import os
import secrets
import shutil
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkltest.deadline import Deadline, Deadlines
from lkltest.host.api import Host, Launch
from lkltest.host.build import Build
from lkltest.host.disk import Disk
from lkltest.host.execution import Execution
from lkltest.hosts.wine.host import WineHost
from lkltest.sandbox.scope import Scope
from lkltest.testing import PROGRAM_SOURCE, HostContract
from lkltest.verdict.results import Outcome, ProblemKind, ProgramResult
from tests.hosts.wine.fixtures import CACHE, SOURCES, misbehave, require_wine, windows_program


@pytest.fixture(scope="module")
def wine() -> Iterator[WineHost]:
    """A host with its session's server."""
    require_wine()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(CACHE))
        patch.delenv("WINEDEBUG", raising=False)
        host = WineHost()
        with host.session():
            yield host


@pytest.fixture
def joined(wine: WineHost) -> Iterator[Scope]:
    with Scope(join=wine.namespace_pid()) as scope:
        yield scope


class TestWine(HostContract):
    crash_kinds = frozenset({ProblemKind.CRASH})
    abort_kinds = frozenset({ProblemKind.EXIT_STATUS})
    unsupported_modes = frozenset({"daemon", "daemon-with-console"})  # no fork: see test_a_child

    @pytest.fixture
    def host(self, wine: WineHost) -> Host:
        return wine

    @pytest.fixture
    def scope(self, joined: Scope) -> Scope:  # enters the session's
        return joined

    @pytest.fixture
    def program(self) -> Path:
        return windows_program(PROGRAM_SOURCE)


def run(host: Host, scope: Scope, *arguments: str, silence: float = 60.0) -> ProgramResult:
    deadlines = Deadlines(120.0, silence, 60.0, 60.0)
    launch = Launch(misbehave(), arguments, {}, deadlines)
    return Execution(host, host.launch(launch, scope)).run()


@pytest.mark.parametrize(
    ("mode", "words"),
    [
        ("null", ("page fault on write access to 0x0", "0xc0000005", "at 0x14000")),
        ("overflow", ("stack overflow", "0xc00000fd")),
        ("illegal", ("illegal instruction", "0xc000001d")),
        ("divide", ("division by zero", "0xc0000094")),
        ("breakpoint", ("breakpoint", "0x80000003")),
        ("raise", ("unhandled exception", "0xe0001234")),
        ("thread", ("page fault", "0xc0000005")),
    ],
)
def test_a_crash_is_named_at_its_point(
    wine: WineHost, joined: Scope, mode: str, words: tuple[str, ...]
) -> None:
    result = run(wine, joined, mode)
    (crash,) = [problem for problem in result.problems if problem.kind is ProblemKind.CRASH]
    assert crash.point == "middle"
    assert all(word in crash.reason for word in words)
    assert "wine: Unhandled" in crash.detail
    if mode != "raise":  # who raises one without a fault leaves no registers
        assert "Thread 0x" in crash.detail and "(dying)" in crash.detail
        assert "main+" in crash.detail or "crash_elsewhere+" in crash.detail or mode == "overflow"
    assert [point.outcome for point in result.points] == [Outcome.PASSED, Outcome.FAILED]
    assert "winedbg" not in result.output_tail and "Register dump" not in result.output_tail


def test_a_crash_after_the_last_point_is_a_failure(wine: WineHost, joined: Scope) -> None:
    result = run(wine, joined, "late")
    assert ProblemKind.CRASH in {problem.kind for problem in result.problems}
    assert all(point.outcome is Outcome.PASSED for point in result.points)


@pytest.mark.parametrize("mode", ["child-null", "child-raise"])
def test_a_crash_of_a_child_that_the_program_expected_is_none_of_its_own(
    wine: WineHost, joined: Scope, mode: str
) -> None:
    result = run(wine, joined, mode)
    assert result.passed, result.problems


@pytest.mark.parametrize("mode", ["child-null", "child-raise"])
@pytest.mark.parametrize(("death", "word"), [("divide", "0xc0000094"), ("raise", "0xe0001234")])
def test_a_crash_of_a_child_is_told_as_one_where_the_program_crashes_too(
    wine: WineHost, joined: Scope, mode: str, death: str, word: str
) -> None:
    result = run(wine, joined, mode, death)
    own, childs = (p for p in result.problems if p.kind is ProblemKind.CRASH)
    assert word in own.reason and childs.reason.startswith("of a child process: ")


def test_an_uncaught_cxx_exception_is_named(wine: WineHost, joined: Scope) -> None:
    launch = Launch(windows_program(SOURCES / "throw.cpp"))
    result = Execution(wine, wine.launch(launch, joined)).run()
    (crash,) = [problem for problem in result.problems if problem.kind is ProblemKind.CRASH]
    assert crash.point == "throwing" and "std::runtime_error" in crash.reason


@pytest.mark.parametrize(
    ("status", "words"),
    [("256", "multiple of 256"), ("257", "8 bits"), ("0xC0000005", "access violation")],
)
def test_a_wide_exit_status_is_a_failure(
    wine: WineHost, joined: Scope, status: str, words: str
) -> None:
    result = run(wine, joined, "status", status)
    assert [problem.kind for problem in result.problems] == [ProblemKind.EXIT_STATUS]
    assert words in result.problems[0].reason


@pytest.mark.parametrize("mode", ["terminate", "nothing"])
def test_status_0_alone_is_no_pass(wine: WineHost, joined: Scope, mode: str) -> None:
    result = run(wine, joined, mode)
    assert result.exit.status == 0
    assert not result.passed


def test_a_hang_names_the_function_of_each_thread(wine: WineHost, joined: Scope) -> None:
    result = run(wine, joined, "hang", silence=2.0)
    (stall,) = [problem for problem in result.problems if problem.kind is ProblemKind.STALL]
    assert stall.point == "middle"
    assert "main" in stall.detail and "second_thread" in stall.detail
    assert stall.detail.count("Thread 0x") == 2
    assert "services" not in stall.detail


@pytest.mark.parametrize("mode", ["child", "child-hang"])
def test_a_child_dies_with_the_run(wine: WineHost, tmp_path: Path, mode: str) -> None:
    program = tmp_path / f"{secrets.token_hex(8)}.exe"
    shutil.copy(misbehave(), program)
    with Scope(join=wine.namespace_pid()) as scope:
        process = wine.launch(Launch(program, (mode,), {}, Deadlines(60, 2.0, 60, 60)), scope)
        chunks = process.chunks()
        stream = next(chunks)
        while b"* 2 middle" not in stream:
            stream += next(chunks)
        deadline = Deadline(20)
        while mode == "child-hang" and len(list(pids_of(program.name))) < 2:
            assert not deadline.expired, "there is no child"
        process.kill()
        process.close()
    assert list(pids_of(program.name)) == []


def pids_of(program: str) -> Iterator[int]:
    """Processes that have a program's name in their command line."""
    name = program.encode()
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                if name in (entry / "cmdline").read_bytes():
                    yield int(entry.name)
            except OSError:
                continue


def test_a_disk_is_a_copy_that_comes_back(wine: WineHost, joined: Scope, tmp_path: Path) -> None:
    descriptor = os.memfd_create("disk")
    try:
        os.write(descriptor, b"image" * 1000)
        disk = Disk(descriptor, "vfat")
        launch = Launch(misbehave(), ("delete", disk))
        result = Execution(wine, wine.launch(launch, joined)).run()
        reasons = [problem.reason for problem in result.problems]
        assert any("deleted its disk image" in reason for reason in reasons)
        assert os.pread(descriptor, 10, 0) == b"imageimage"
    finally:
        os.close(descriptor)


def test_debug_channels_stay_out_of_the_stream(
    wine: WineHost,
    joined: Scope,
    monkeypatch: pytest.MonkeyPatch,
    capfd: pytest.CaptureFixture[str],
) -> None:
    monkeypatch.setenv("WINEDEBUG", "+process")
    result = run(wine, joined, "status", "0")
    assert result.passed and ":process:" not in result.output_tail
    assert ":process:" in capfd.readouterr().err


def test_what_makes_no_sense_under_wine_has_a_reason(wine: WineHost, tmp_path: Path) -> None:
    build = Build(tmp_path, "tools/lkl", {"net-test": misbehave()})
    for backend in ("tap", "raw", "macvtap", "pipe", "wintap"):
        assert wine.unsupported(f"net:{backend}", build)
    assert wine.unsupported("net:loopback", build) is None


def test_a_kernel_without_the_file_system_is_a_skip(wine: WineHost, tmp_path: Path) -> None:
    kernel = tmp_path / "disk.exe"
    kernel.write_bytes(b"MZ Linux version 6.1.0 (x) EXT4-fs: mounted SGI XFS with")
    build = Build(tmp_path, "tools/lkl", {"disk": kernel})
    assert wine.unsupported("filesystem:ext4", build) is None
    assert wine.unsupported("filesystem:xfs", build) is None
    assert "no btrfs" in (wine.unsupported("filesystem:btrfs", build) or "")
