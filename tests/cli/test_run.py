# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest run` as a user runs it: verdicts, what is selected, what is shown and written."""

import os
import shlex
import shutil
import signal
import subprocess
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.census import MARKER, Census, new_marker
from tests.fake_build import MY_HOST, environment, fake_build, lkltest, start


def last_line(text: str) -> str:
    return text.splitlines()[-1] if text else ""


def wait_for_process(name: str, marker: str) -> None:
    """Until a program called `name` of ours runs; fails when none does for far too long."""
    empty = Census(marker, ())
    deadline = time.monotonic() + 120
    while not any(f"/{name} " in f"{line} " for line in empty.new() if line.startswith("process")):
        assert time.monotonic() < deadline, f"{name} was never seen"


class TestVerdicts:
    """One misbehaving `boot` at a time: what is said, with which exit status."""

    @pytest.mark.parametrize(
        "mode", ["pass", "garbage", "daemon", "daemon-with-console", "bytewise"]
    )
    def test_it_passes(self, tmp_path: Path, mode: str) -> None:
        done = lkltest("run", "boot", f"--build={fake_build(tmp_path, boot=mode)}")
        assert done.returncode == 0, done.stdout
        assert done.stdout.startswith("boot@native")
        assert done.stdout.split()[1] == "ok"
        assert last_line(done.stdout).startswith("1 suite: 1 ok;")
        assert done.stderr == ""

    def test_100_mb_pass(self, tmp_path: Path) -> None:
        done = lkltest("run", "boot", f"--build={fake_build(tmp_path, boot='flood 100')}")
        assert done.returncode == 0, done.stdout[-2000:]
        assert len(done.stdout) < 10_000, "the flood stays out of the terminal"

    @pytest.mark.parametrize(
        ("mode", "words"),
        [
            ("fail", ["not ok second", "about second"]),
            ("status 3", ["exit status", "3"]),
            ("status 255", ["exit status", "255"]),
            ("silent", ["no plan"]),
            ("short", ["plan not met"]),
            ("segfault", ["SIGSEGV", "crashing"]),
            ("abort", ["SIGABRT", "aborting"]),
            ("late-segfault", ["SIGSEGV"]),
            ("oops", ["kernel BUG", "unable to handle kernel NULL pointer"]),
            ("close-stdout", ["plan not met"]),
        ],
    )
    def test_it_fails_with_the_reason(self, tmp_path: Path, mode: str, words: list[str]) -> None:
        done = lkltest("run", "boot", f"--build={fake_build(tmp_path, boot=mode)}")
        assert done.returncode == 1, done.stdout
        assert done.stdout.split()[1] == "FAILED"
        for word in words:
            assert word in done.stdout
        assert last_line(done.stdout).startswith("1 suite: 1 failed;")

    @pytest.mark.parametrize("mode", ["hang", "deaf"])
    def test_a_hang_ends_with_a_backtrace(self, tmp_path: Path, mode: str) -> None:
        build = fake_build(tmp_path, boot=mode)
        done = lkltest(
            "run", "boot", f"--build={build}", "--timeout=3", "--junit-dir=junit", cwd=tmp_path
        )
        assert done.returncode == 1
        assert "stall" in done.stdout
        assert "hanging" in done.stdout
        if shutil.which("gdb"):
            (file,) = (tmp_path / "junit").glob("*.xml")
            assert "in hang" in file.read_text(encoding="utf-8")

    def test_one_failure_does_not_stop_the_others(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path, boot="segfault", net_test="pass")
        done = lkltest("run", "boot", "net[loopback]", f"--build={build}")
        assert done.returncode == 1
        suites = [line.split()[:2] for line in done.stdout.splitlines() if "@native" in line]
        assert suites == [["boot@native", "FAILED"], ["net[loopback]@native", "ok"]]


