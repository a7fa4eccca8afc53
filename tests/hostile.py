# SPDX-License-Identifier: GPL-2.0-only
"""Texts that mean harm, and results and builds that are full of them."""

import re
from pathlib import Path

from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind, SuiteResult
from tests.compiler import compile_program

HOSTILE = (
    "../../../../tmp/lkltest-escaped",
    "/etc/lkltest-escaped",
    "a\0b",
    "..",
    "x\n../y",
    "-rf",
    "$(touch /tmp/lkltest-escaped)",
    "`id`;id|id&id",
    "\x1b]0;owned\x07\x1b[2J\x9b31m\u202etxt",
    "<script>alert(1)</script>]]>&amp;<!--",
    '" onload="x',
    "' onmouseover='x",
    "</pre></style></title></svg><img src=x onerror=alert(1)>",
    "--><svg onload=alert(1)>{{ 7 * 7 }}{% raw %}",
    "javascript:alert(1)",
    "%n%s%2e%2e%2f",
    "n" * 5000,
)

DRIVES_A_TERMINAL = re.compile(
    "[\x00-\x08\x0b-\x1f\x7f-\x9f\u200e\u200f\u202a-\u202e\u2066-\u2069]"
)
"""Characters that may not reach a terminal: controls but tab and line feed, direction marks."""

ESCAPES = "\x1b]0;owned\x07\x1b[2J\u009b31m\x7f\u202etxt\x08\x0e"
_STREAM = f"""\
{ESCAPES} before the plan
1..4 # {ESCAPES}
* 1 {ESCAPES}
not ok 1 {ESCAPES}
 ---
 time_us: 1
 log: |
  {ESCAPES}
 ...
ok 2 {ESCAPES} # SKIP {ESCAPES}
not ok 3 {ESCAPES} # TODO {ESCAPES}
[    1.234567] Linux version 6.1{ESCAPES} (gcc {ESCAPES}) #1
[    1.234568] BUG: {ESCAPES}
[    1.234569]  {ESCAPES}
# {ESCAPES}
Bail out! {ESCAPES}
* 4 {ESCAPES}
"""


def suite(text: str) -> SuiteResult:
    """A result in which everything that comes from outside is `text`."""
    point = PointResult(text, Outcome.FAILED, reason=text, log=text, suite=text)
    problem = Problem(ProblemKind.CRASH, text, text, text)
    return SuiteResult(text, text, text, (point,), (problem,), {"command": text}, output=text)


def speaking_build(directory: Path, stream: bytes = _STREAM.encode()) -> Path:
    """A build whose program `boot` prints `stream`, by default one that drives a terminal."""
    tests = directory / "tests"
    tests.mkdir(parents=True)
    program = compile_program(Path(__file__).parent / "programs" / "say.c")
    (tests / "boot").hardlink_to(program)
    (tests / "boot.stream").write_bytes(stream)
    return directory
