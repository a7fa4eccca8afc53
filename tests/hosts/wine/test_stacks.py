# SPDX-License-Identifier: GPL-2.0-only
"""Stacks of Windows programs that die and hang as LKL's do, with whatever names they have."""

from __future__ import annotations

import re
import shutil
import subprocess
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lkltest.deadline import Deadlines
from lkltest.errors import LaunchError
from lkltest.host.api import Launch
from lkltest.host.execution import Execution
from lkltest.hosts.wine.host import WineHost
from lkltest.hosts.wine.symbols import Names, names_of
from lkltest.sandbox.scope import Scope
from lkltest.verdict.results import Problem, ProblemKind, ProgramResult
from tests.compiler import compile_program
from tests.hosts.wine.fixtures import CACHE, SOURCES, require_wine

MINGW = "x86_64-w64-mingw32-"
PANIC = ["panic+", "start_kernel+", "main+"]


@pytest.fixture(scope="module")
def wine() -> Iterator[WineHost]:
    require_wine()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(CACHE))
        host = WineHost()
        with host.session():
            yield host


def program(folder: Path, *flags: str) -> Path:
    """test.exe in a folder of its own, so that what lies beside it can be chosen."""
    made = compile_program(
        SOURCES / "test.c", "-static", *flags, compiler=f"{MINGW}gcc", suffix=".exe"
    )
    return Path(shutil.copy(made, folder / "test.exe"))


def run(host: WineHost, file: Path, mode: str, silence: float = 60.0) -> ProgramResult:
    launch = Launch(file, (mode,), {}, Deadlines(120.0, silence, 60.0, 60.0))
    with Scope(join=host.namespace_pid()) as scope:
        return Execution(host, host.launch(launch, scope)).run()


def problem(result: ProgramResult, kind: ProblemKind) -> Problem:
    (found,) = [one for one in result.problems if one.kind is kind]
    return found


def frames(stack: str) -> list[str]:
    """The functions of the first stack of a report."""
    first = next(part for part in stack.split("\n\n") if part.startswith("Thread "))
    return re.findall(r"^#\d+ +0x[0-9a-f]{16} in (.+)$", first, re.MULTILINE)


def begin_with(found: list[str], expected: list[str]) -> bool:
    return all(one.startswith(name) for one, name in zip(found, expected, strict=False))


@pytest.mark.parametrize("flags", [("-g0",), ("-gdwarf-5",), ("-gdwarf-4",)], ids=str)
def test_a_null_write_in_panic_is_a_kernel_panic(
    wine: WineHost, tmp_path: Path, flags: tuple[str, ...]
) -> None:
    panic = problem(run(wine, program(tmp_path, *flags), "quiet-panic"), ProblemKind.PANIC)
    assert panic.point == "middle"
    assert panic.reason.startswith("page fault on write access to 0x0 in panic")
    assert begin_with(frames(panic.detail), PANIC)
    assert ("at test.c:" in frames(panic.detail)[0]) == (flags != ("-g0",))


def test_the_held_back_log_is_read_and_gives_the_title(wine: WineHost, tmp_path: Path) -> None:
    panic = problem(run(wine, program(tmp_path), "panic"), ProblemKind.PANIC)
    assert (panic.reason, panic.point) == ("Attempted to kill init!", "middle")
    assert begin_with(frames(panic.detail), ["panic+", "do_exit+", *PANIC[1:]])


def test_the_log_of_a_stripped_program_is_found_by_what_points_to_it(
    wine: WineHost, tmp_path: Path
) -> None:
    """And its panic and the crash by which that ended are one."""
    result = run(wine, program(tmp_path, "-s"), "panic")
    panic = problem(result, ProblemKind.PANIC)
    assert (panic.reason, panic.point) == ("Attempted to kill init!", "middle")
    assert "test.exe has no names" in panic.detail and "?? (test.exe+0x" in panic.detail
    assert not [one for one in result.problems if one.kind is ProblemKind.CRASH]