def in_a_shell(line: str) -> subprocess.CompletedProcess[str]:
    """The outcome of a line `reproduce: ...` that is pasted, without the run's variables."""
    pasted = line.partition("reproduce: ")[2]
    return subprocess.run(
        ["sh", "-c", pasted],
        env=environment(),
        capture_output=True,
        text=True,
        check=False,
    )


class TestReproduce:
    @pytest.mark.parametrize("mode", ["fail", "segfault", "status 3"])
    def test_the_printed_line_fails_in_the_same_way(self, tmp_path: Path, mode: str) -> None:
        build = fake_build(tmp_path / "a b'c", boot="pass", net_test=mode)
        first = lkltest("run", "boot", "net", f"--build={build}")
        lines = [line for line in first.stdout.splitlines() if "reproduce: " in line]
        line = next(line for line in lines if "net[loopback]" in line)
        words = shlex.split(line.partition("reproduce: ")[2])
        assert words[0].endswith("lkltest")
        again = in_a_shell(line)
        assert again.returncode == 1, again.stderr
        assert line in again.stdout, "it prints itself"
        assert last_line(again.stdout).startswith("1 suite: 1 failed;")

    def test_what_the_run_was_told_is_told_again(self, tmp_path: Path) -> None:
        (tmp_path / "conftest.py").write_text(MY_HOST)
        build = fake_build(tmp_path / "lkl", boot="fail")
        done = lkltest(
            "run", "boot", f"--build={build}", "--timeout=2.5", "--host=mine", cwd=tmp_path
        )
        line = f"lkltest run boot --host mine --build {build} --timeout 2.5\n"
        assert line in done.stdout, done.stdout + done.stderr

    def test_what_lkl_reads_of_the_environment_is_in_it(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path / "lkl", boot="fail")
        settings = {"LKL_PRINT": "a b'c", "LKL_BUILD": str(build)}
        first = lkltest("run", "boot", env=environment(**settings))
        (line,) = [line for line in first.stdout.splitlines() if "reproduce: " in line]
        assert shlex.split(line)[1:3] == ["env", "LKL_PRINT=a b'c"]
        assert line in in_a_shell(line).stdout

    def test_a_build_from_the_environment_is_named(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path, boot="fail")
        done = lkltest("run", "boot", env=environment(LKL_BUILD=str(build)))
        assert f"lkltest run boot --host native --build {build}\n" in done.stdout


class TestSelection:
    @pytest.fixture
    def build(self, tmp_path: Path) -> Path:
        return fake_build(tmp_path, boot="pass", disk="pass", net_test="pass")

    def suites(self, *words: str) -> list[str]:
        done = lkltest("run", *words)
        return [line.split("@")[0] for line in done.stdout.splitlines() if "@native" in line]

    def test_a_suite_a_variant_and_both(self, build: Path) -> None:
        option = f"--build={build}"
        assert self.suites("boot", option) == ["boot"]
        assert self.suites("net[loopback]", option) == ["net[loopback]"]
        assert self.suites("net[loopback]", "boot", option) == ["boot", "net[loopback]"]

    def test_everything(self, build: Path) -> None:
        names = self.suites(f"--build={build}")
        assert names[0] == "boot"
        assert {name.partition("[")[0] for name in names} >= {"boot", "disk", "net"}

    def test_a_host_named_twice_runs_once(self, build: Path) -> None:
        assert self.suites("boot", f"--build={build}", "--host=native", "--host=native") == ["boot"]

    def test_in_parallel_the_same_suites_run(self, build: Path) -> None:
        option = f"--build={build}"
        assert sorted(self.suites("boot", "disk", option, "-j2")) == sorted(
            self.suites("boot", "disk", option)
        )


