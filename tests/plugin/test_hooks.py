# SPDX-License-Identifier: GPL-2.0-only
"""The pytest plugin in pytest runs of its own: in an empty directory and in other projects."""

import os
import re
import shutil
import signal
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.census import MARKER, Census, new_marker
from tests.compiler import ROOT
from tests.fake_build import MY_HOST, SUITE, environment, fake_build, lkltest, start
from tests.fake_build import pytest as run_pytest

UNSTARTABLE = f"""{MY_HOST}
    def session(self, shared=None):
        raise LaunchError("no server: install one")
"""


@pytest.fixture
def project(empty: Path) -> Path:
    """Another project's directory, with a pytest.ini and tests of its own."""
    (empty / "pytest.ini").write_text("[pytest]\naddopts = -ra --strict-markers\ntestpaths = own\n")
    (empty / "own").mkdir()
    (empty / "own" / "test_own.py").write_text("def test_own(): pass\n")
    return empty


def counts(text: str) -> dict[str, int]:
    """The counts of pytest's last line: {"passed": 3, ...}."""
    return {
        word: int(number) for number, word in re.findall(r"(\d+) (\w[\w ]*?)(?:,| in )", last(text))
    }


def last(text: str) -> str:
    return next(line for line in reversed(text.splitlines()) if " in " in line)


class TestEmptyDirectory:
    """`pytest --lkl-host=native` where there is no project runs the installed suites."""

    @pytest.fixture
    def build(self, tmp_path: Path) -> str:
        return (
            f"--lkl-build={fake_build(tmp_path / 'lkl', boot='pass', disk='pass', net_test='pass')}"
        )

    def test_every_suite_and_point_is_counted(self, empty: Path, build: str) -> None:
        done = run_pytest("--lkl-host=native", build, cwd=empty)
        assert done.returncode == 0, done.stdout
        lines = [line for line in done.stdout.splitlines() if "@native " in line]
        assert {re.split(r"[@\[]", line)[0] for line in lines} >= {"boot", "disk", "net"}
        points = [int(number) for number in re.findall(r"(\d+) points?:", done.stdout)]
        ran = [line for line in lines if " skipped " not in line]
        assert sum(points[:-1]) == points[-1] > 2 * len(ran) > 0, "the last line sums up"

    def test_points_count_in_pytests_own_summary(self, empty: Path, build: str) -> None:
        done = run_pytest("--lkl-host=native", build, "--lkl-suite=boot", "-v", cwd=empty)
        assert counts(done.stdout).items() >= {"passed": 1, "subtests passed": 2}.items()

    def test_parallel_is_the_same(self, empty: Path, build: str) -> None:
        alone = run_pytest("--lkl-host=native", build, cwd=empty)
        parallel = run_pytest("--lkl-host=native", build, "-n2", cwd=empty)
        assert parallel.returncode == alone.returncode
        assert counts(parallel.stdout) == counts(alone.stdout)

    @pytest.mark.parametrize("words", [(), ("-n2",)])
    def test_one_junit_file_for_each_suite(
        self, empty: Path, build: str, words: tuple[str, ...]
    ) -> None:
        done = run_pytest("--lkl-host=native", build, "--lkl-junit-dir=out", *words, cwd=empty)
        suites = [line for line in done.stdout.splitlines() if "@native " in line]
        documents = [ElementTree.parse(file) for file in (empty / "out").iterdir()]
        names = [document.getroot()[0].get("name") for document in documents]
        assert sorted(map(str, names)) == sorted(line.split()[0] for line in suites)
        assert "boot@native" in names

    def test_points_are_named_in_verbose_output(self, empty: Path, build: str) -> None:
        done = run_pytest("--lkl-host=native", build, "--lkl-suite=boot", "-v", cwd=empty)
        assert done.returncode == 0, done.stdout
        assert re.search(r"test_boot\[native\] SUBPASSED\[first\]", done.stdout)
        assert done.stdout.index("[first]") < done.stdout.index("[second]")

    def test_a_failure_is_told_and_can_be_reproduced(self, empty: Path, tmp_path: Path) -> None:
        build = fake_build(tmp_path / "bad", boot="segfault")
        done = run_pytest(
            "--lkl-host=native", f"--lkl-build={build}", "--lkl-suite=boot", cwd=empty
        )
        assert done.returncode == 1
        assert "SIGSEGV" in done.stdout
        assert f"lkltest run boot --host native --build {build}" in done.stdout
        assert "suite_run.py" not in done.stdout, (
            "a program's failure is not a failure of Python code"
        )


