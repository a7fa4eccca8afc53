# SPDX-License-Identifier: GPL-2.0-only
"""A kernel that is broken on purpose: one failure with a title, at the point in flight."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkltest.deadline import Deadlines
from lkltest.host.api import Launch
from lkltest.host.execution import Execution
from lkltest.hosts.native import NativeHost
from lkltest.sandbox.scope import Scope
from lkltest.verdict.results import Outcome, ProblemKind
from tests.compiler import compile_program

K = ProblemKind
SOURCE = Path(__file__).parents[1] / "programs" / "planted.c"
REPORTS = {
    "panic": (K.PANIC, "planted", "---[ end Kernel panic - not syncing: planted ]---"),
    "bug": (K.BUG, "kernel BUG in planted_here", "not syncing: Fatal exception ]---"),
    "warn": (K.WARNING, "WARNING in planted_here", "---[ end trace 0000000000000000 ]---"),
    "oops": (
        K.BUG,
        "BUG: unable to handle kernel NULL pointer dereference in planted_here",
        "not syncing: Fatal exception in interrupt ]---",
    ),
    "slab": (K.BUG, "BUG: Right Redzone overwritten", "Restoring Right Redzone"),
    "hang": (K.BUG, "INFO: task hung in planted_here", "do_syscall+0x1/0x2"),
}


@pytest.mark.parametrize("what", REPORTS)
def test_planted_trouble_is_one_failure_at_its_point(what: str) -> None:
    program = compile_program(SOURCE)
    seconds = 3.0 if what == "hang" else 60.0
    launch = Launch(program, (what,), {}, Deadlines.from_timeout(seconds))
    with Scope() as scope:
        execution = Execution(NativeHost(), NativeHost().launch(launch, scope))
        result = execution.run()
    kind, title, end = REPORTS[what]
    first = result.problems[0]
    assert (first.kind, first.reason, first.point) == (kind, title, "during")
    assert end in first.detail
    rest = {problem.kind for problem in result.problems[1:]}
    assert rest <= {K.PLAN_NOT_MET, *((K.STALL, K.DEADLINE) if what == "hang" else ())}
    failed = [point.name for point in result.points if point.outcome is Outcome.FAILED]
    assert failed == ["during"]
