# SPDX-License-Identifier: GPL-2.0-only
"""The `lkltest` command, as a user runs it: exit statuses, what is printed, what is left."""

import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.census import MARKER, Census, new_marker
from tests.compiler import compile_program
from tests.fake_build import bundled_build, environment, fake_build, lkltest, start

needs_kernel = pytest.mark.skipif(bundled_build() is None, reason="the bundled kernel is not built")


def last_line(text: str) -> str:
    return text.splitlines()[-1] if text else ""


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


class TestReproduce:
    @pytest.mark.parametrize("mode", ["fail", "segfault", "status 3"])
    def test_the_printed_line_fails_in_the_same_way(self, tmp_path: Path, mode: str) -> None:
        build = fake_build(tmp_path / "a b'c", boot="pass", net_test=mode)
        first = lkltest("run", "boot", "net", f"--build={build}")
        lines = [line for line in first.stdout.splitlines() if "reproduce: " in line]
        line = next(line for line in lines if "net[loopback]" in line)
        words = shlex.split(line.partition("reproduce: ")[2])
        assert words[0] == "lkltest"
        again = lkltest(*words[1:])
        assert again.returncode == 1
        assert line in again.stdout, "it prints itself"
        assert last_line(again.stdout).startswith("1 suite: 1 failed;")

    def test_what_the_run_was_told_is_told_again(self, tmp_path: Path) -> None:
        (tmp_path / "conftest.py").write_text(
            "from lkltest.host import register\n"
            "from lkltest.hosts.native import NativeHost\n"
            "@register\n"
            "class Mine(NativeHost):\n"
            "    name = 'mine'\n"
        )
        build = fake_build(tmp_path / "lkl", boot="fail")
        done = lkltest(
            "run", "boot", f"--build={build}", "--timeout=2.5", "--host=mine", cwd=tmp_path
        )
        line = f"reproduce: lkltest run boot --host mine --build {build} --timeout 2.5\n"
        assert line in done.stdout, done.stdout + done.stderr

    def test_a_build_from_the_environment_is_named(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path, boot="fail")
        done = lkltest("run", "boot", env=environment(LKL_BUILD=str(build)))
        assert f"reproduce: lkltest run boot --host native --build {build}\n" in done.stdout


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


def wait_for_process(name: str, marker: str) -> None:
    """Until a program called `name` of ours runs; fails when none does for far too long."""
    empty = Census(marker, ())
    deadline = time.monotonic() + 120
    while not any(f"/{name} " in f"{line} " for line in empty.new() if line.startswith("process")):
        assert time.monotonic() < deadline, f"{name} was never seen"


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


