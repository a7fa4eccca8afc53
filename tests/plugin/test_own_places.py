# SPDX-License-Identifier: GPL-2.0-only
"""Suites of somebody else: named by path, in a package, in the folder that pytest is run in."""

import re
import shutil
from pathlib import Path

import pytest

from tests.compiler import ROOT
from tests.fake_build import environment, fake_build, lkltest
from tests.fake_build import pytest as run_pytest

HELLO = """\
import pytest

@pytest.mark.parametrize("name", ["world", "moon"])
def test_hello(lkl, name):
    lkl.run("hello", "world")
"""


@pytest.fixture
def mine(empty: Path) -> Path:
    """A folder `my/` with a suite and its C program, beside a build that lacks the program."""
    (empty / "my").mkdir()
    (empty / "my" / "test_hello.py").write_text(HELLO)
    shutil.copy(ROOT / "docs" / "examples" / "suite" / "hello.c", empty / "my")
    fake_build(empty / "lkl", boot="pass")
    return empty


def test_a_file_or_folder_is_run_and_its_program_compiled(mine: Path) -> None:
    for words in (["my/test_hello.py"], ["my/"], ["my/", "hello[moon]"]):
        done = lkltest("run", *words, "--build=lkl", cwd=mine)
        count = 1 if len(words) == 2 else 2
        assert f"{count} suite" in done.stdout, done.stdout + done.stderr
        assert f"{2 * count} points: {2 * count} ok" in done.stdout


def test_what_is_not_there_is_one_line(mine: Path) -> None:
    done = lkltest("run", "my/test_absent.py", "--build=lkl", cwd=mine)
    assert done.returncode == 2
    assert done.stderr == f"lkltest: suites {mine}/my/test_absent.py: no such file or directory\n"


def test_list_and_doctor_know_it(mine: Path) -> None:
    assert "hello[moon]" in lkltest("list", "my/", cwd=mine).stdout
    said = lkltest("doctor", "my/", "--build=lkl", cwd=mine).stdout
    assert re.search(r"^  hello\[world, .*\] yes$", said, re.M), said
    assert "  boot " not in said.partition("host native")[2].partition("\n")[2]


def test_a_name_that_fits_nothing_is_told_and_so_is_the_folder_that_was_meant(mine: Path) -> None:
    for command in ("run", "list", "doctor"):
        done = lkltest(command, "my", "--build=lkl", cwd=mine)
        assert done.returncode == 2
        assert "my/ is a path to suites; unknown suite or variant 'my'" in done.stderr
        done = lkltest(command, "my/", "hello[sun]", "--build=lkl", cwd=mine)
        assert done.returncode == 2
        assert "did you mean 'hello[moon]'?" in done.stderr


def test_doctor_tells_why_a_suite_without_a_program_is_a_skip(mine: Path) -> None:
    (mine / "my" / "test_hello.py").write_text(
        "def test_hello(lkl): lkl.skip_point('greets', 'nobody lives there')"
    )
    said = lkltest("doctor", "my/", "--build=lkl", cwd=mine).stdout
    assert re.search(r"^  hello +no +nobody lives there$", said, re.M), said


def test_a_failure_is_reproduced_by_path(mine: Path) -> None:
    (mine / "my" / "test_hello.py").write_text("def test_hello(lkl): lkl.point('no', False)")
    done = lkltest("run", "my/", "--build=lkl", cwd=mine)
    line = f"lkltest run {mine}/my/test_hello.py hello --host native"
    assert line in done.stdout


def test_a_night_has_it(mine: Path) -> None:
    (mine / "night.toml").write_text(
        '[builds.a]\npath = "lkl"\n[matrix]\nbuilds = ["a"]\nhosts = ["native"]\n'
        'suites = ["boot", "my/"]\n'
    )
    done = lkltest("nightly", "night.toml", cwd=mine)
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 cells" in done.stdout


def test_one_that_is_named_as_another_is_refused(mine: Path) -> None:
    (mine / "my" / "test_hello.py").write_text("def test_boot(lkl): lkl.run('boot')")
    (mine / "night.toml").write_text(
        '[builds.a]\npath = "lkl"\n[matrix]\nbuilds = ["a"]\nhosts = ["native"]\nsuites = ["my/"]\n'
    )
    done = lkltest("nightly", "night.toml", cwd=mine)
    assert done.returncode == 2
    assert f"suite boot is there twice: {mine}/my/test_hello.py" in done.stderr


def test_a_package_brings_one(mine: Path) -> None:
    info = mine / "my" / "mine-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: mine\nVersion: 1.0\n")
    (info / "entry_points.txt").write_text("[lkltest.suites]\nhello = test_hello\n")
    env = environment(PYTHONPATH=str(mine / "my"))
    done = lkltest("run", "hello[moon]", "boot", "--build=lkl", cwd=mine, env=env)
    assert "2 suites: 2 ok; 4 points: 4 ok" in done.stdout, done.stdout + done.stderr


def test_pytest_runs_those_of_its_folder(mine: Path) -> None:
    done = run_pytest("--lkl-host=native", "--lkl-build=lkl", cwd=mine)
    assert "hello[moon]@native" in done.stdout
    assert "boot@native" not in done.stdout


def test_a_missing_program_can_be_a_skip(mine: Path) -> None:
    (mine / "my" / "test_hello.py").write_text("def test_hello(lkl): lkl.need('goodbye')")
    done = lkltest("run", "my/", "--build=lkl", cwd=mine)
    assert "has no goodbye" in done.stdout
    assert done.returncode == 0
