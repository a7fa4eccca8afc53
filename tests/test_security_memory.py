# SPDX-License-Identifier: GPL-2.0-only
"""Whatever a stream holds without end, the memory that it takes has an end."""

from __future__ import annotations

import subprocess
import sys

import pytest

from lkltest.tap.parser import Parser
from lkltest.verdict import collector, subtests
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit, ProblemKind, ProgramResult
from tests.compiler import ROOT
from tests.fake_build import SECONDS

MEGABYTES = 64
BUDGET = 8
LIMIT = 60
"""Megabytes: of each stream; of logs that may be kept (in place of 64, to be quick); and of memory
that may be taken: Python's 33, the budget for logs, and what is held while text is made of one."""

FEED = """
import ast, sys
from lkltest.verdict import collector
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit
from lkltest.tap.parser import Parser

def numbered(text):
    number = 0
    while True:
        number += 1
        yield text.replace(b"%d", b"%d" % number)

def same(text):
    while True:
        yield text

head, kind, text, size, collector._LOG_BUDGET = ast.literal_eval(sys.stdin.read())
parser, recorder = Parser(), Recorder()
fed = 0
def feed(data):
    global fed
    fed += len(data)
    for event in parser.feed(data):
        recorder.add(event)
feed(head)
for piece in {"same": same, "numbered": numbered}[kind](text):
    feed(piece)
    if fed > size:
        break
for event in parser.close():
    recorder.add(event)
recorder.finish(Exit(0))
with open("/proc/self/status") as status:  # ru_maxrss has that of the process before exec in it
    print(next(int(line.split()[1]) for line in status if line.startswith("VmHWM:")) // 1024)
"""
LOG = (
    b" ---\n log: |\n" + b"  a line of a log, which has 50 characters in all\n" * 20_000 + b" ...\n"
)
TEXT = b"x" * 60_000
STACK = b"[    1.000000]  " + b"a" * 900 + b"+0x1/0x2\n"

ENDLESS = {
    "line": (b"", "same", TEXT),
    "output": (b"", "same", (b"output" * 50 + b"\n") * 200),
    "block": (b"1..1\nnot ok 1 a\n ---\n log: |\n", "same", b"  text\n" * 10_000),
    "line in a block": (b"1..1\nok 1 a\n ---\n log: |\n  ", "same", TEXT),
    "output in a block": (b"1..1\nok 1 a\n ---\n log: |\n", "same", (b"output" * 50 + b"\n") * 200),
    "logs of passed points": (b"", "numbered", b"ok %d a\n" + LOG),
    "logs of failed points": (b"", "numbered", b"not ok %d a\n" + LOG),
    "logs of skipped points": (b"", "numbered", b"ok %d a # SKIP\n" + LOG),
    "logs of subtests": (b"", "numbered", b"    not ok %d a\n" + LOG.replace(b"\n ", b"\n     ")),
    "names": (b"", "numbered", b"ok %d a%d" + TEXT + b"\n"),
    "announced names": (b"", "numbered", b"* %d a%d" + TEXT + b"\n"),
    "plans": (b"", "numbered", b"1..1 # %d" + TEXT + b"\nok 1 a\n"),
    "skips": (b"", "numbered", b"1..0 # %d" + TEXT + b"\n" + TEXT + b"\n"),
    "reasons": (b"", "numbered", b"ok %d a # SKIP %d" + TEXT + b"\n"),
    "comments": (b"", "same", b"# " + TEXT + b"\n"),
    "kernel's messages": (b"", "same", b"[    1.234567] BUG: " + TEXT + b"\n"),
    "stack": (b"[    1.0] Kernel panic - not syncing: x\n", "same", STACK),
    "bail outs": (b"", "same", b"Bail out! " + TEXT + b"\n"),
}  # fmt: skip


@pytest.mark.parametrize("name", ENDLESS)
def test_what_has_no_end(name: str) -> None:
    done = subprocess.run(
        [sys.executable, "-c", FEED],
        input=repr((*ENDLESS[name], MEGABYTES << 20, BUDGET << 20)),
        cwd=ROOT,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert int(done.stdout) < LIMIT


def recorded(stream: bytes) -> ProgramResult:
    parser, recorder = Parser(), Recorder()
    for event in parser.feed(stream) + parser.close():
        recorder.add(event)
    return recorder.finish(Exit(0))


def test_points_without_end(monkeypatch: pytest.MonkeyPatch) -> None:
    """Those that are too many are not kept, and the run is no pass."""
    for module in (collector, subtests):
        monkeypatch.setattr(module, "MOST_POINTS", 10)
    nested = b"".join(b"    ok %d a\n" % number for number in range(1, 21))
    points = b"".join(b"ok %d a\n" % number for number in range(1, 21))
    for stream, kept in ((b"1..20\n" + points, 10), (b"1..1\n" + nested + b"ok 1 a\n", 1)):
        result = recorded(stream)
        assert len(result.points) == kept and len(result.points[0].children) in (0, 10)
        assert [problem.kind for problem in result.problems] == [ProblemKind.CONSOLE_DAMAGE]
        assert "test points; the rest are not kept" in str(result.problems[0])


def test_a_log_that_is_not_kept_says_so(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(collector, "_LOG_BUDGET", 1000)
    block = b" ---\n log: |\n" + b"  x\n" * 200 + b" ...\n"
    passed = b"".join(b"ok %d a\n" % number + block for number in (1, 2, 3))
    result = recorded(b"1..4\n" + passed + b"not ok 4 b\n" + block)
    logs = [point.log.count("x") for point in result.points]
    assert logs == [200, 200, 0, 200], "failed points have a budget of their own"
    assert result.points[2].log == "[log of 399 characters not kept]"
