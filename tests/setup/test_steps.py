# SPDX-License-Identifier: GPL-2.0-only
"""Steps of the set-up: interrupted, failed, done already, two set-ups at once."""

from __future__ import annotations

import os
import secrets
import shutil
import signal
import subprocess
import time
from pathlib import Path

import pexpect
import pytest

from .conftest import ROOT, Machine, python, second, wait_until

TWO = """
about = "a build of the test's own"
[[steps]]
name = "the first"
makefile = "own.mk"
target = "first"
[[steps]]
name = "the second"
makefile = "own.mk"
target = "second"
"""

MAKING = """
.PHONY: first second
first: $(BUILD)/first
second: $(BUILD)/second
$(BUILD)/first:
	echo once >>$(BUILD)/count
	touch $@
$(BUILD)/second:
	{command}
	touch $@
"""

COMPILERS = (
    "for n in 1 2 3; do {trap}sleep {time} & done; {trap}touch $(BUILD)/busy; wait; sleep {time}"
)


def sleepers(seconds: str) -> list[str]:
    """The compilers that are still there: they sleep for a time that no other test knows."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if seconds.encode() in path.read_bytes():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


@pytest.mark.parametrize("trap", ["", "trap '' TERM; "], ids=["plain", "stubborn"])
@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_all_compilers_end_within_a_second(
    machine: Machine, number: signal.Signals, trap: str
) -> None:
    seconds = f"1234.{secrets.randbelow(10**9):09}"
    compilers = COMPILERS.format(trap=trap, time=seconds)
    recipe = machine.recipe(TWO, MAKING.format(command=compilers))
    process = machine.start(recipe)
    try:
        wait_until(machine.place / "busy")
        assert sleepers(seconds)
        start = time.monotonic()
        process.send_signal(number)
        stdout, stderr = process.communicate(timeout=10)
        assert time.monotonic() - start < second()
        assert sleepers(seconds) == []
    finally:
        process.kill()
    assert process.returncode == 130
    assert "the second: interrupted" in stdout
    assert stderr == "set-up interrupted; what has ended is kept\n"
    machine.recipe(TWO, MAKING.format(command="true"))
    assert machine.run(recipe).returncode == 0


def test_a_step_that_has_ended_is_not_repeated(machine: Machine) -> None:
    recipe = machine.recipe(TWO, MAKING.format(command="false"))
    assert machine.run(recipe).returncode == 1
    machine.recipe(TWO, MAKING.format(command="true"))
    done = machine.run(recipe)
    assert done.returncode == 0
    assert "the first" not in done.stdout
    assert (machine.place / "count").read_text() == "once\n"


def test_what_is_there_is_nothing_to_say(machine: Machine) -> None:
    recipe = machine.recipe(TWO, MAKING.format(command="true"))
    machine.run(recipe)
    done = machine.run(recipe)
    assert (done.returncode, done.stdout, done.stderr) == (0, "", "")


def test_two_at_once_take_turns(machine: Machine) -> None:
    command = "touch $(BUILD)/busy; while [ ! -e $(BUILD)/go ]; do sleep 0.05; done"
    recipe = machine.recipe(TWO, MAKING.format(command=command))
    with machine.start(recipe) as first:
        wait_until(machine.place / "busy")
        with machine.start(recipe) as second:
            assert second.stdout is not None
            line = second.stdout.readline()
            assert f"waiting for another set-up in {machine.place} (process {first.pid})" in line
            (machine.place / "go").touch()
            first.communicate(timeout=20)
            second.communicate(timeout=20)
    assert (first.returncode, second.returncode) == (0, 0)
    assert (machine.place / "count").read_text() == "once\n"


def test_a_make_above_hands_nothing_down(machine: Machine) -> None:
    recipe = machine.recipe(TWO, MAKING.format(command='[ "$(HANDED)$$MAKELEVEL" = 1 ]'))
    done = machine.run(recipe, MAKEFLAGS=" -- HANDED=down", MAKELEVEL="3", BUILD="/elsewhere")
    assert done.returncode == 0, done.stderr


def test_progress_is_shown_in_place_on_a_terminal(machine: Machine) -> None:
    recipe = machine.recipe(TWO, MAKING.format(command="sleep 1.5"))
    terminal = pexpect.spawn(
        os.fspath(machine.programs / "sh"),
        ["-c", f"exec {python()} -m lkltest.setup {recipe}"],
        env={
            "PATH": str(machine.programs),
            "XDG_CACHE_HOME": str(machine.cache),
            "PYTHONPATH": str(machine.folder / "site"),
        },
        cwd=os.fspath(machine.folder),
        timeout=20,
    )
    terminal.expect_exact(
        "\r  the second ...\x1b[K\r  the second ... 1 s\x1b[K\r  the second: done"
    )
    terminal.expect(pexpect.EOF)
    terminal.close()
    assert terminal.exitstatus == 0


def test_make_lint_makes_the_environment_that_it_runs(tmp_path: Path) -> None:
    shutil.copy(ROOT / "Makefile", tmp_path)
    shutil.copy(ROOT / "pyproject.toml", tmp_path)
    for name in ("lkltest", "setup", "hosts"):
        shutil.copytree(ROOT / name, tmp_path / name)
    done = subprocess.run(
        ["make", "lint", f"PYTHON={python()}"],
        cwd=tmp_path,
        env={"PATH": os.environ["PATH"], "PIP_NO_INDEX": "1", "HOME": str(tmp_path)},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "making the virtual environment .venv: done" in done.stdout
    assert "installing lkltest and what its tests need into .venv: FAILED" in done.stdout
    assert done.returncode != 0
