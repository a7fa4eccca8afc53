# SPDX-License-Identifier: GPL-2.0-only
"""A suite of one's own, with its own program: `pytest --lkl-host=native test_hello.py`."""

import subprocess
from pathlib import Path

import pytest

from lkltest import SuiteRun


@pytest.fixture(scope="session")
def hello(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The program, built here; a build may bring it as `tests/hello` instead."""
    program = tmp_path_factory.mktemp("hello") / "hello"
    source = Path(__file__).with_name("hello.c")
    subprocess.run(["gcc", "-static", "-o", program, source], check=True)  # noqa: S607
    return program


@pytest.mark.parametrize("name", ["world", "moon"])
def test_hello(lkl: SuiteRun, hello: Path, name: str) -> None:
    """hello: greets the world, and nobody else."""
    if name == "moon":
        lkl.skip_point("is greeted", "nobody lives there")
        return
    result = lkl.run(str(hello), name)
    lkl.point("in time", result.seconds < lkl.deadlines.total)
