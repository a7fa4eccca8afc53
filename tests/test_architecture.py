# SPDX-License-Identifier: GPL-2.0-only
"""ARCHITECTURE.md names every module, and its arrows are those of the imports."""

import ast
import re
from collections.abc import Iterator
from fnmatch import fnmatch
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent
TEXT = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8")
NAMED = set(re.findall(r"`([\w*/]+\.py)`", TEXT))
IMPURE = {
    *("asyncio", "datetime", "io", "os", "pathlib", "pexpect", "pytest", "select", "shutil"),
    *("socket", "sqlite3", "subprocess", "tempfile", "threading", "time"),
}
"""What a module needs for input, output or the time."""


def modules(folder: str) -> list[Path]:
    """The modules of a folder of the checkout, relative to it; not what links lead to."""
    top = ROOT / folder
    found = (path.relative_to(top) for path in sorted(top.rglob("*.py")))
    linked = ("hosts", "suites")
    return [path for path in found if path.parts[0] not in linked and path.name[:2] != "__"]


def names(token: str, module: Path) -> bool:
    return fnmatch(str(module), token) or fnmatch(module.name, token)


def imports(file: Path) -> Iterator[str]:
    """What a module imports, whole names of modules; a sibling by its bare name."""
    for node in ast.walk(ast.parse(file.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom) and node.module == "lkltest":
            yield from (f"lkltest.{alias.name}" for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield node.module or ""


def in_room(title: str) -> set[str]:
    """The modules, `lkltest.verdict.names`, that one table of ARCHITECTURE.md lists."""
    table = TEXT.split(f"**{title}**")[1].split("\n\n**")[0]
    files = re.findall(r"`([\w/]+)\.py`", table)
    return {f"lkltest.{file.replace('/', '.')}" for file in files}


PURE = in_room("From bytes to a verdict")


@pytest.mark.parametrize("folder", ["lkltest", "hosts"])
def test_every_module_is_named(folder: str) -> None:
    unnamed = [
        str(path) for path in modules(folder) if not any(names(token, path) for token in NAMED)
    ]
    assert unnamed == []


def test_every_name_is_a_modules() -> None:
    there = [*modules("lkltest"), *modules("hosts"), *modules(".")]
    assert [token for token in sorted(NAMED) if not any(names(token, path) for path in there)] == []


def test_lkltest_imports_no_host_and_no_suite() -> None:
    for path in modules("lkltest"):
        for name in imports(ROOT / "lkltest" / path):
            assert not name.startswith(("lkltest.hosts", "lkltest.suites")), path


@pytest.mark.parametrize(("folder", "other"), [("hosts", "suites"), ("suites", "hosts")])
def test_hosts_and_suites_do_not_import_each_other(folder: str, other: str) -> None:
    for path in modules(folder):
        for name in imports(ROOT / folder / path):
            assert not name.startswith((f"lkltest.{other}", other)), path


def test_the_first_room_is_pure_and_by_itself() -> None:
    assert len(PURE) > 10
    for module in sorted(PURE):
        wanted = set(imports(ROOT / f"{module.replace('.', '/')}.py"))
        assert {name for name in wanted if name.startswith("lkltest")} <= PURE, module
        assert not wanted & IMPURE, module


def test_reports_are_made_from_trees_and_views() -> None:
    views = {"lkltest.nightly.report.model", "lkltest.nightly.history.flatten"}
    for module in ["nightly/view.py", "nightly/entries.py"]:
        ours = {name for name in imports(ROOT / "lkltest" / module) if name.startswith("lkltest")}
        assert ours <= PURE, module
    for path in modules("lkltest/report"):
        for name in imports(ROOT / "lkltest/report" / path):
            allowed = name in PURE | views or name.startswith("lkltest.report")
            assert allowed or not name.startswith("lkltest"), (path, name)