def test_a_run_that_is_fine_does_not_pay_for_symbols(
    wine: WineHost, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """A kernel's cost as much as a third of its boot."""
    read: list[Path] = []

    def note(file: Path, extra: Sequence[Path] = ()) -> Names:
        read.append(file)
        return names_of(file, extra)

    monkeypatch.setattr("lkltest.hosts.wine.debugger.names_of", note)
    file = program(tmp_path)
    assert run(wine, file, "").passed and read == []
    assert not run(wine, file, "panic").passed and file in read


def test_a_call_through_a_null_pointer_names_who_called(wine: WineHost, tmp_path: Path) -> None:
    crash = problem(run(wine, program(tmp_path), "null-call"), ProblemKind.CRASH)
    assert "execute access to 0x0, called by call_driver" in crash.reason
    assert begin_with(frames(crash.detail), ["?? (no module)", "call_driver+", "main+"])


def test_a_thread_that_spins_comes_first(wine: WineHost, tmp_path: Path) -> None:
    stall = problem(run(wine, program(tmp_path), "spin", silence=2.0), ProblemKind.STALL)
    assert stall.point == "middle"
    assert stall.detail.count("Thread 0x") == 22
    assert stall.detail.startswith("spin_thread"), "where it is comes first of all"
    assert stall.detail.partition("Thread ")[2].splitlines()[0].endswith("(running):")
    assert begin_with(frames(stall.detail), ["spin_thread+", "BaseThreadInitThunk+"])


def test_of_threads_that_all_wait_one_in_the_program_comes_first(
    wine: WineHost, tmp_path: Path
) -> None:
    stall = problem(run(wine, program(tmp_path), "lost", silence=2.0), ProblemKind.STALL)
    assert stall.detail.startswith("wait_thread")
    assert [name.partition("+")[0] for name in frames(stall.detail)][2] == "wait_thread"


def test_a_thread_that_wine_ends_for_a_fault_is_a_crash_at_once(
    wine: WineHost, tmp_path: Path
) -> None:
    """It says nothing of a fault that it cannot get over, and the other threads wait for ever."""
    result = run(wine, program(tmp_path), "nest", silence=10.0)
    panic = problem(result, ProblemKind.PANIC)
    assert panic.point == "middle" and "in panic" in panic.reason and "(dying):" in panic.detail
    assert begin_with(frames(panic.detail), PANIC), "what came first, not the handler's own fault"
    kinds = {one.kind for one in result.problems}
    assert not kinds & {ProblemKind.STALL, ProblemKind.SIGNAL}


def test_one_that_has_handled_its_fault_ends_well(wine: WineHost, tmp_path: Path) -> None:
    assert run(wine, program(tmp_path), "handled").passed


def test_a_stripped_program_gets_a_hint(wine: WineHost, tmp_path: Path) -> None:
    crash = problem(run(wine, program(tmp_path, "-s"), "quiet-panic"), ProblemKind.CRASH)
    assert frames(crash.detail)[0].startswith("?? (test.exe+0x")
    assert crash.detail.startswith("test.exe has no names"), "the terminal shows what comes first"
    for word in ("test.exe has no names", "-Wl,-Map", "test.exe.debug", "--lkl-symbols"):
        assert word in crash.detail


@pytest.mark.parametrize("name", ["test.exe.debug", ".debug/test.exe", "test.unstripped.exe"])
def test_an_unstripped_copy_beside_it_is_used(wine: WineHost, tmp_path: Path, name: str) -> None:
    file = program(tmp_path)
    copy = tmp_path / name
    copy.parent.mkdir(exist_ok=True)
    shutil.copy(file, copy)
    subprocess.run([f"{MINGW}strip", file], check=True)
    panic = problem(run(wine, file, "quiet-panic"), ProblemKind.PANIC)
    assert begin_with(frames(panic.detail), PANIC) and f"names: {copy}" in panic.detail


def test_a_file_that_is_named_is_used_where_it_fits(wine: WineHost, tmp_path: Path) -> None:
    file, other = program(tmp_path), tmp_path / "other.exe"
    named = Path(shutil.copy(file, tmp_path / "names.exe"))
    shutil.copy(compile_program(SOURCES / "misbehave.c", "-static", compiler=f"{MINGW}gcc",
                                suffix=".exe"), other)  # fmt: skip
    subprocess.run([f"{MINGW}strip", file], check=True)
    wine._symbols = [other, named]
    try:
        wine.check()
        panic = problem(run(wine, file, "quiet-panic"), ProblemKind.PANIC)
    finally:
        wine._symbols = []
    assert begin_with(frames(panic.detail), PANIC) and f"names: {named}" in panic.detail


@pytest.mark.parametrize("content", [b"", b"hello\n", b"MZ", None])
def test_a_file_without_symbols_is_refused(tmp_path: Path, content: bytes | None) -> None:
    file = tmp_path / "names"
    if content is not None:
        file.write_bytes(content)
    host = WineHost({"lkl_symbols": [str(file)]})
    with pytest.raises(LaunchError, match=f"^{file}: [^\n]*$"):
        host.check()


def test_what_strip_took_is_used(wine: WineHost, tmp_path: Path) -> None:
    file = program(tmp_path, "-gdwarf-5")
    debug = tmp_path / "elsewhere.dbg"
    subprocess.run([f"{MINGW}objcopy", "--only-keep-debug", file, debug], check=True)
    subprocess.run([f"{MINGW}strip", file], check=True)
    subprocess.run([f"{MINGW}objcopy", f"--add-gnu-debuglink={debug}", file], check=True)
    panic = problem(run(wine, file, "quiet-panic"), ProblemKind.PANIC)
    assert begin_with(frames(panic.detail), PANIC)
    assert "at test.c:" in frames(panic.detail)[0]


def test_a_copy_of_another_program_is_not_used(wine: WineHost, tmp_path: Path) -> None:
    shutil.copy(program(tmp_path, "-O0"), tmp_path / "test.exe.debug")
    crash = problem(run(wine, program(tmp_path, "-s"), "quiet-panic"), ProblemKind.CRASH)
    assert "has no names" in crash.detail


def test_a_linkers_map_beside_it_is_used(wine: WineHost, tmp_path: Path) -> None:
    words = [f"{MINGW}gcc", "-O1", "-s", "-static", f"-Wl,-Map={tmp_path}/test.map"]
    if shutil.which(words[0]) is None:
        pytest.skip(f"{words[0]} is missing: apt-get install gcc-mingw-w64-x86-64")
    object_file, file = tmp_path / "test.o", tmp_path / "test.exe"
    subprocess.run([*words, "-c", "-o", object_file, SOURCES / "test.c"], check=True)
    subprocess.run([*words, "-o", file, object_file], check=True)
    crash = problem(run(wine, file, "quiet-panic"), ProblemKind.CRASH)
    found = frames(crash.detail)
    assert begin_with(found, ["[test.o]+", "[test.o]+", "main+"]), "a map has no static functions"


def test_a_system_map_is_moved_to_where_the_kernel_is(wine: WineHost, tmp_path: Path) -> None:
    file = program(tmp_path, "-Wl,--export-all-symbols")
    symbols = subprocess.run(
        [f"{MINGW}nm", "-n", file], check=True, capture_output=True, text=True
    ).stdout
    moved = re.sub(
        r"^([0-9a-f]{16})", lambda m: f"{int(m[1], 16) - 0x140001000:016x}", symbols, flags=re.M
    )
    named = tmp_path / "System.map"
    named.write_text("\n".join(line for line in moved.splitlines() if " t " in line.lower()))
    subprocess.run([f"{MINGW}strip", file], check=True)
    panic = problem(run(wine, file, "quiet-panic"), ProblemKind.PANIC)
    assert begin_with(frames(panic.detail), PANIC) and f"names: {named}" in panic.detail


def test_a_null_write_that_panic_called_is_a_panic_where_it_has_no_name(
    wine: WineHost, tmp_path: Path
) -> None:
    """The function of the host library that ends a panic is static: no System.map names it."""
    file = program(tmp_path, "-Wl,--export-all-symbols")
    symbols = subprocess.run(
        [f"{MINGW}nm", "-n", file], check=True, capture_output=True, text=True
    ).stdout
    kernel = re.findall(r"^([0-9a-f]{16} [tT] (?:start_kernel|main))$", symbols, flags=re.M)
    text = "\n".join(kernel).replace("start_kernel", "panic")
    (tmp_path / "System.map").write_text(text, encoding="ascii")
    subprocess.run([f"{MINGW}strip", file], check=True)
    panic = problem(run(wine, file, "quiet-panic"), ProblemKind.PANIC)
    assert panic.reason.startswith("page fault on write access to 0x0 in panic")
    assert frames(panic.detail)[0].startswith("?? (test.exe+0x")
