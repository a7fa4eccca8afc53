# SPDX-License-Identifier: GPL-2.0-only
"""A worker of xdist that dies: its suite is a failure in the reports, with the points it had."""

from __future__ import annotations

import os
import signal
from pathlib import Path

from lkltest.report.tree import read
from lkltest.results import Outcome, ProblemKind
from tests.fake_build import SECONDS, environment, fake_build, start
from tests.lkltest.test_interrupt import wait_for_program


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