class TestMaxfail:
    """--maxfail may end a suite in the middle of its stream: the program ends with it."""

    @pytest.mark.parametrize("words", [("--maxfail=1",), ("-x",)])
    def test_the_program_is_ended(
        self, empty: Path, tmp_path: Path, words: tuple[str, ...]
    ) -> None:
        build = fake_build(tmp_path / "lkl", boot="fail-then-hang")
        marker = new_marker()
        census = Census.take(marker)
        done = run_pytest(
            "--lkl-host=native", f"--lkl-build={build}", "--lkl-suite=boot", "--lkl-junit-dir=out",
            *words, cwd=empty, env=environment(**{MARKER: marker}),
        )  # fmt: skip
        assert done.returncode in (1, 2)
        assert "not ok second" in done.stdout
        assert "stall" not in done.stdout
        assert census.left() == []
        report = (empty / "out" / "boot@native.xml").read_text(encoding="utf-8")
        assert 'type="suite error"' not in report, "the suite did nothing wrong"
        assert "interrupted: stopping after 1 failures, in mid-stream" in report


class TestBadInput:
    """pytest ends with one line and exit status 2."""

    @pytest.mark.parametrize("words", [(), ("-n2",)])
    @pytest.mark.parametrize(
        ("option", "message"),
        [
            ("--lkl-host=vax", "unknown host 'vax'; there are: "),
            ("--lkl-build=/nonexistent", "build /nonexistent: no such directory"),
            ("--lkl-build=/usr", "build /usr: found no programs in /usr/tests"),
            ("--lkl-suite=floppy", "unknown suite or variant 'floppy'; there are: boot, "),
        ],
    )
    def test_one_line(
        self, empty: Path, tmp_path: Path, option: str, message: str, words: tuple[str, ...]
    ) -> None:
        build = fake_build(tmp_path / "lkl", boot="pass")
        options = ["--lkl-host=native", f"--lkl-build={build}", option]
        done = run_pytest(*options, *words, cwd=empty)
        assert done.returncode == 2, done.stdout + done.stderr
        told = [line for line in (done.stdout + done.stderr).splitlines() if message in line]
        assert len(told) == 1, done.stdout + done.stderr

    def test_no_build_to_take_the_host_from(self, empty: Path) -> None:
        """`pytest` in a checkout, without --lkl-host."""
        (empty / "pytest.ini").write_text("[pytest]\n")
        (empty / "test_toy.py").write_text(SUITE.format(body=""))
        done = run_pytest("--lkl-build=/nonexistent", cwd=empty)
        assert done.returncode == 2
        assert "build /nonexistent: no such directory" in done.stdout.splitlines()

    @pytest.mark.parametrize("words", [(), ("-n2",)])
    def test_a_host_that_does_not_start(self, empty: Path, words: tuple[str, ...]) -> None:
        """Alone it ends the run; beside another its own suites fail."""
        (empty / "conftest.py").write_text(UNSTARTABLE)
        (empty / "pytest.ini").write_text("[pytest]\n")
        (empty / "test_toy.py").write_text(SUITE.format(body=""))
        build = fake_build(empty / "lkl", boot="pass")
        options = ["--lkl-host=mine", f"--lkl-build={build}"]
        done = run_pytest(*options, *words, cwd=empty)
        assert done.returncode == 2, done.stdout + done.stderr
        lines = (done.stdout + done.stderr).splitlines()
        assert len([line for line in lines if "no server: install one" in line]) == 1
        assert "toy@mine" not in done.stdout
        both = run_pytest(*options, "--lkl-host=native", *words, cwd=empty)
        assert both.returncode == 1, both.stdout + both.stderr
        assert re.search(r"toy@native +ok", both.stdout), both.stdout
        assert re.search(r"toy@mine +FAILED", both.stdout), both.stdout


