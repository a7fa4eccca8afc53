# SPDX-License-Identifier: GPL-2.0-only
"""One server a session: shared, ended, and gone with a runner that is killed."""

from __future__ import annotations

import os
import random
import shutil
import signal
import subprocess
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lkltest.deadline import Deadlines
from lkltest.host.api import Launch
from lkltest.host.execution import Execution
from lkltest.hosts.wine.host import WineHost
from lkltest.hosts.wine.prefix import diagnose
from lkltest.hosts.wine.tools import WineTools, find_tools, program_environment
from lkltest.sandbox.scope import Scope
from lkltest.verdict.consequences import distinct
from lkltest.verdict.results import ProblemKind
from tests.census import MARKER, Census, new_marker
from tests.hosts.wine.fixtures import CACHE, command, environment, lkltest, misbehave, require_wine

KILLS = 6
SHELL = "drive_c/windows/system32/cmd.exe"


@pytest.fixture(autouse=True)
def wine_is_here() -> None:
    require_wine()


@pytest.fixture
def build(tmp_path: Path) -> Path:
    """A Windows build whose boot.exe is the program that misbehaves; without arguments it fails."""
    tests = tmp_path / "build" / "tests"
    tests.mkdir(parents=True)
    shutil.copy(misbehave(), tests / "boot.exe")
    return tests.parent


@pytest.fixture
def census(tmp_path: Path) -> Iterator[Census]:
    """Counts processes of the commands that get its marker, and files in their TMPDIR."""
    folder = tmp_path / "t"
    folder.mkdir()
    yield Census.take(new_marker(), folder)


def marked(census: Census) -> dict[str, str]:
    return {MARKER: census.marker, "TMPDIR": str(census.folders[0])}


def left(census: Census, seconds: float = 3.0) -> list[str]:
    """The processes and files that are left; others at work change mounts and devices."""
    deadline = time.monotonic() + seconds
    while True:
        found = [
            thing
            for thing in census.new()
            if thing.startswith("process")
            or f"{census.folders[0]}/lkltest-" in thing
            or f"{census.folders[0]}/wine-" in thing
        ]
        if not found or time.monotonic() > deadline:
            return found
        time.sleep(0.02)


def test_a_run_ends_all_it_started(census: Census) -> None:
    done = lkltest("exec", "--host", "wine", misbehave(), "status", "0", changes=marked(census))
    assert done.returncode == 0, done.stderr
    assert left(census, 0.5) == []


def test_the_console_is_passed_through_unchanged(census: Census) -> None:
    done = subprocess.run(
        command("exec", misbehave(), "status", "0"),
        env=environment(**marked(census)),
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert done.stdout.startswith(b"1..2 # misbehave\r\n* 1 first\r\nok 1 first\r\n")
    assert done.stderr.splitlines()[-1:] == [
        f"lkltest: {misbehave().name}@wine: ok, 2 points: 2 ok".encode()
    ]


@pytest.mark.parametrize("attempt", range(KILLS))
def test_nothing_is_left_when_the_runner_is_killed(census: Census, attempt: int) -> None:
    """At moments from before the server's start to long after the program's."""
    words = command("exec", "--host", "wine", misbehave(), "child-hang")
    runner = subprocess.Popen(
        words,
        env=environment(**marked(census)),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    time.sleep(0.15 + attempt * 0.25 + random.random() * 0.2)  # noqa: S311
    assert runner.poll() is None
    runner.kill()
    runner.wait()
    assert left(census) == []


@pytest.mark.parametrize("victim", ["controller", "terminated"])
def test_nothing_is_left_of_xdist(census: Census, build: Path, victim: str) -> None:
    hang = build / "tests" / "boot.exe"
    log = census.folders[0].parent / "log"
    with log.open("wb") as file:
        runner = subprocess.Popen(
            command("run", "--build", build, "-j", "2", "--timeout", "100"),
            env=environment(**marked(census), LKLTEST_MISBEHAVE="child-hang"),
            stdin=subprocess.DEVNULL,
            stdout=file,
            stderr=file,
        )
    deadline = time.monotonic() + 60
    while not any(str(hang) in thing for thing in census.new()):
        assert time.monotonic() < deadline and runner.poll() is None, log.read_text()
        time.sleep(0.05)
    runner.send_signal(signal.SIGKILL if victim == "controller" else signal.SIGTERM)
    runner.wait(30)
    assert left(census) == []


def test_workers_share_the_controller_s_server(census: Census, tmp_path: Path) -> None:
    """Their runs see one server; xdist's workers would otherwise wait for the prefix or copy it."""
    shared = tmp_path / "shared"
    shared.mkdir()
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(CACHE))
        controller, worker = WineHost(), WineHost()
        with controller.session(shared), worker.session(shared):
            assert worker.namespace_pid() == controller.namespace_pid()
            with Scope(join=worker.namespace_pid()) as scope:
                inside = Path(f"/proc/{scope.pid}/ns/pid").stat()
                assert inside == Path(f"/proc/{controller.namespace_pid()}/ns/pid").stat()


def test_eight_runs_share_a_prefix(census: Census) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(CACHE))
        host = WineHost()
        with host.session(), ThreadPoolExecutor(8) as pool:
            results = list(pool.map(lambda _: run_once(host), range(8)))
    assert results == [True] * 8