class TestJunit:
    """One file per suite run; what is in it is test_junit's."""

    def read(self, directory: Path) -> dict[str, dict[str, str]]:
        """Suite name: point name: failure, error, skipped or nothing."""
        found = {}
        for file in directory.iterdir():
            assert file.suffix == ".xml", "nothing else is left"
            for suite in ElementTree.parse(file).iter("testsuite"):
                found[file.stem] = {
                    case.get("name", ""): "".join(
                        child.tag for child in case if child.tag in ("failure", "error", "skipped")
                    )
                    for case in suite.iter("testcase")
                }
        return found

    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_a_file_for_each_suite(self, tmp_path: Path, jobs: str) -> None:
        build = fake_build(tmp_path, boot="pass", disk="pass", net_test="fail")
        junit = tmp_path / "deep" / "junit"  # is made
        done = lkltest("run", f"--build={build}", f"--junit-dir={junit}", f"-j{jobs}")
        assert done.returncode == 1
        suites = [line for line in done.stdout.splitlines() if "@native " in line]
        found = self.read(junit)
        assert len(found) == len(suites)
        (boot,) = [cases for name, cases in found.items() if "boot" in name]
        assert boot == {"first": "", "second": ""}
        (net,) = [cases for name, cases in found.items() if "loopback" in name]
        assert net["second"] == "failure"

    def test_a_kernel_without_the_file_system_is_a_skip(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path, boot="pass", disk="no-driver", net_test="pass")
        done = lkltest("run", "disk[ext4]", f"--build={build}")
        assert done.returncode == 0, done.stdout
        assert "skipped" in done.stdout
        assert "has no ext4" in done.stdout

    def test_a_kernel_without_the_charset_of_vfat_is_a_skip(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path, boot="pass", disk="no-charset", net_test="pass")
        done = lkltest("run", "disk[vfat]", f"--build={build}")
        assert done.returncode == 0, done.stdout
        assert "has no codepage cp437" in done.stdout

    def test_a_second_run_replaces_the_first(self, tmp_path: Path) -> None:
        for mode in ("fail", "pass"):
            build = fake_build(tmp_path, boot=mode)
            lkltest("run", "boot", f"--build={build}", f"--junit-dir={tmp_path / 'junit'}")
        assert list(self.read(tmp_path / "junit").values()) == [{"first": "", "second": ""}]

    def test_a_directory_that_cannot_be_made(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        build = fake_build(tmp_path, boot="pass")
        for name in ("file", "file/deeper"):
            done = lkltest("run", "boot", f"--build={build}", f"--junit-dir={tmp_path / name}")
            assert done.returncode == 2
            assert f"JUnit directory {tmp_path / name}: " in done.stderr
            assert done.stdout == "", "nothing was run for a report that cannot be written"

    def test_an_interrupt_leaves_the_suites_that_ended(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path, boot="pass", net_test="hang")
        junit = tmp_path / "junit"
        marker = new_marker()
        census = Census.take(marker)
        command = ("run", "boot", "net[loopback]", f"--build={build}", f"--junit-dir={junit}")
        with start("lkltest", *command, env=environment(**{MARKER: marker})) as process:
            assert process.stdout is not None
            assert process.stdout.readline().startswith("boot@native")
            wait_for_process("net-test", marker)
            os.killpg(process.pid, signal.SIGINT)
            rest, errors = process.communicate(timeout=60)
        assert process.returncode == 130, rest
        assert errors == "lkltest: interrupted\n"
        assert "Traceback" not in rest
        assert {"first": "", "second": ""} in self.read(junit).values()
        assert census.left() == []


class TestVerbose:
    def test_points_are_shown_while_the_program_runs(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path, boot="hang")
        with start("lkltest", "run", "-v", "boot", f"--build={build}") as process:
            assert process.stdout is not None
            seen = ""
            while "[first]" not in seen:  # pytest ends a line only when the next one begins
                seen += process.stdout.read(1)
            assert process.poll() is None, "the program hangs, and its first point is shown"
            os.killpg(process.pid, signal.SIGINT)
            rest, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert "Traceback" not in rest + errors

    def test_every_point_in_the_order_of_the_stream(self, tmp_path: Path) -> None:
        done = lkltest("run", "-v", "boot", f"--build={fake_build(tmp_path, boot='pass')}")
        assert done.returncode == 0
        assert 0 < done.stdout.index("[first]") < done.stdout.index("[second]")
