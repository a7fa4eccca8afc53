# SPDX-License-Identifier: GPL-2.0-only
"""The Python sources of what is installed, and the calls in them."""

import ast
from collections.abc import Iterator
from pathlib import Path

from tests.compiler import ROOT

SOURCES = [
    path
    for folder in ("lkltest", "hosts", "suites")
    for path in sorted((ROOT / folder).rglob("*.py"))
    if not path.relative_to(ROOT).as_posix().startswith(("lkltest/hosts/", "lkltest/suites/"))
]


def calls(path: Path) -> Iterator[tuple[str, ast.Call]]:
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Call):
            yield ast.unparse(node.func), node