def run_once(host: WineHost) -> bool:
    from lkltest.host.api import Launch
    from lkltest.host.execution import Execution

    with Scope(join=host.namespace_pid()) as scope:
        launch = Launch(misbehave(), ("status", "0"))
        return Execution(host, host.launch(launch, scope)).run().passed


def test_a_second_session_gets_a_copy(census: Census) -> None:
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("XDG_CACHE_HOME", str(CACHE))
        first = WineHost()
        with first.session():
            done = lkltest("exec", misbehave(), "status", "0", changes=marked(census))
            assert done.returncode == 0, done.stderr
            assert run_once(first)
    assert left(census, 0.5) == []


def test_isolated_runs_have_a_copy_and_leave_nothing(census: Census) -> None:
    words = ("exec", "--lkl-wine-isolate", misbehave(), "status", "0")
    done = lkltest(*words, changes=marked(census))
    assert done.returncode == 0, done.stderr
    assert left(census, 0.5) == []


def test_a_prefix_of_one_s_own_is_made_and_used(census: Census, tmp_path: Path) -> None:
    prefix = tmp_path / "own"
    shutil.copytree(next((CACHE / "lkltest/wine").iterdir()), prefix, symlinks=True)
    done = lkltest("exec", "--lkl-wine-prefix", prefix, misbehave(), "status", "0")
    assert done.returncode == 0, done.stderr
    assert diagnose(prefix) is None


def test_a_broken_cache_is_made_anew(census: Census, tmp_path: Path) -> None:
    cache = tmp_path / "cache"
    prefix = next((CACHE / "lkltest/wine").glob("*-64*"))
    broken = cache / "lkltest/wine" / prefix.name
    broken.parent.mkdir(parents=True)
    broken.mkdir()
    (broken / "system.reg").write_text("half")
    done = lkltest("exec", misbehave(), "status", "0", changes={"XDG_CACHE_HOME": str(cache)})
    assert done.returncode == 0, done.stderr
    assert "making the Wine prefix" in done.stderr
    assert diagnose(broken) is None


@pytest.fixture
def looks_whole(tmp_path: Path) -> Path:
    """A prefix where lkltest keeps its own, with a file in it that is no program."""
    original = next((CACHE / "lkltest/wine").glob("*-64*"))
    prefix = tmp_path / "cache" / "lkltest" / "wine" / original.name
    shutil.copytree(original, prefix, symlinks=True, copy_function=link_or_copy)
    (prefix / SHELL).unlink()
    (prefix / SHELL).write_text("no program")
    assert diagnose(prefix) is None
    return prefix


def link_or_copy(source: str, target: str) -> None:
    """Link what is Wine's own: 690 MB."""
    (os.symlink if "/drive_c/windows/" in source else shutil.copy2)(source, target)


