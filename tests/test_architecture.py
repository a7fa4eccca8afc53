# SPDX-License-Identifier: GPL-2.0-only
"""The rooms: their arrows are those that ARCHITECTURE.md draws, and there is no circle."""

import ast
import functools
import re
from collections.abc import Iterator
from graphlib import CycleError, TopologicalSorter
from pathlib import Path

ROOT = Path(__file__).parent.parent
IMPURE = {
    *("asyncio", "datetime", "io", "os", "pathlib", "pexpect", "pytest", "select", "shutil"),
    *("socket", "sqlite3", "subprocess", "tempfile", "threading", "time"),
}
"""Modules for input, output or the time."""
PURE = {"tap", "verdict"}
PAIRS = {("hosts.qemu", "hosts.l4re"), ("hosts.remote", "hosts.qemu")}
"""Hosts that need another: L4Re's images boot in QEMU, and so do targets that are made here."""


def read_rooms(heading: str) -> dict[str, set[str]]:
    """Each room of the table of ARCHITECTURE.md below `heading`, and the rooms it may import."""
    text = (ROOT / "ARCHITECTURE.md").read_text(encoding="utf-8").split(f"\n{heading}")[1]
    table = text[text.index("\n| room |") :].partition("\n\n")[0]
    rows = re.findall(r"^\| (\w+) \| .* \| ([\w -]+) \|$", table, re.MULTILINE)
    return {room: set(imports.replace("-", "").split()) for room, imports in rows[1:]}


ROOMS = read_rooms("## Rooms\n")
INNER = {"nightly": read_rooms("Rooms inside `nightly`")}
"""The tables of the rooms inside a room."""


def find_modules() -> dict[str, Path]:
    """Every module that is installed, by its name below lkltest: `tap.parser`, `hosts.native`."""
    modules: dict[str, Path] = {}
    for top in ("lkltest", "hosts", "suites"):
        for path in sorted((ROOT / top).rglob("*.py")):
            parts = path.relative_to(ROOT / top).with_suffix("").parts
            if top == "lkltest" and parts[0] in ("hosts", "suites", "__init__", "__main__"):
                continue  # the first two are links to what comes later
            below = parts if top == "lkltest" else (top, *parts)
            modules[".".join(part for part in below if part != "__init__")] = path
    return modules


MODULES = find_modules()


@functools.cache
def imports(name: str, *, at_start: bool = False) -> tuple[str, ...]:
    """The imports of a module, in full; with `at_start` only those that its own import needs.

    Whole names of modules, ours as in MODULES behind `lkltest.`.
    """
    return tuple(_imports(name, at_start))


def _imports(name: str, at_start: bool) -> Iterator[str]:
    path = MODULES[name]
    package = name if path.name == "__init__.py" else name.rpartition(".")[0]
    tree = ast.parse(path.read_text(encoding="utf-8"))
    for node in tree.body if at_start else ast.walk(tree):
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            above = ["lkltest", *package.split(".")][: len(package.split(".")) + 2 - node.level]
            module = ".".join([*above, node.module or ""]) if node.level else node.module or ""
            for alias in node.names:
                inner = f"{module}.{alias.name}".removeprefix("lkltest.")
                yield f"lkltest.{inner}" if inner in MODULES else module.rstrip(".")


def ours(name: str, *, at_start: bool = False) -> set[str]:
    """The modules of lkltest that a module imports, as in MODULES."""
    found = imports(name, at_start=at_start)
    return {module.removeprefix("lkltest.") for module in found if module.startswith("lkltest.")}


def room(name: str) -> str:
    """The room of a module; `leaves` for what lies beside the rooms."""
    first = name.partition(".")[0]
    return first if first in ROOMS else "leaves"


def test_the_picture_names_the_rooms_that_there_are() -> None:
    folders = {
        path.name for path in (ROOT / "lkltest").iterdir() if (path / "__init__.py").exists()
    }
    assert folders == set(ROOMS) - {"leaves"}


