# SPDX-License-Identifier: GPL-2.0-only
"""Build directories whose programs misbehave, and the commands run on them as a user would."""

import hashlib
import os
import subprocess
import sys
from collections.abc import Mapping
from pathlib import Path

from lkltest.testing import PROGRAM_SOURCE
from tests.compiler import ROOT, compile_program

SOURCE = Path(__file__).parent / "programs" / "fake.c"
SECONDS = 120.0
"""No command of these tests takes that long: what does, hangs."""

MY_HOST = """\
from lkltest.errors import LaunchError
from lkltest.host.registry import register
from lkltest.hosts.native import NativeHost

@register
class Mine(NativeHost):
    name = "mine"
"""
"""A conftest.py with a host of its own; what is added to it goes into the class."""

SUITE = """\
import pytest

def test_toy(lkl):
    lkl.run("boot")
    {body}
"""
"""A suite of somebody's own: `SUITE.format(body="...")`."""


def fake_build(directory: Path, **modes: str) -> Path:
    """Make a build in `directory`: `boot="segfault"`, `net_test="flood 100"`."""
    tests = directory / "tests"
    tests.mkdir(parents=True, exist_ok=True)
    contract = hashlib.sha256(PROGRAM_SOURCE.read_bytes()).hexdigest()[:16]
    for name, mode in modes.items():
        word, _, argument = mode.partition(" ")
        flags = (f"-DMODE={word}", f"-DARGUMENT={argument}", f"-DCONTRACT={contract}")
        program = tests / name.replace("_", "-")
        program.unlink(missing_ok=True)
        program.hardlink_to(compile_program(SOURCE, *flags))
    return directory


def bundled_build() -> Path | None:
    """The bundled kernel's build, None where it was not made."""
    return ROOT / "build" if (ROOT / "build" / "tests" / "boot").exists() else None


def environment(**settings: str) -> dict[str, str]:
    """This process's environment without what would change a run, or slow it (hypothesis)."""
    others = ("LKL", "PYTEST", "PYTHONUNBUFFERED")  # users' output is buffered
    kept = {key: value for key, value in os.environ.items() if not key.startswith(others)}
    fixed = {"NO_COLOR": "1", "COLUMNS": "120", "PYTEST_ADDOPTS": "-p no:hypothesispytest"}
    return {**kept, **fixed, **settings}


def start(
    module: str, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.Popen[str]:
    """Start `python -m module words` in a process group of its own."""
    return subprocess.Popen(
        [sys.executable, "-m", module, *words],
        cwd=cwd,
        env=env if env is not None else environment(),
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.PIPE,
        encoding="utf-8",
        errors="backslashreplace",
        start_new_session=True,
    )


def run(
    module: str, *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run `python -m module words` to its end. No run may ever show a traceback."""
    with start(module, *words, cwd=cwd, env=env) as process:
        try:
            stdout, stderr = process.communicate(timeout=SECONDS)
        except BaseException:
            os.killpg(process.pid, 9)
            raise
    for text in (stdout, stderr):
        assert "Traceback" not in text and "INTERNALERROR" not in text, text
    return subprocess.CompletedProcess(process.args, process.returncode, stdout, stderr)


def lkltest(
    *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run the `lkltest` command."""
    return run("lkltest", *words, cwd=cwd, env=env)


def pytest(
    *words: str, cwd: Path | None = None, env: Mapping[str, str] | None = None
) -> subprocess.CompletedProcess[str]:
    """Run pytest with the plugin installed."""
    return run("pytest", *words, cwd=cwd, env=env)
