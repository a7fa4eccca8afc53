# SPDX-License-Identifier: GPL-2.0-only
"""The examples of docs/: what they say works, as a package and in a conftest.py."""

import os
import shutil
import tomllib
from pathlib import Path

import pytest

from tests.compiler import ROOT, compile_program
from tests.fake_build import environment, fake_build, lkltest
from tests.fake_build import pytest as run_pytest

EXAMPLES = ROOT / "docs" / "examples"
HOST = EXAMPLES / "host"
SUITE = EXAMPLES / "suite"

needs_root = pytest.mark.skipif(os.geteuid() != 0, reason="chroot(2) is for root alone")


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """A root directory with a build in it, whose program needs no library."""
    build = fake_build(tmp_path / "root" / "lkl", boot="pass")
    source = ROOT / "tests" / "programs" / "fake.c"
    (build / "tests" / "boot").unlink()
    shutil.copy(
        compile_program(source, "-static", "-DMODE=pass", "-DARGUMENT="), build / "tests" / "boot"
    )
    return tmp_path / "root"


@needs_root
class TestHost:
    def test_it_keeps_the_contract(self, empty: Path) -> None:
        for name in ("chroot_host.py", "test_chroot_host.py"):
            shutil.copy(HOST / name, empty)
        done = run_pytest("-q", "test_chroot_host.py", cwd=empty)
        assert done.returncode == 0, done.stdout
        assert "skipped" not in done.stdout

    def test_as_a_package(self, tmp_path: Path, root: Path) -> None:
        site = tmp_path / "site"
        info = site / "lkltest_chroot-1.0.dist-info"
        info.mkdir(parents=True)
        shutil.copy(HOST / "chroot_host.py", site)
        project = tomllib.loads((HOST / "pyproject.toml").read_text(encoding="utf-8"))["project"]
        lines = [
            f"{name} = {place}" for name, place in project["entry-points"]["lkltest.hosts"].items()
        ]
        (info / "METADATA").write_text(
            "Metadata-Version: 2.1\nName: lkltest-chroot\nVersion: 1.0\n"
        )
        (info / "entry_points.txt").write_text("\n".join(["[lkltest.hosts]", *lines, ""]))
        words = ("run", "boot", "--host=chroot", f"--build={root}/lkl", f"--lkl-chroot-root={root}")
        done = lkltest(*words, env=environment(PYTHONPATH=str(site)))
        assert done.stdout.startswith("boot@chroot              ok"), done.stdout + done.stderr

    def test_in_a_conftest(self, empty: Path, root: Path) -> None:
        for name in ("chroot_host.py", "conftest.py"):
            shutil.copy(HOST / name, empty)
        (empty / "test_own.py").write_text("def test_own(lkl): lkl.run('boot')\n")
        words = (f"--lkl-build={root}/lkl", f"--lkl-chroot-root={root}", "test_own.py")
        done = run_pytest("--lkl-host=chroot", *words, cwd=empty)
        assert "own@chroot               ok" in done.stdout, done.stdout + done.stderr

    def test_it_fits_into_60_lines(self) -> None:
        lines = (HOST / "chroot_host.py").read_text(encoding="utf-8").splitlines()
        assert len([line for line in lines if line.strip()]) <= 60


class TestSuite:
    def test_it_runs_its_own_program(self, empty: Path, tmp_path: Path) -> None:
        for name in ("hello.c", "test_hello.py"):
            shutil.copy(SUITE / name, empty)
        build = fake_build(tmp_path / "lkl", boot="pass")
        done = run_pytest("--lkl-host=native", f"--lkl-build={build}", "test_hello.py", cwd=empty)
        assert "hello[world]@native      ok" in done.stdout, done.stdout + done.stderr
        assert "3 points: 3 ok" in done.stdout
        assert "hello[moon]@native       skipped" in done.stdout

    def test_a_program_of_the_build_by_its_name(self, empty: Path, tmp_path: Path) -> None:
        build = fake_build(tmp_path / "lkl", boot="pass", hello="pass")
        (empty / "test_own.py").write_text("def test_own(lkl): lkl.run('hello')\n")
        done = run_pytest("--lkl-host=native", f"--lkl-build={build}", "test_own.py", cwd=empty)
        assert "1 suite: 1 ok; 2 points: 2 ok" in done.stdout, done.stdout + done.stderr

    def test_a_program_that_is_not_there(self, empty: Path, tmp_path: Path) -> None:
        build = fake_build(tmp_path / "lkl", boot="pass")
        (empty / "test_own.py").write_text("def test_own(lkl): lkl.run('goodbye')\n")
        done = run_pytest("--lkl-host=native", f"--lkl-build={build}", "test_own.py", cwd=empty)
        assert f"build {build}: has no program goodbye" in done.stdout


def test_the_documents_name_files_that_are_there() -> None:
    for document in ("hosts.md", "suites.md"):
        text = (ROOT / "docs" / document).read_text(encoding="utf-8")
        places = [part.partition(")")[0] for part in text.split("](")[1:]]
        assert len(places) > 1
        assert [place for place in places if not (ROOT / "docs" / place).exists()] == []
