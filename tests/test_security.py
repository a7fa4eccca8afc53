# SPDX-License-Identifier: GPL-2.0-only
"""Each promise of docs/security.md, and an attempt to break it; more are in test_security_*.py."""

from __future__ import annotations

import ast
import json
import os
import re
import shutil
import stat
import tempfile
import tomllib
from collections import Counter
from collections.abc import Callable, Iterator
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lkltest.hosts.qemu.artifacts import Artifacts
from lkltest.hosts.qemu.host import QemuHost
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.nightly.run.store import new_night
from lkltest.report import junit, tree
from lkltest.sandbox.scope import Scope
from lkltest.tap.parser import Parser, Point
from tests.compiler import ROOT
from tests.fake_build import environment, fake_build, lkltest, start
from tests.hostile import HOSTILE, suite
from tests.sources import SOURCES

# Folders and sockets


def test_run_folders_are_private_and_cannot_be_guessed() -> None:
    names = set()
    for _ in range(2):
        with Scope() as scope:
            assert stat.S_IMODE(scope.folder.stat().st_mode) == 0o700
            assert re.fullmatch(r"lkltest-[0-9a-f]{16}", scope.folder.name)
            names.add(scope.folder.name)
    assert len(names) == 2


def sockets(folder: Path) -> Iterator[Path]:
    for parent, _, files in os.walk(folder):
        for name in files:
            path = Path(parent, name)
            try:
                if stat.S_ISSOCK(path.lstat().st_mode):
                    yield path
            except FileNotFoundError:
                continue


@pytest.fixture
def short_folder() -> Iterator[Path]:
    """The path of a socket has 107 bytes at most (unix(7)): pytest's folders are too deep."""
    with tempfile.TemporaryDirectory() as name:
        yield Path(name)


@pytest.mark.skipif(shutil.which("linux.uml") is None, reason="linux.uml is missing")
def test_the_socket_of_umls_console_is_in_a_private_folder(short_folder: Path) -> None:
    seen: set[Path] = set()
    with start(
        "lkltest", "run", "boot", "--host=uml", env=environment(TMPDIR=str(short_folder))
    ) as run:
        while run.poll() is None:
            for path in sockets(short_folder):
                if path.name == "mconsole" and path not in seen:
                    outermost = short_folder / path.relative_to(short_folder).parts[0]
                    assert stat.S_IMODE(outermost.stat().st_mode) == 0o700
                    assert re.fullmatch(r"lkltest-[0-9a-f]{16}", outermost.name)
                    seen.add(path)
        run.communicate()
    assert seen, "the kernel has a management console"
    assert list(sockets(short_folder)) == []


def test_qmp_has_no_path(tmp_path: Path) -> None:
    if QemuHost().missing() is not None or not (ROOT / "build" / "linux").is_dir():
        pytest.skip("no QEMU, or no kernel for it: make setup HOST=qemu")
    command = ""
    with start(
        "lkltest", "run", "boot", "--host=qemu", env=environment(TMPDIR=str(tmp_path))
    ) as run:
        while run.poll() is None:
            assert list(sockets(tmp_path)) == []
            command = command or command_of(b"qemu-system", tmp_path)
        run.communicate()
    assert re.search(r"socket,id=qmp,fd=\d+", command)
    # Serial lines are pipes: a name without a folder is one in the run's, where QEMU is started.
    assert re.search(r"pipe,id=ser0,path=[a-z]+ ", command)
    assert not re.search(r"path=[^ ]*/|socket[^ ]*path=", command)


def command_of(name: bytes, folder: Path) -> str:
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            line = path.read_bytes()
        except OSError:
            continue
        program = line.partition(b"\0")[0]
        if (
            name in program
            and b"qmp" in line
            and os.fsencode(folder) in line + path.with_name("environ").read_bytes()
        ):
            return line.replace(b"\0", b" ").decode(errors="backslashreplace")
    return ""


# Names from a stream


@pytest.mark.parametrize("text", HOSTILE)
def test_names_never_become_paths(tmp_path: Path, text: str) -> None:
    inside = tmp_path / "a" / "b" / "reports"
    inside.mkdir(parents=True)
    for write in (junit.write, tree.write):
        path = write(suite(text), inside)
        assert path.parent == inside
        assert path.is_file()
    assert len(list(inside.iterdir())) == 2
    assert [path for path in tmp_path.rglob("*") if path.is_file() and path.parent != inside] == []


