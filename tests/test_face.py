# SPDX-License-Identifier: GPL-2.0-only
"""`import lkltest`: the names that authors of hosts and suites build on."""

import importlib
import subprocess
import sys

import pytest

import lkltest
from tests.compiler import ROOT


@pytest.mark.parametrize("name", lkltest.__all__)
def test_every_name_is_documented_and_where_it_is_said_to_be(name: str) -> None:
    found = getattr(lkltest, name)
    assert found.__doc__
    assert getattr(importlib.import_module(found.__module__), name) is found


def test_the_names_that_are_promised() -> None:
    wanted = {"Host", "Launch", "LaunchError", "Missing", "register", "SuiteRun", "Disk", "Network"}
    assert set(lkltest.__all__) >= wanted | {"Interface"}
    assert set(dir(lkltest)) >= set(lkltest.__all__)


def test_a_name_that_is_not_there() -> None:
    with pytest.raises(AttributeError, match="module 'lkltest' has no attribute 'Hots'"):
        _ = lkltest.Hots  # type: ignore[attr-defined]


def test_importing_it_loads_none_of_its_modules() -> None:
    script = "import sys, lkltest; print([m for m in sys.modules if m.startswith('lkltest.')])"
    done = subprocess.run(
        [sys.executable, "-c", script], capture_output=True, text=True, timeout=60, check=True
    )
    assert done.stdout == "[]\n"


def test_a_guard_loads_little() -> None:
    """Each scope starts one: what it imports is paid by every suite (sandbox/guard.py)."""
    heavy = {"typing", "re", "enum", "contextlib", "pathlib", "dataclasses", "socket", "signal"}
    script = f"import sys; sys.path.append({str(ROOT)!r}); import lkltest.sandbox.guard as guard"
    done = subprocess.run(
        [sys.executable, "-I", "-S", "-c", f"{script}; print(guard.__name__, *sys.modules)"],
        capture_output=True,
        text=True,
        timeout=60,
        check=True,
    )
    loaded = done.stdout.split()
    assert loaded[0] == "lkltest.sandbox.guard"
    assert not heavy & set(loaded)