class TestBadInput:
    """One line with what exists or what it is, exit status 2, and never a traceback."""

    def refused(self, *words: str, cwd: Path | None = None) -> str:
        done = lkltest(*words, cwd=cwd)
        assert done.returncode == 2, done.stdout + done.stderr
        lines = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
        assert len(lines) == 1, lines
        return lines[0]

    @pytest.fixture
    def build(self, tmp_path: Path) -> str:
        return f"--build={fake_build(tmp_path / 'lkl', boot='pass', net_test='pass')}"

    @pytest.mark.parametrize("name", ["floppy", "disk[minix]", "disk[", "[ext4]", ""])
    def test_unknown_suite_and_variant(self, build: str, name: str) -> None:
        line = self.refused("run", "boot", name, build)
        assert repr(name) in line
        assert "boot, disk[ext4], " in line

    def test_unknown_suite_in_parallel(self, build: str) -> None:
        assert "'floppy'; there are: boot, " in self.refused("run", "boot", "floppy", build, "-j2")

    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_unknown_host(self, build: str, jobs: str) -> None:
        line = self.refused("run", "boot", "--host=vax", build, f"-j{jobs}")
        assert "unknown host 'vax'; there are: " in line
        assert "native" in line

    @pytest.mark.parametrize("jobs", ["1", "2"])
    @pytest.mark.parametrize("host", [(), ("--host=native",)])
    def test_unknown_build(self, tmp_path: Path, jobs: str, host: tuple[str, ...]) -> None:
        line = self.refused("run", *host, f"--build={tmp_path / 'x'}", f"-j{jobs}")
        assert f"build {tmp_path / 'x'}: no such directory" in line

    @pytest.mark.parametrize("host", [(), ("--host=native",)])
    def test_empty_build(self, tmp_path: Path, host: tuple[str, ...]) -> None:
        line = self.refused("run", *host, f"--build={tmp_path}")
        assert f"build {tmp_path}: found none of tests/boot, tests/disk, tests/net-test" in line

    def test_a_build_that_is_a_file(self, tmp_path: Path) -> None:
        (tmp_path / "file").touch()
        assert "is not a directory" in self.refused("run", f"--build={tmp_path / 'file'}")

    @pytest.mark.parametrize("words", [("run", "boot", "-j1"), ("run", "boot", "-j2"), ("doctor",)])
    def test_a_full_disk_is_one_line(self, tmp_path: Path, words: tuple[str, ...]) -> None:
        """`lkltest run >file` where the file cannot grow: the suites run, nothing is green."""
        build = fake_build(tmp_path, boot="pass")
        command = [sys.executable, "-m", "lkltest", *words, f"--build={build}"]
        with Path("/dev/full").open("w") as full:
            done = subprocess.run(
                command, stdout=full, stderr=subprocess.PIPE, text=True, timeout=60, check=False
            )
        assert done.returncode == 1
        assert "No space left on device" in done.stderr
        assert len(done.stderr.splitlines()) == 1, done.stderr

    def test_the_version(self) -> None:
        assert re.fullmatch(r"lkltest \d+\.\d+\.\d+\n", lkltest("--version").stdout)

    def test_junk_on_the_command_line(self) -> None:
        for words in ([], ["frobnicate"], ["run", "--timeout=soon"], ["run", "-jx"]):
            done = lkltest(*words)
            assert done.returncode == 2
            assert done.stderr.startswith("usage: lkltest")
            assert " _" not in done.stderr, "names a function of ours"

    @pytest.mark.parametrize(
        "words",
        [
            ("--timeout=-1",),
            ("--timeout=0",),
            ("--timeout=nan",),
            ("--timeout=1e99",),
            ("-j0",),
            ("-j-3",),
            (f"-j{10**30}",),
        ],
    )
    def test_numbers_that_make_no_sense(self, build: str, words: tuple[str, ...]) -> None:
        done = lkltest("run", "boot", build, *words)
        assert done.returncode == 2, done.stdout + done.stderr

    @pytest.mark.parametrize(
        ("content", "mode", "what"),
        [
            (b"hello\n", 0o755, "is a text file"),
            (b"#!/bin/sh\nexit 0\n", 0o755, "is a script"),
            (b"", 0o755, "is an empty file"),
            (b"\x7fELF", 0o755, "is a truncated ELF file"),
            ("foreign", 0o755, "is ELF 64 bit for riscv"),
            ("native", 0o644, "is not executable: chmod +x"),
            ("cut", 0o755, ""),
            ("header", 0o755, "is ELF 64 bit for x86_64, but cannot be executed"),
            (None, 0, "no such file"),
            ("directory", 0, "is a directory"),
            ("pipe", 0, "is a named pipe"),
        ],
    )
    def test_exec_of_what_is_no_program(
        self, tmp_path: Path, content: bytes | str | None, mode: int, what: str
    ) -> None:
        program = tmp_path / "program"
        whole = Path("/bin/true").read_bytes()
        if content == "directory":
            program.mkdir()
        elif content == "pipe":
            os.mkfifo(program)
        elif content == "foreign":
            program.write_bytes(whole[:18] + (243).to_bytes(2, "little") + whole[20:])
        elif content == "native":
            program.write_bytes(whole)
        elif content == "cut":
            program.write_bytes(whole[: len(whole) // 8])
        elif content == "header":
            program.write_bytes(whole[:64])
        elif isinstance(content, bytes):
            program.write_bytes(content)
        if mode:
            program.chmod(mode)
        for host in ((), ("--host=native",)):
            done = lkltest("exec", *host, str(program))
            if content == "cut":  # the kernel refuses it or kills it: both are said
                assert done.returncode in (1, 2)
                assert str(program.name) in done.stderr
                continue
            assert done.returncode == 2
            (line,) = done.stderr.splitlines()
            assert str(program) in line
            assert what in line

    @pytest.mark.parametrize("content", [b"hello\n", b"\x7fELF", "foreign", "not executable"])
    def test_run_of_what_is_no_program(self, tmp_path: Path, content: bytes | str) -> None:
        build = fake_build(tmp_path, boot="pass", net_test="pass")
        program = tmp_path / "tests" / "boot"
        whole = program.read_bytes()
        program.unlink()
        if isinstance(content, str):
            content = (
                whole[:18] + (243).to_bytes(2, "little") + whole[20:]
                if content == "foreign"
                else whole
            )
        program.write_bytes(content)
        program.chmod(0o644 if content == whole else 0o755)
        done = lkltest("run", "boot", "--host=native", f"--build={build}")
        assert done.returncode == 1, done.stderr
        told = [line for line in done.stdout.splitlines() if str(program) in line]
        assert len(told) == 1, done.stdout
        assert told[0].startswith(f"    launch: {program}: is ")

    def test_run_of_a_build_that_is_no_hosts(self, tmp_path: Path) -> None:
        program = tmp_path / "tests" / "boot"
        program.parent.mkdir()
        program.write_text("#!/bin/sh\n")
        line = self.refused("run", "boot", f"--build={tmp_path}")
        assert f"{program}: is a script, not an ELF or PE program; no host" in line
        assert "native" in line, "the hosts that there are"

    def test_exec_on_an_unknown_host(self) -> None:
        assert "unknown host 'vax'; there are: " in self.refused("exec", "--host=vax", "/bin/true")


class TestExec:
    @pytest.mark.parametrize(("mode", "status"), [("pass", 0), ("fail", 1), ("segfault", 1)])
    def test_the_console_comes_through_and_the_verdict_is_the_status(
        self, tmp_path: Path, mode: str, status: int
    ) -> None:
        program = fake_build(tmp_path, boot=mode) / "tests" / "boot"
        done = lkltest("exec", str(program))
        assert done.returncode == status
        assert done.stdout.startswith("1..2 # contract\n* 1 first\nok 1 first\n")
        assert last_line(done.stderr).startswith(
            f"lkltest: boot@native: {'FAILED' if status else 'ok'}"
        )

    def test_arguments_are_the_programs_own(self, tmp_path: Path) -> None:
        program = compile_program(Path(__file__).parents[1] / "programs" / "contract.c")
        done = lkltest("exec", str(program), "arguments", "--host", "-v", "--", "a b")
        assert done.returncode == 0, done.stderr
        assert [line for line in done.stdout.splitlines() if line.startswith("ok")] == [
            "ok 1 --host", "ok 2 -v", "ok 3 --", "ok 4 a b", "ok 5 (unset)"
        ]  # fmt: skip

    def test_bytes_come_through_a_pipe_unchanged(self, tmp_path: Path) -> None:
        program = fake_build(tmp_path, boot="garbage") / "tests" / "boot"
        command = [sys.executable, "-m", "lkltest", "exec", program]
        done = subprocess.run(command, capture_output=True, timeout=60, check=True)
        assert b"\xff\xfe\x00\x1b[31m\x07ok 99 forged\r" in done.stdout

    def test_a_reader_that_goes_away_is_no_traceback(self, tmp_path: Path) -> None:
        program = fake_build(tmp_path, boot="flood 100") / "tests" / "boot"
        with start("lkltest", "exec", str(program)) as process:
            assert process.stdout is not None and process.stderr is not None
            process.stdout.readline()
            process.stdout.close()
            errors = process.stderr.read()
            assert process.wait(60) != 0
        assert "Traceback" not in errors

    def test_an_interrupt_ends_the_program(self, tmp_path: Path) -> None:
        marker = new_marker()
        census = Census.take(marker)
        program = fake_build(tmp_path, boot="deaf") / "tests" / "boot"
        with start("lkltest", "exec", str(program), env=environment(**{MARKER: marker})) as process:
            assert process.stdout is not None
            process.stdout.readline()
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 130
        assert errors == "lkltest: interrupted\n"
        assert census.left() == []


class TestDoctor:
    def test_suites_and_variants_are_listed(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path, boot="pass", disk="pass", net_test="pass")
        done = lkltest("doctor", f"--build={build}")
        assert done.returncode == 0
        lines = {" ".join(line.split()[:2]) for line in done.stdout.splitlines()}
        assert {"host native", "boot yes", "disk[ext4] yes", "net[loopback] yes"} <= lines

    def test_no_program_is_run(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path, boot="hang", disk="hang", net_test="hang")
        assert lkltest("doctor", f"--build={build}").returncode == 0

    def test_a_build_that_is_not_there_is_said(self, tmp_path: Path) -> None:
        done = lkltest("doctor", f"--build={tmp_path / 'x'}")
        assert done.returncode == 1
        assert f"build {tmp_path / 'x'}: no such directory" in done.stdout

    def test_the_build_of_the_environment_is_looked_at(self, tmp_path: Path) -> None:
        done = lkltest("doctor", env=environment(LKL_BUILD=str(tmp_path / "x")))
        assert done.returncode == 1
        assert f"build {tmp_path / 'x'}: no such directory" in done.stdout

    def test_a_missing_tool_comes_with_its_package(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path / "lkl", boot="pass", disk="pass")
        tools = tmp_path / "bin"
        tools.mkdir()
        for name in ("unshare", "sh"):
            (tools / name).symlink_to(shutil.which(name) or "/nonexistent")
        done = lkltest("doctor", f"--build={build}", env=environment(PATH=str(tools)))
        assert "gdb       missing" in done.stdout
        assert "apt-get install gdb" in done.stdout


@needs_kernel
class TestBundledKernel:
    def test_boot_and_disk_pass_on_a_real_kernel(self, tmp_path: Path) -> None:
        done = lkltest("run", "boot", "disk", "net[loopback]", f"--junit-dir={tmp_path}")
        assert done.returncode == 0, done.stdout
        assert last_line(done.stdout).startswith("6 suites: 6 ok;")
        assert len(list(tmp_path.glob("*.xml"))) == 6

    def test_a_boot_is_recorded_with_its_kernel(self, tmp_path: Path) -> None:
        lkltest("run", "boot", f"--junit-dir={tmp_path}")
        (file,) = tmp_path.glob("*.xml")
        properties = {
            item.get("name"): item.get("value") for item in ElementTree.parse(file).iter("property")
        }
        assert properties["host"] == "native"
        assert str(properties["kernel"]).startswith("4.9")
        assert "gcc" in str(properties["compiler"])
        assert str(properties["command"]).endswith("/tests/boot")
        assert properties["build"] == str(bundled_build())

    def test_exec(self) -> None:
        done = lkltest("exec", str(bundled_build()) + "/tests/boot")
        assert done.returncode == 0, done.stderr
        assert "1..37 # boot" in done.stdout.splitlines()