@pytest.mark.parametrize("text", HOSTILE)
def test_a_nights_files_stay_in_its_folder(tmp_path: Path, text: str) -> None:
    night = new_night(tmp_path / "a" / "nights", text, "", 0.0)
    cell = Cell(text, text, text, text, None, 1.0, 1.0)
    record = CellRecord(cell, (suite(text),), text, 0.0, 0.0)
    assert night.write(record).parent == night.path / "cells"
    kept = Artifacts(os.fspath(tmp_path / "kept"), pcap=True).files(text)
    assert kept.base is not None and kept.base.parent == tmp_path / "kept"
    assert "/" not in kept.base.name
    files = [path for path in tmp_path.rglob("*") if path.is_file()]
    assert [path for path in files if not path.is_relative_to(night.path)] == []
    assert night.finished([cell]) == {cell.id: record}


@pytest.mark.parametrize("text", HOSTILE)
def test_xml_is_escaped(tmp_path: Path, text: str) -> None:
    data = junit.write(suite(text), tmp_path).read_bytes()
    assert not re.search(rb"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f]", data)
    root = ElementTree.fromstring(data)
    assert {element.tag for element in root.iter()} <= {
        *("testsuites", "testsuite", "testcase", "properties", "property", "failure", "error"),
        *("skipped", "system-out", "system-err"),
    }


def test_html_is_escaped() -> None:
    """Jinja escapes all it is given, and no template says otherwise."""
    sources = [path.read_text(encoding="utf-8") for path in (ROOT / "lkltest").rglob("*.py")]
    users = [source for source in sources if "Environment(" in source]
    assert users and all("autoescape=True" in source for source in users)
    assert not [source for source in sources if "Markup(" in source]
    templates = [*(ROOT / "lkltest").rglob("*.jinja")]
    assert templates
    for path in templates:
        text = path.read_text(encoding="utf-8").replace("plot.svg | safe", "")  # matplotlib's own
        assert not re.search(r"\|\s*safe|autoescape\s+false", text), path


# Shells and YAML


_SHELLS = {
    *("os.system", "os.popen", "subprocess.getoutput", "subprocess.getstatusoutput"),
    *("eval", "exec", "pickle.load", "pickle.loads", "yaml.load"),
    *("asyncio.create_subprocess_shell", "pexpect.run", "pexpect.spawn"),
}
_WITH_A_SHELL = {
    # A script of its own for sudo: a signal's name and a number are all that is put into it.
    ROOT / "lkltest" / "setup" / "step.py": 1,
    # L4Re's module lists hold commands; they are run where --lkl-qemu-allow-commands says so.
    ROOT / "hosts" / "l4re" / "module_list.py": 1,
    # A fixed script that has an emulator beside gdb; commands and files come as its words.
    ROOT / "lkltest" / "host" / "emulator.py": 1,
    # A fixed script that sets the umask; the command comes as its words.
    ROOT / "hosts" / "uml" / "host.py": 1,
    # A fixed script that ends ssh's master with the runner; ssh's options come as its words.
    ROOT / "hosts" / "remote" / "control.py": 1,
}
"""Modules that call a shell, and how often."""
_LOADERS = {"yaml", "ruamel", "pickle", "shelve"}


def shells_and_evals(tree: ast.AST) -> Iterator[int]:
    """The lines that run a shell, or text as code."""
    for node in ast.walk(tree):
        if isinstance(node, ast.Call):
            shell = {word.arg: word.value for word in node.keywords}.get("shell")
            no_shell = isinstance(shell, ast.Constant) and shell.value is False
            if ast.unparse(node.func) in _SHELLS or not (shell is None or no_shell):
                yield node.lineno
        elif isinstance(node, ast.List | ast.Tuple):
            words = {str(e.value) for e in node.elts if isinstance(e, ast.Constant)}
            if {"sh", "bash", "/bin/sh"} & words and "-c" in words:
                yield node.lineno


def loaders(tree: ast.AST) -> Iterator[int]:
    """The lines that import what makes objects of text."""
    for node in ast.walk(tree):
        names = [alias.name for alias in node.names] if isinstance(node, ast.Import) else []
        names += [str(node.module)] if isinstance(node, ast.ImportFrom) else []
        if {name.partition(".")[0] for name in names} & _LOADERS:
            yield node.lineno