class TestOtherProjects:
    """Without --lkl-host the installed plugin changes nothing in anyone's test run."""

    def output(self, project: Path, *words: str) -> str:
        done = run_pytest("-p", "no:cacheprovider", *words, cwd=project)
        assert done.returncode == 0, done.stdout + done.stderr
        assert done.stderr == ""
        lines = [line for line in done.stdout.splitlines() if not line.startswith("plugins:")]
        return re.sub(r"=+|\d+\.\d+s", "", "\n".join(lines))  # the rules fill up the time's line

    @pytest.mark.parametrize("words", [(), ("-v",), ("-q",), ("-n1",)])
    def test_output_is_the_same_as_without_the_plugin(
        self, project: Path, words: tuple[str, ...]
    ) -> None:
        with_plugin = self.output(project, *words)
        assert with_plugin == self.output(project, *words, "-p", "no:lkltest")
        assert "suite" not in with_plugin

    def test_a_build_in_the_environment_matters_not(self, project: Path) -> None:
        done = run_pytest(cwd=project, env=environment(LKL_BUILD="/nonexistent"))
        assert done.returncode == 0

    def test_a_fixture_of_the_same_name_wins(self, project: Path) -> None:
        (project / "own" / "conftest.py").write_text(
            "import pytest\n@pytest.fixture\ndef network(): return 3\n"
        )
        (project / "own" / "test_own.py").write_text("def test_own(network): assert network == 3\n")
        assert run_pytest(cwd=project).returncode == 0

    def test_with_lkl_host_its_own_tests_are_run_not_ours(
        self, project: Path, tmp_path: Path
    ) -> None:
        build = fake_build(tmp_path / "lkl", boot="fail")
        done = run_pytest("--lkl-host=native", f"--lkl-build={build}", "-v", cwd=project)
        assert "test_own" in done.stdout
        assert "test_boot" not in done.stdout

    def test_a_foreign_ini_does_not_change_lkltest_run(self, project: Path, tmp_path: Path) -> None:
        (project / "pytest.ini").write_text("[pytest]\naddopts = --no-such-option\n")
        build = fake_build(tmp_path / "lkl", boot="pass")
        done = lkltest("run", "boot", f"--build={build}", cwd=project)
        assert done.returncode == 0, done.stdout + done.stderr


class TestInterrupt:
    @pytest.mark.parametrize("words", [(), ("-n2",)])
    def test_nothing_is_left(self, empty: Path, tmp_path: Path, words: tuple[str, ...]) -> None:
        build = fake_build(tmp_path / "lkl", boot="deaf", net_test="deaf")
        marker = new_marker()
        census = Census.take(marker)
        options = ["--lkl-host=native", f"--lkl-build={build}", "--lkl-suite=boot", *words]
        env = environment(**{MARKER: marker})
        with start("pytest", *options, cwd=empty, env=env) as process:
            while not any("/tests/boot" in line for line in census.new()):
                assert process.poll() is None
            os.killpg(process.pid, signal.SIGINT)
            _, errors = process.communicate(timeout=60)
        assert process.returncode == 2
        assert "Traceback" not in errors
        assert census.left() == []


def test_no_suite_or_host_module_is_imported_twice(empty: Path, tmp_path: Path) -> None:
    """`import hosts` beside `lkltest.hosts` would make a second copy of every class."""
    build = fake_build(tmp_path / "lkl", boot="pass", net_test="pass")
    shutil.copy(ROOT / "tests" / "imported_twice.py", tmp_path)
    for cwd in (empty, ROOT):
        options = ["--lkl-host=native", f"--lkl-build={build}", "--lkl-suite=boot", "-s"]
        plugins = ["-p", "imported_twice", "-p", "no:cacheprovider"]
        env = environment(PYTHONPATH=str(tmp_path))
        done = run_pytest(*options, *plugins, cwd=cwd, env=env)
        assert done.returncode == 0, done.stdout
        assert re.search(r"^modules \d\d+, twice \[\]$", done.stderr, re.MULTILINE), done.stderr
