# SPDX-License-Identifier: GPL-2.0-only
"""A worker of xdist that dies: its suite is a failure in the reports, with the points it had."""

from __future__ import annotations

import os
import shlex
import signal
import subprocess
from pathlib import Path
from types import SimpleNamespace

import pytest

from lkltest.plugin.xdist_workers import start_contained
from lkltest.report.tree import read
from lkltest.verdict.results import Outcome, ProblemKind
from tests.fake_build import SECONDS, environment, fake_build, lkltest, start
from tests.test_signals import wait_for_program


def workers_of(controller: int) -> list[int]:
    children = Path(f"/proc/{controller}/task/{controller}/children").read_text().split()
    lines = {int(pid): Path(f"/proc/{pid}/cmdline").read_bytes() for pid in children}
    return [pid for pid, line in lines.items() if b"sys.stdin.readline" in line]


def test_the_suite_of_a_killed_worker_is_reported(tmp_path: Path) -> None:
    build, reports = fake_build(tmp_path / "build", boot="fail-then-hang"), tmp_path / "reports"
    words = ["run", "boot", "--host=native", f"--build={build}", f"--junit-dir={reports}"]
    with start("lkltest", *words, f"--json-dir={reports}", "-j2", env=environment()) as runner:
        wait_for_program(runner, str(build / "tests" / "boot"))
        for worker in workers_of(runner.pid):
            os.kill(worker, signal.SIGKILL)
        stdout, _ = runner.communicate(timeout=SECONDS)
    assert runner.returncode == 1
    assert "boot@native              FAILED" in stdout
    result = read(reports / "boot@native.json")
    assert [(point.name, point.outcome) for point in result.points] == [
        ("first", Outcome.PASSED),
        ("second", Outcome.FAILED),
    ]
    (problem,) = result.problems
    assert problem.kind is ProblemKind.SUITE_ERROR
    assert "worker that ran it died" in problem.reason
    assert (reports / "boot@native.xml").exists()


@pytest.mark.parametrize("verbose", [(), ("-v",)])
def test_one_that_dies_at_its_start_is_one_line(tmp_path: Path, verbose: tuple[str, ...]) -> None:
    (tmp_path / "sitecustomize.py").write_text(
        "import os, sys\nif 'sys.stdin.readline' in str(sys.orig_argv): os._exit(3)\n"
    )
    build = fake_build(tmp_path / "build", boot="pass")
    env = environment(PYTHONPATH=str(tmp_path))
    done = lkltest("run", "boot", f"--build={build}", "-j2", *verbose, env=env)
    assert done.returncode == 2
    (line,) = done.stderr.splitlines()
    assert line.startswith("lkltest: a worker of pytest-xdist did not start: ")


def as_a_worker(source: str, folder: Path) -> subprocess.CompletedProcess[str]:
    """Run `source` as execnet runs what makes a worker, in `folder`."""
    spec = SimpleNamespace(popen=True, python=None)
    start_contained([spec])
    return subprocess.run(
        [*shlex.split(str(spec.python)), "-u", "-c", "execnet's"],
        input=f"{source!r}\n",
        cwd=folder,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_one_whose_controller_has_gone_says_nothing(tmp_path: Path) -> None:
    done = as_a_worker("raise BrokenPipeError(32, 'Broken pipe')", tmp_path)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")


def test_it_imports_nothing_from_where_it_is_started(tmp_path: Path) -> None:
    (tmp_path / "json.py").write_text("raise RuntimeError('not the one of the library')")
    done = as_a_worker("import json; print(json.__name__)", tmp_path)
    assert (done.stdout, done.stderr) == ("json\n", "")
