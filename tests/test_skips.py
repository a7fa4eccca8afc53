# SPDX-License-Identifier: GPL-2.0-only
"""In CI a skip has to be allowed by name and reason, in our own tests and in suites' reports."""

import shutil
import subprocess
import sys
from pathlib import Path

import pytest

from tests.compiler import ROOT
from tests.fake_build import environment
from tests.fake_build import pytest as run_pytest

ALLOWED = """\
# a comment: with a colon

tests/test_it.py::test_skipped[[]*: no ?uch tool*
lkltest.native.net[[]loopback].nd_*: loopback *
"""


@pytest.fixture
def checkout(tmp_path: Path) -> Path:
    """A small checkout with the real conftest.py and check_skips.py."""
    (tmp_path / "tests").mkdir()
    (tmp_path / ".ci").mkdir()
    (tmp_path / "pytest.ini").write_text("[pytest]\n")
    for name in ("__init__.py", "conftest.py", "leaks.py", "census.py"):
        shutil.copy(ROOT / "tests" / name, tmp_path / "tests")
    shutil.copy(ROOT / ".ci" / "check_skips.py", tmp_path / ".ci")
    (tmp_path / ".ci" / "allowed-skips.txt").write_text(ALLOWED)
    return tmp_path


TEST = """\
import pytest
@pytest.mark.parametrize("x", ["a", "b"])
def test_skipped(x):
    pytest.skip({reason!r})
@pytest.mark.xfail
def test_known(): assert False
def test_good(): pass
"""


class TestOwnTests:
    def run(self, checkout: Path, reason: str, *words: str, ci: str = "true") -> tuple[int, str]:
        (checkout / "tests" / "test_it.py").write_text(TEST.format(reason=reason))
        done = run_pytest("-q", "tests", *words, cwd=checkout, env=environment(CI=ci))
        return done.returncode, done.stdout

    @pytest.mark.parametrize("words", [(), ("-n1",)])
    def test_an_allowed_skip_passes(self, checkout: Path, words: tuple[str, ...]) -> None:
        status, text = self.run(checkout, "no such tool: apt-get install it", *words)
        assert status == 0, text

    @pytest.mark.parametrize("words", [(), ("-n1",)])
    def test_another_reason_fails(self, checkout: Path, words: tuple[str, ...]) -> None:
        status, text = self.run(checkout, "it rains", *words)
        assert status == 1
        assert (
            "skip not allowed by .ci/allowed-skips.txt: tests/test_it.py::test_skipped[a]: it rains"
            in text
        )

    def test_outside_ci_a_skip_is_a_skip(self, checkout: Path) -> None:
        assert self.run(checkout, "it rains", ci="")[0] == 0

    def test_tests_that_are_not_in_the_folder_are_not_judged(self, checkout: Path) -> None:
        """pytest reads tests/conftest.py also for a run of the suites in a checkout."""
        (checkout / "test_suite.py").write_text(TEST.format(reason="it rains"))
        done = run_pytest("-q", "test_suite.py", cwd=checkout, env=environment(CI="true"))
        assert done.returncode == 0, done.stdout

    def test_a_skipped_module_fails(self, checkout: Path) -> None:
        (checkout / "tests" / "test_module.py").write_text(
            "import pytest\npytest.skip('no way', allow_module_level=True)\n"
        )
        status, text = self.run(checkout, "no such tool")
        assert status == 1
        assert "tests/test_module.py: no way" in text


class TestReports:
    CASES = """<testsuites><testsuite name="x" tests="2" failures="0" errors="0">
    <testcase classname="lkltest.native.net[loopback]" name="{name}">
    <skipped message="{reason}"/></testcase>
    <testcase classname="c" name="good"/></testsuite></testsuites>"""

    def run(self, checkout: Path, *arguments: Path) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, checkout / ".ci" / "check_skips.py", *arguments]
        return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)

    @pytest.mark.parametrize(
        ("name", "reason", "status"),
        [
            ("nd_add", "loopback needs no device", 0),
            ("nd_add", "out of memory", 1),
            ("icmp", "loopback needs no device", 1),
        ],
    )
    def test_name_and_reason_count(
        self, checkout: Path, name: str, reason: str, status: int
    ) -> None:
        report = checkout / "junit" / "net.xml"
        report.parent.mkdir()
        report.write_text(self.CASES.format(name=name, reason=reason))
        for argument in (report, report.parent):
            done = self.run(checkout, argument)
            assert done.returncode == status
            assert ("not allowed: " in done.stderr) == bool(status)

    def test_no_report_at_all_is_no_green(self, checkout: Path) -> None:
        done = self.run(checkout, checkout)
        assert done.returncode == 1
        assert "no test case" in done.stderr


def test_the_projects_own_list_can_be_read() -> None:
    text = (ROOT / ".ci" / "allowed-skips.txt").read_text(encoding="utf-8")
    lines = [line for line in text.splitlines() if line and not line.startswith("#")]
    assert lines and all(": " in line and line.split(": ", 1)[1].strip() for line in lines)
