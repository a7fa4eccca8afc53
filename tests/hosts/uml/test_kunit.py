# SPDX-License-Identifier: GPL-2.0-only
"""The kunit suite on recorded KTAP, played through a UML kernel's console and a native log block.

The recording is from the kernel's tools/testing/kunit/test_data, cut before the kernel's end.
"""

from __future__ import annotations

import shutil
from collections.abc import Callable
from pathlib import Path
from subprocess import CompletedProcess
from xml.etree import ElementTree

import pytest

from lkltest.verdict.kernel_log import ktap_of
from tests.compiler import ROOT, compile_program
from tests.fake_build import environment, lkltest
from tests.fake_build import pytest as run_pytest

Run = Callable[[str], tuple[CompletedProcess[str], Path]]
RECORDED = ROOT / "tests" / "streams" / "kunit" / "printk-time.log"
SUITES = ["kunit-resource-test", "kunit-try-catch-test", "string-stream-test"]
CONFTEST = """\
from pathlib import Path
from lkltest.host.registry import register
from lkltest.hosts.uml.host import UmlHost

@register
class KernelWithKunit(UmlHost):
    name = "uml-kunit"

    def unsupported(self, feature, build):
        return None  # the program plays the kernel that has it

    def program(self, build, name):
        return Path({program!r})
"""


def player(folder: Path, text: str, log_block: bool) -> Path:
    """A boot program whose kernel says `text`: bare on the console, or in its point's log."""
    lines = ["1..1 # boot", "* 1 start_kernel"]
    log = text.splitlines()
    if log_block:
        lines += ["ok 1 start_kernel", " ---", " time_us: 1", " log: |"]
        lines += [f"  {line}" for line in log] + [" ..."]
    else:
        lines = [*log, *lines, "ok 1 start_kernel"]
    quoted = "\n".join(
        '\t"' + line.replace("\\", "\\\\").replace('"', '\\"').replace("\t", "\\t") + '\\n"'
        for line in lines
    )
    source = folder / "player.c"
    source.write_text(f"#include <stdio.h>\nint main(void)\n{{\n\tfputs({quoted}, stdout);\n}}\n")
    return compile_program(source, "-static")


def outcomes(junit: Path) -> dict[str, str]:
    """The outcome of each test case of the one JUnit file."""
    (file,) = junit.glob("*.xml")
    found = {}
    for case in ElementTree.parse(file).iter("testcase"):
        kinds = [child.tag for child in case if child.tag in ("failure", "error", "skipped")]
        found[str(case.get("name"))] = kinds[0] if kinds else "passed"
    return found


def with_failure(text: str) -> str:
    """One test fails, and its suite with it."""
    failed = text.replace(
        "\tok 2 - kunit_test_try_catch_uns", "\tnot ok 2 - kunit_test_try_catch_uns"
    )
    return failed.replace("] ok 2 - kunit-try-catch-test", "] not ok 2 - kunit-try-catch-test")


@pytest.fixture(params=["native", "uml"])
def run(request: pytest.FixtureRequest, tmp_path: Path) -> Run:
    """A function that runs the kunit suite with a kernel that says a text."""
    if request.param == "uml" and shutil.which("linux.uml") is None:
        pytest.skip("linux.uml is missing: apt-get install user-mode-linux")
    junit = tmp_path / "junit"

    def on_uml(text: str) -> tuple[CompletedProcess[str], Path]:
        program = player(tmp_path, text, log_block=False)
        (tmp_path / "conftest.py").write_text(CONFTEST.format(program=str(program)))
        words = ("--lkl-host=uml-kunit", "--lkl-suite=kunit", f"--lkl-junit-dir={junit}")
        return run_pytest(*words, cwd=tmp_path, env=environment()), junit

    def on_native(text: str) -> tuple[CompletedProcess[str], Path]:
        tests = tmp_path / "build" / "tests"
        tests.mkdir(parents=True)
        shutil.copy(player(tmp_path, text, log_block=True), tests / "boot")
        words = ("run", "kunit", "--host", "native", "--build", str(tests.parent))
        return lkltest(*words, "--junit-dir", str(junit), env=environment()), junit

    return on_uml if request.param == "uml" else on_native


def test_all_pass(run: Run) -> None:
    done, junit = run(RECORDED.read_text())
    assert done.returncode == 0, done.stdout + done.stderr
    found = outcomes(junit)
    assert set(SUITES) <= {name.partition("/")[0] for name in found}
    assert set(found.values()) == {"passed"}


def test_one_fails(run: Run) -> None:
    done, junit = run(with_failure(RECORDED.read_text()))
    assert done.returncode == 1
    failed = [name for name, outcome in outcomes(junit).items() if outcome == "failure"]
    assert any("kunit-try-catch-test" in name for name in failed)
    assert not any("kunit-resource-test" in name for name in failed)


def test_one_never_reports(run: Run) -> None:
    cut = RECORDED.read_text().replace("[    0.060000] ok 3 - string-stream-test\n", "")
    done, _ = run(cut)
    assert done.returncode == 1
    assert "plan not met" in done.stdout


def test_a_kernel_without_is_a_skip(run: Run) -> None:
    done, _ = run("[    0.060000] Linux version 6.1.0 (somebody) (gcc) #1\n")
    assert "built without CONFIG_KUNIT" in done.stdout


class TestExtraction:
    def test_lines_of_programs_are_no_kernel_lines(self) -> None:
        console = (
            b"ok 1 a\r\n[    0.1] TAP version 14\r\nnoise\r\n"
            b"[    0.1] 1..1\r\n[    0.2] ok 1 - x\r\n"
        )
        assert ktap_of(console) == b"[    0.1] TAP version 14\n[    0.1] 1..1\n[    0.2] ok 1 - x\n"

    def test_a_log_without_stamps(self) -> None:
        assert ktap_of(b"1..1\n", ["Linux\nKTAP version 1\n1..0\n"]) == b"KTAP version 1\n1..0\n"

    def test_none(self) -> None:
        assert ktap_of(b"[    0.1] Booting\nKTAP version 1\n") == b""
