# SPDX-License-Identifier: GPL-2.0-only
"""The `lkltest` command, as a user runs it: what it refuses, and a real kernel."""

import re
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.fake_build import bundled_build, fake_build, lkltest

needs_kernel = pytest.mark.skipif(bundled_build() is None, reason="the bundled kernel is not built")


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
        assert "boot, " in line and "disk[ext4], " in line

    def test_unknown_suite_in_parallel(self, build: str) -> None:
        assert "'floppy'; there are: boot, " in self.refused("run", "boot", "floppy", build, "-j2")

    @pytest.mark.parametrize("jobs", ["1", "2"])
    def test_unknown_host(self, build: str, jobs: str) -> None:
        line = self.refused("run", "boot", "--host=vax", build, f"-j{jobs}")
        assert "unknown host 'vax'; there are: " in line
        assert "native" in line

    @pytest.mark.parametrize("how", ["-j1", "-j2", "-v"])
    @pytest.mark.parametrize("host", [(), ("--host=native",)])
    def test_unknown_build(self, tmp_path: Path, how: str, host: tuple[str, ...]) -> None:
        line = self.refused("run", *host, f"--build={tmp_path / 'x'}", how)
        assert f"build {tmp_path / 'x'}: no such directory" in line

    @pytest.mark.parametrize("host", [(), ("--host=native",)])
    def test_empty_build(self, tmp_path: Path, host: tuple[str, ...]) -> None:
        line = self.refused("run", *host, f"--build={tmp_path}")
        assert f"build {tmp_path}: found no programs in {tmp_path}/tests" in line

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

    @pytest.mark.parametrize("words", ["run boot", "exec boot", "doctor", "bisect x --make y"])
    def test_a_current_directory_that_is_gone(self, tmp_path: Path, words: str) -> None:
        (tmp_path / "gone").mkdir()
        done = subprocess.run(
            ["sh", "-c", f"rmdir ../gone; exec {sys.executable} -P -m lkltest {words}"],
            cwd=tmp_path / "gone",
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
        )
        # git bisect run would take a 2 for a bad commit.
        assert done.returncode == (255 if "bisect" in words else 2)
        assert done.stderr == (
            "lkltest: the current directory is no longer there: cd to one that is\n"
        )

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

    @pytest.mark.parametrize("content", [b"hello\n", b"\x7fELF", "foreign", "not executable"])
    def test_run_of_what_is_no_program(self, tmp_path: Path, content: bytes | str) -> None:
        build = fake_build(tmp_path, boot="pass", net_test="pass")
        program = tmp_path / "tests" / "boot"
        whole = program.read_bytes()
        program.unlink()
        if isinstance(content, str):
            content = (
                whole[:18] + (258).to_bytes(2, "little") + whole[20:]
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
        program.write_text("echo\n")
        program.chmod(0o755)
        line = self.refused("run", "boot", f"--build={tmp_path}")
        assert f"{program}: is a text file, not an ELF or PE program; no host" in line
        assert "native" in line, "the hosts that there are"


@needs_kernel
class TestBundledKernel:
    def test_boot_and_disk_pass_on_a_real_kernel(self, tmp_path: Path) -> None:
        done = lkltest("run", "boot", "disk", "net[loopback]", f"--junit-dir={tmp_path}")
        assert done.returncode == 0, done.stdout
        assert done.stdout.splitlines()[-1].startswith("6 suites: 6 ok;")
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
