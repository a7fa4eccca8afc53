# SPDX-License-Identifier: GPL-2.0-only
"""A run that is interrupted reports what it knew by then."""

from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path
from typing import Any

import pytest

from lkltest.cli.main import main
from lkltest.report.tree import read
from lkltest.signals import handle_termination_signals, repeat_dropped_interrupts
from lkltest.verdict.results import Outcome, ProblemKind
from tests.fake_build import SECONDS, environment, fake_build, start


def wait_for_program(runner: subprocess.Popen[str], name: str, seconds: float = SECONDS) -> None:
    """Wait until a program called `name` runs in the runner's process tree and says nothing new."""
    deadline = time.monotonic() + seconds
    while time.monotonic() < deadline and runner.poll() is None:
        for cmdline in Path("/proc").glob("[0-9]*/cmdline"):
            try:
                text = cmdline.read_bytes()
            except OSError:
                continue
            if text.startswith(name.encode()):
                time.sleep(0.5)  # its first points are on their way
                return
        time.sleep(0.02)
    raise AssertionError(f"{name} never ran")


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
@pytest.mark.parametrize("jobs", ["1", "2"])
def test_points_before_a_signal_are_reported(
    tmp_path: Path, number: signal.Signals, jobs: str
) -> None:
    build, junit = fake_build(tmp_path / "build", boot="fail-then-hang"), tmp_path / "junit"
    words = ["run", "boot", "--host=native", f"--build={build}", f"--junit-dir={junit}"]
    words += [f"--json-dir={junit}", f"-j{jobs}"]
    with start("lkltest", *words, env=environment()) as runner:
        wait_for_program(runner, str(build / "tests" / "boot"))
        runner.send_signal(number)  # the runner alone, as kill(1) does
        stdout, stderr = runner.communicate(timeout=SECONDS)
    assert runner.returncode == 130
    assert stderr == "lkltest: interrupted\n"
    result = read(junit / "boot@native.json")
    assert [(point.name, point.outcome) for point in result.points] == [
        ("first", Outcome.PASSED),
        ("second", Outcome.FAILED),
    ]
    assert [problem.kind for problem in result.problems] == [ProblemKind.INTERRUPTED]
    assert 'name="second"' in (junit / "boot@native.xml").read_text(encoding="utf-8")
    if jobs == "1":
        assert "interrupted in call" in stdout


def test_what_is_ignored_stays_so() -> None:
    before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
    try:
        undo = handle_termination_signals()
        assert signal.getsignal(signal.SIGHUP) is signal.SIG_IGN
        assert signal.getsignal(signal.SIGTERM) is not signal.SIG_DFL
        undo()
        assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    finally:
        signal.signal(signal.SIGHUP, before)


DROPS = """
import time, weakref

class Victim: ...

def dropped(_):
    raise KeyboardInterrupt

def drop():
    victim = Victim()
    reference = weakref.ref(victim, dropped)
    del victim
    time.sleep(60)
    return reference
"""


def test_an_interrupt_that_python_drops_comes_again() -> None:
    names: dict[str, Any] = {}
    exec(DROPS, names)  # noqa: S102 - the very code that the next test writes into a file
    hook = sys.unraisablehook
    undo = repeat_dropped_interrupts()
    try:
        with pytest.raises(KeyboardInterrupt):
            names["drop"]()
    finally:
        undo()
    assert sys.unraisablehook is hook


def test_a_command_that_ends_is_not_interrupted_again() -> None:
    names: dict[str, Any] = {}
    exec(DROPS.replace("sleep(60)", "sleep(0.5)"), names)  # noqa: S102
    before = signal.signal(signal.SIGINT, signal.SIG_DFL)
    undo = repeat_dropped_interrupts()
    try:
        names["drop"]()
    finally:
        undo()
        signal.signal(signal.SIGINT, before)


def test_pytest_does_not_keep_a_dropped_interrupt_to_itself(tmp_path: Path) -> None:
    (tmp_path / "test_x.py").write_text(f"{DROPS}\ndef test_x(): drop()\n")
    words = ["-p", "no:cacheprovider", "-c", os.devnull, "--rootdir", str(tmp_path), str(tmp_path)]
    build = fake_build(tmp_path / "build", boot="pass")
    words += ["--lkl-host=native", f"--lkl-build={build}"]
    with start("pytest", *words, env=environment()) as runner:
        stdout, stderr = runner.communicate(timeout=SECONDS)
    assert runner.returncode == pytest.ExitCode.INTERRUPTED, stdout + stderr
    assert "unraisable" not in stdout.lower() + stderr.lower()


def test_an_interruption_while_hosts_are_imported_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def interrupted(*_: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr("lkltest.host.registry.add_host_options", interrupted)
    assert main(["run", "boot"]) == 130
    assert capsys.readouterr().err == "lkltest: interrupted\n"


def test_at_an_import_of_the_command_it_is_no_traceback(tmp_path: Path) -> None:
    (tmp_path / "argparse.py").write_text("import signal; signal.raise_signal(signal.SIGINT)")
    with start("lkltest", "--version", cwd=tmp_path, env=environment()) as runner:
        stdout, stderr = runner.communicate(timeout=SECONDS)
    assert (runner.returncode, stdout, stderr) == (-signal.SIGINT, "", "")
