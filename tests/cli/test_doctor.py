# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest doctor`: what can run here, found out without running it."""

import re
import shutil
from pathlib import Path

import pytest

from tests.fake_build import environment, fake_build, lkltest


class TestDoctor:
    def test_suites_and_variants_are_listed(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path, boot="pass", disk="pass", net_test="pass")
        done = lkltest("doctor", f"--build={build}")
        assert done.returncode == 0
        lines = [" ".join(line.split()) for line in done.stdout.splitlines()]
        assert "boot yes" in lines
        disks = [line for line in lines if line.startswith("disk[ext4") and line.endswith(" yes")]
        assert disks, "variants that are alike are one line"
        assert any(re.match(r"net\[loopback, .*\] yes$", line) for line in lines)

    def test_a_program_that_cannot_run_is_said(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path, boot="pass", net_test="pass")
        program = build / "tests" / "net-test"
        program.unlink()
        program.write_text("echo\n")
        program.chmod(0o755)
        lines = lkltest("doctor", f"--build={build}").stdout.splitlines()
        said = {line.split()[0]: line for line in lines}
        assert said["boot"].split() == ["boot", "yes"]
        assert f"no  build {build.name} (tools/lkl) has no disk" in said["disk[ext4,"]
        assert f"no  launch: {program}: is a text file" in said["net[loopback,"]

    @pytest.mark.parametrize(
        ("name", "value"), [("PYTEST_ADDOPTS", "--nonsense"), ("PYTEST_PLUGINS", "nowhere")]
    )
    def test_what_is_set_for_pytest_is_not_for_it(
        self, tmp_path: Path, name: str, value: str
    ) -> None:
        build = fake_build(tmp_path, boot="pass")
        done = lkltest("doctor", f"--build={build}", env=environment(**{name: value}))
        assert "boot yes" in {" ".join(line.split()[:2]) for line in done.stdout.splitlines()}
        done = lkltest("run", "boot", f"--build={build}", env=environment(**{name: value}))
        assert done.returncode == 0, done.stdout + done.stderr

    def test_programs_that_no_suite_runs_are_said(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path, boot="pass", cptofs="pass", fs2tar="pass", own_tool="pass")
        lines = lkltest("doctor", f"--build={build}").stdout.splitlines()
        assert [line.split() for line in lines if "no suite" in line] == [
            ["in", "no", "suite", "fs2tar", "own-tool"]
        ]
        assert "no suite" not in lkltest("doctor", "boot", f"--build={build}").stdout

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