def found_in_sources(scan: Callable[[ast.AST], Iterator[int]]) -> list[str]:
    assert len(SOURCES) > 100
    return [
        f"{path}:{line}"
        for path in SOURCES
        for line in scan(ast.parse(path.read_text(encoding="utf-8")))
    ]


def test_no_shell_and_no_eval() -> None:
    found = Counter(place.rpartition(":")[0] for place in found_in_sources(shells_and_evals))
    assert found == {str(path): number for path, number in _WITH_A_SHELL.items()}


def test_nothing_loads_yaml() -> None:
    assert found_in_sources(loaders) == []


def test_the_scans_find_what_they_look_for() -> None:
    for text in ("eval(x)", "run(x, shell=True)", "run(['sh', '-c', x])", "os.popen(x)"):
        assert list(shells_and_evals(ast.parse(f"\n{text}"))) == [2], text
    for text in ("import yaml", "from pickle import loads", "import ruamel.yaml"):
        assert list(loaders(ast.parse(f"\n{text}"))) == [2], text
    assert list(shells_and_evals(ast.parse("run(x, shell=False)"))) == []


def test_tags_and_aliases_are_text(tmp_path: Path) -> None:
    witness = tmp_path / "witness"
    laughs = "".join(f"  a{n}: &a{n} [{', '.join([f'*a{n - 1}'] * 9)}]\n" for n in range(1, 30))
    body = f" log: |\n  !!python/object/apply:os.system ['touch {witness}']\n{laughs}"
    body += f" x: !!python/object/apply:os.system ['touch {witness}']\n y: *a29\n"
    parser = Parser()
    events = parser.feed(f"1..1\nok 1 a\n ---\n{body} ...\n".encode()) + parser.close()
    (point,) = [event for event in events if isinstance(event, Point)]
    assert "!!python/object/apply:os.system" in point.log
    assert len(point.log) < 3 * len(body)
    assert not witness.exists()


def test_a_program_gets_its_words_as_they_are(tmp_path: Path) -> None:
    program = fake_build(tmp_path, boot="pass") / "tests" / "boot"
    done = lkltest("exec", str(program), "$(touch witness)", "; touch witness", cwd=tmp_path)
    assert done.returncode == 0, done.stderr
    assert not (tmp_path / "witness").exists()


COMMAND = "b$(touch witness)`touch witness`;touch witness;'\"; touch witness"
MAKE = "true $(touch witness) `touch witness` ; touch witness"


@pytest.mark.parametrize(
    ("words", "status"),
    [
        (("run", "boot", "--host=native", f"--build={COMMAND}"), 0),
        (("run", "boot", "--host=native", f"--build={COMMAND}", f"--junit-dir={COMMAND}/j"), 0),
        (("run", f"boot[{COMMAND}]", "--host=native", f"--build={COMMAND}"), 2),
        (("run", COMMAND, f"--host={COMMAND}"), 2),
        (("exec", f"{COMMAND}/tests/boot"), 0),
        (("exec", f"--host={COMMAND}", f"{COMMAND}/tests/boot"), 2),
        (("exec", "--host=qemu", "--dry-run", f"{COMMAND}/tests/boot"), None),
        (("bisect", "boot@native", f"--build={COMMAND}", "--make", MAKE), 0),
        (("nightly",), 0),
    ],
)
def test_no_name_is_read_by_a_shell(
    tmp_path: Path, words: tuple[str, ...], status: int | None
) -> None:
    fake_build(tmp_path / COMMAND, boot="pass")
    quoted = json.dumps(COMMAND)
    (tmp_path / "nightly.toml").write_text(
        f"[night]\nname = {quoted}\n[builds.b]\npath = {quoted}\ncommit = {quoted}\n"
        f'[matrix]\nbuilds = ["b"]\nhosts = ["native"]\nsuites = ["boot"]\n'
    )
    done = lkltest(*words, cwd=tmp_path)
    assert status in (None, done.returncode), done.stdout + done.stderr
    assert list(tmp_path.rglob("witness")) == []


def test_ruff_looks_for_shells() -> None:
    """The rules of bandit are on: what they find in the sources fails `make check`."""
    settings = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    lint = settings["tool"]["ruff"]["lint"]
    assert "S" in lint["select"]
    shells = {"S602", "S604", "S605", "S606", "S607", "S609"}
    assert not shells & set(lint["ignore"])
    for pattern, rules in lint["per-file-ignores"].items():
        assert pattern.startswith(("tests/", ".ci/")) or not shells & set(rules)