def test_the_arrows_are_those_of_the_picture() -> None:
    wrong = [
        f"{name} imports {other}"
        for name in MODULES
        for other in sorted(ours(name))
        if room(other) not in ROOMS[room(name)] | {room(name)}
    ]
    assert wrong == []


def test_every_arrow_of_the_picture_is_there() -> None:
    arrows = {(room(name), room(other)) for name in MODULES for other in ours(name)}
    drawn = {(name, other) for name, others in ROOMS.items() for other in others}
    assert drawn - arrows == set()


def inner_arrows(outer: str) -> set[tuple[str, str]]:
    """The imports between the rooms inside `outer`."""
    inner = {name: name.split(".")[1] for name in MODULES if name.startswith(f"{outer}.")}
    arrows = {(inner[name], inner[to]) for name in inner for to in ours(name) if to in inner}
    return {(start, end) for start, end in arrows if start != end}


def test_rooms_inside_a_room() -> None:
    for outer, rooms in INNER.items():
        folders = {path.parent.name for path in (ROOT / "lkltest" / outer).glob("*/__init__.py")}
        assert folders == set(rooms)
        assert inner_arrows(outer) == {
            (room, to) for room, others in rooms.items() for to in others
        }
        TopologicalSorter(rooms).prepare()


def test_no_host_imports_another() -> None:
    inner = {name: ".".join(name.split(".")[:2]) for name in MODULES if name.startswith("hosts.")}
    arrows = {(inner[name], inner[to]) for name in inner for to in ours(name) if to in inner}
    assert {arrow for arrow in arrows if arrow[0] != arrow[1]} <= PAIRS


def test_no_circle() -> None:
    graph = {name: ours(name, at_start=True) & set(MODULES) - {name} for name in MODULES}
    try:
        TopologicalSorter(graph).prepare()
    except CycleError as error:
        raise AssertionError(" -> ".join(error.args[1])) from None


def test_bytes_to_verdict_is_pure() -> None:
    impure = [
        f"{name} imports {module}"
        for name in MODULES
        if room(name) in PURE
        for module in imports(name)
        if module.partition(".")[0] in IMPURE
    ]
    assert impure == []


def test_no_room_is_called_by_what_it_is_not() -> None:
    for name in MODULES:
        assert not {"utils", "util", "common", "helpers", "misc"} & set(name.split(".")), name


def docstrings(tree: ast.AST) -> Iterator[tuple[ast.AST, str]]:
    """Each docstring with what it is of: a module, a class, a function or the line above it."""
    for node in ast.walk(tree):
        if not isinstance(node, ast.Module | ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
            continue
        for above, line in zip([node, *node.body], node.body, strict=False):
            if isinstance(line, ast.Expr) and isinstance(line.value, ast.Constant):
                yield above, str(line.value.value)


def asks(of: ast.AST, text: str) -> bool:
    """Whether a docstring begins like a question, other than "Whether" of a truth value."""
    if text.startswith("Whether ") and isinstance(of, ast.FunctionDef):
        return of.returns is not None and not ast.unparse(of.returns).startswith("bool")
    return re.match(r"(What|How|Where|Which|Who|Whose|When|Why)\b", text) is not None


def test_docstrings_say_what_a_thing_is() -> None:
    found = [
        f"{path.relative_to(ROOT)}: {text.splitlines()[0]}"
        for path in MODULES.values()
        for of, text in docstrings(ast.parse(path.read_text(encoding="utf-8")))
        if asks(of, text)
    ]
    assert found == []
    assert asks(ast.parse("def f() -> int: ...").body[0], "Whether it is one.")
    assert not asks(ast.parse("def f() -> bool: ...").body[0], "Whether it is one.")
    assert asks(ast.Module([], []), "How it is.") and not asks(ast.Module([], []), "A thing.")
