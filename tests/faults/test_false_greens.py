# SPDX-License-Identifier: GPL-2.0-only
"""The oracle itself, and some thousands of mutants; `make faults` judges many more.

The same mutants each time, of several seeds, so that a failure is of the change that was made;
LKLTEST_SEED=n takes others, and `make faults` ever new ones.
"""

from __future__ import annotations

import itertools
import os

import pytest

from tests.faults.false_greens import (
    CONSOLES,
    Tally,
    families,
    judge,
    lines,
    search,
    search_interrupted,
)
from tests.faults.legal import why_not

GOOD = b"1..2 # a\n* 1 x\nok 1 x\n ---\n log: |\n  ok 7\n ...\nok 2 y # SKIP\n"
SEEDS = os.environ.get("LKLTEST_SEED", "1 3 5 8").split()
EACH = 20


@pytest.mark.parametrize(
    "stream",
    [
        GOOD,
        GOOD + GOOD,
        b"noise\n" + GOOD + b"noise\n",
        GOOD.replace(b"\n", b"\r\n"),
        b"\x1b[31m" + GOOD.replace(b"ok", b"\x1b[0mok") + b"\x1b[0m",
        b"ok 1 x\nok 2 y\n1..2\n",
        b"1..0 # SKIP nothing\n",
        b"1..1\nnot ok 1 x # TODO later\n",
        b"1..1\nnot ok 1 x # skip later\n",
        b"1..2\nok 2 x\nok 1 y",
        GOOD.replace(b"ok 2", b"o[    1.000000] x\n[    1.000000] y\nk 2"),
        GOOD.replace(b" ...", b" .[    1.000000] x\n.."),
        GOOD.replace(b" ...", b"* [    1.000000] x\n2 y\n ..."),
    ],
)
def test_legal(stream: bytes) -> None:
    assert why_not(stream) == ""


@pytest.mark.parametrize(
    ("stream", "reason"),
    [
        (b"", "there is no plan"),
        (b"ok 1 x\n", "there is no plan"),
        (b"ok 1 x\n1..1", "the last line is a plan without newline"),
        (GOOD.replace(b"1..2", b"1..3"), "the plan is not met"),
        (GOOD.replace(b"1..2", b"1..1"), "there are more points than planned"),
        (GOOD.replace(b"ok 2", b"not ok 2").replace(b"# SKIP", b""), "a point failed"),
        (GOOD.replace(b"ok 2", b"ok 3"), "there are more points than planned"),
        (GOOD.replace(b"ok 2", b"ok 1"), "a number came twice"),
        (GOOD.replace(b"* 1", b"* 2"), "an announced point never reported"),
        (GOOD + b"* 3 z\n", "an announced point never reported"),
        (GOOD.replace(b" ...\n", b""), "a block is open"),
        (GOOD + b"Bail out! x\n", "it bailed out"),
        (b"ok 1 x\n1..2\nok 2 y\n", "the plan is not met"),
        (b"ok 1 x\n1..1\nok 2 y\n", "there are more points than planned"),
        (GOOD.replace(b"  ok 7", b"  [    1.000000] BUG: x"), "the kernel is broken"),
        (GOOD + b"not [    1.000000] x\nnow\n", "a point failed"),
        (
            GOOD.replace(b"ok 2", b"not [    1.000000] x\nok 2").replace(b"# SKIP", b""),
            "a point failed",
        ),
        (b"1..1\nnot\nok 1 x\n", "a point failed"),
        (b"1..1\nnot ok 1 x.html#todo\n", "a point failed"),
        (b"1..1\nnot ok 1 a # b # todo\n", "a point failed"),
    ],
)
def test_not_legal(stream: bytes, reason: str) -> None:
    assert why_not(stream) == reason


def test_a_false_green_is_counted() -> None:
    tally = Tally()
    judge(tally, "name", b"bytes", True, "reason")
    assert (tally.false_greens, tally.wrong) == (1, [("name", "reason", b"bytes")])
    assert "false green: name: reason" in list(lines({"x": tally}))


@pytest.mark.parametrize("family", families(), ids=lambda family: family.name)
def test_no_mutant_is_a_false_green(family) -> None:  # type: ignore[no-untyped-def]
    tallies = {name: Tally() for name in (family.name, *CONSOLES)}
    for path, seed in itertools.product(family.paths, SEEDS):
        tallies[family.name].add(search(family, path, seed, EACH, cut=False))
        if family.name == "LKL":
            for console in CONSOLES:
                tallies[console].add(search_interrupted(path, seed, EACH // 4, console))
    print("\n".join(lines(tallies)))
    for tally in tallies.values():
        assert tally.wrong == []
    assert 0 < tallies[family.name].green < tallies[family.name].mutants, "the oracle is no yes-man"