@pytest.mark.parametrize(
    "words", [(), ("--lkl-wine-isolate",), ("-j2",)], ids=["once", "isolated", "jobs"]
)
def test_one_that_looks_whole_and_does_not_work(
    census: Census, build: Path, looks_whole: Path, words: tuple[str, ...]
) -> None:
    """Somebody's own prefix is not made anew: it is theirs to mend."""
    done = lkltest("run", "--build", build, "--lkl-wine-prefix", looks_whole, *words)
    said = [line for line in done.stderr.splitlines() + done.stdout.splitlines() if line.strip()]
    assert done.returncode == 2, done.stdout + done.stderr
    assert len(said) == 1 and str(looks_whole) in said[0] and "remove it" in said[0]


def test_lkltest_s_own_is_made_anew(census: Census, looks_whole: Path, tmp_path: Path) -> None:
    changes = {"XDG_CACHE_HOME": str(tmp_path / "cache")}
    done = lkltest("exec", misbehave(), "status", "0", changes=changes)
    assert done.returncode == 0 and "making it anew" in done.stderr, done.stderr
    assert (looks_whole / SHELL).stat().st_size > 10_000


def test_the_home_directory_s_prefix_is_never_touched(census: Census, tmp_path: Path) -> None:
    home = tmp_path / "home"
    home.mkdir()
    done = lkltest("exec", misbehave(), "status", "0", changes={"HOME": str(home)})
    assert done.returncode == 0, done.stderr
    assert list(home.iterdir()) == []


def test_the_suites_run_from_a_windows_build(census: Census, tmp_path: Path) -> None:
    windows = Path(__file__).parents[3] / "build" / "windows-kernel"
    if not windows.is_dir():
        pytest.skip("build/windows-kernel is missing: lkltest setup wine")
    junit = tmp_path / "junit"
    words = ("run", "boot", "disk[ext4]", "--build", windows, "--junit-dir", junit)
    done = lkltest(*words, changes=marked(census))
    assert done.returncode == 0, done.stdout + done.stderr
    cases = [
        case for file in junit.glob("*.xml") for case in ElementTree.parse(file).iter("testcase")
    ]
    names = {case.get("name") for case in cases if case.find("skipped") is None}
    assert {"mutex", "start_kernel", "fsck"} <= names
    assert left(census, 0.5) == []


def test_doctor_knows_wine() -> None:
    done = lkltest("doctor")
    assert "wine 8" in done.stdout or "wine " in done.stdout
    assert "PE32+" in done.stdout and "prefix" in done.stdout


@pytest.mark.parametrize("how", ["SIGKILL", "wineserver -k"])
def test_the_servers_death_is_named_at_once(how: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(CACHE))
    host = WineHost()

    def kill(said: bytes) -> None:
        server = host._server
        if b"* 2 middle" not in said or server is None:
            return
        if how == "SIGKILL":
            os.kill(server.process, signal.SIGKILL)
            return
        tools = find_tools()
        assert isinstance(tools, WineTools)
        variables = program_environment(tools, server.prefix)
        subprocess.Popen([tools.server, "-k"], env=variables)

    with host.session():
        launch = Launch(misbehave(), ("hang",), {}, Deadlines(120, 60, 60, 60))
        with Scope(join=host.namespace_pid()) as scope:
            result = Execution(host, host.launch(launch, scope), kill).run()
        crash = next(p for p in result.problems if p.kind is ProblemKind.CRASH)
        assert crash.reason == "wineserver died while the program ran" and crash.point == "middle"
        # Wine 10's programs die by a signal then, which follows from it.
        told = {problem.kind for problem in distinct(result.problems)}
        assert not told & {ProblemKind.SIGNAL, ProblemKind.STALL}
        launch = Launch(misbehave(), ("status", "0"))
        with Scope(join=host.namespace_pid()) as scope:
            assert Execution(host, host.launch(launch, scope)).run().passed, (
                "the next one has its own"
            )
