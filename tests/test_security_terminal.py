# SPDX-License-Identifier: GPL-2.0-only
"""Text of a console, a name or a file never drives the terminal of who looks at it."""

from __future__ import annotations

import io
import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lkltest.deadline import Deadlines
from lkltest.errors import SetupError
from lkltest.hosts.wine.console import WineConsole
from lkltest.report import terminal
from lkltest.sandbox.scope import Child
from lkltest.setup import plan
from tests.compiler import ROOT
from tests.fake_build import SECONDS, environment, lkltest
from tests.hostile import DRIVES_A_TERMINAL, ESCAPES, HOSTILE, speaking_build, suite
from tests.sources import SOURCES, calls

_MOVES = r"\x1b\[K|collected |collecting: |created: |initialized: |ready: |[0-9]+ workers"
_OURS = re.compile(rf"\x1b\[[0-9;]*m|\r\n|\r(?:{_MOVES})")
"""Colours, ends of lines, and the lines of `lkltest nightly` and of pytest that move."""


def on_a_terminal(*words: str, cwd: Path) -> str:
    """The output of `lkltest` on a terminal of its own."""
    ours, theirs = os.openpty()
    env = {key: value for key, value in environment().items() if key != "NO_COLOR"}
    command = [sys.executable, "-m", "lkltest", *words]
    process = subprocess.Popen(
        command, cwd=cwd, env=env, stdin=subprocess.DEVNULL, stdout=theirs, stderr=theirs
    )
    os.close(theirs)
    said = b""
    try:
        while data := os.read(ours, 65536):
            said += data
    except OSError:  # EIO: nobody holds the other end any more
        pass
    finally:
        os.close(ours)
        process.wait(SECONDS)
    return said.decode("utf-8", "backslashreplace")


def driven_by(text: str) -> list[str]:
    """The lines in which somebody else than lkltest and pytest drives the terminal."""
    return [line for line in _OURS.sub("\n", text).split("\n") if DRIVES_A_TERMINAL.search(line)]


@pytest.mark.parametrize("text", HOSTILE)
def test_lines_show_escapes_escaped(text: str) -> None:
    result = suite(text)
    shown = [terminal.suite_line(result), *terminal.failure_lines(result)]
    assert driven_by("\n".join(shown)) == []


@pytest.fixture(scope="module")
def night(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with two nights of a program that drives terminals, and a list of known failures."""
    folder = tmp_path_factory.mktemp("night")
    speaking_build(folder / "b")
    (folder / "known.toml").write_text(
        '[[known]]\nid = "boot@native/\\u001b[2J*"\nreason = "\\u001b[2J"\n'
    )
    (folder / "nightly.toml").write_text(
        '[night]\nname = "\\u001b[2J"\nknown = "known.toml"\n'
        '[builds.b]\npath = "b"\ncommit = "\\u001b[2J"\n'
        '[matrix]\nbuilds = ["b"]\nhosts = ["native"]\nsuites = ["boot"]\n'
    )
    for _ in range(2):
        assert lkltest("nightly", cwd=folder).returncode in (0, 1)
    return folder


@pytest.mark.parametrize(
    "words",
    [
        ("run", "boot", "--host=native", "--build=b"),
        ("run", "boot", "--host=native", "--build=b", "-v"),
        ("run", "boot", "--host=native", "--build=b", "-v", "-j2"),
        ("exec", "b/tests/boot"),
        ("nightly",),
        ("history",),
        ("history", "*"),
        ("history", "--slowest"),
        ("compare",),
        ("compare", "--json"),
        ("known",),
        ("known", "--verify"),
        ("bisect", "boot@native", "--build=b"),
        ("tap2junit", "b/tests/boot.stream"),
    ],
    ids=" ".join,
)
def test_a_hostile_console(night: Path, words: tuple[str, ...]) -> None:
    said = on_a_terminal(*words, cwd=night)
    assert said
    assert driven_by(said) == []


NAME = "b\x1b[2J\u009b31m\u202e"


@pytest.mark.parametrize(
    "words",
    [
        ("run", "boot", "--host=native", f"--build={NAME}"),
        ("run", "boot", "--host=native", f"--build={NAME}", "-v"),
        ("run", "boot", "--host=native", f"--build={NAME}", f"--junit-dir={NAME}/junit"),
        ("run", "boot", "--host=native", f"--build={NAME}", f"--junit-dir={NAME}/tests/boot"),
        ("run", "boot", f"--host={NAME}"),
        ("run", f"boot[{NAME}]", "--host=native"),
        ("exec", f"{NAME}/tests/{NAME}"),
        ("exec", f"{NAME}/tests/boot.stream"),
        ("exec", f"--host={NAME}", f"{NAME}/tests/boot"),
        ("exec", "--dry-run", f"{NAME}/tests/{NAME}", NAME),
        ("doctor", f"--build={NAME}"),
        ("tap2junit", f"{NAME}/none"),
        ("nightly", f"{NAME}/none"),
        ("nightly", f"{NAME}/tests/boot.stream"),
        ("nightly", f"{NAME}/wrong.toml"),
        ("nightly", f"{NAME}/{NAME}.toml", "--init"),
        ("history", f"--history={NAME}/none"),
        ("history", f"--history={NAME}/tests/boot.stream"),
        ("history", f"--history={NAME}/h", "--import", NAME),
        ("compare", f"--config={NAME}/none"),
        ("bisect", NAME),
        ("bisect", "boot@native", "--make", NAME),
        ("worker", NAME),
        ("run", f"--{NAME}"),
        ("run", f"--timeout={NAME}"),
        (NAME,),
    ],
    ids=lambda words: ascii(" ".join(words)),
)
def test_a_hostile_name(tmp_path: Path, words: tuple[str, ...]) -> None:
    build = speaking_build(tmp_path / NAME)
    (build / "tests" / NAME).hardlink_to(build / "tests" / "boot")
    (build / "wrong.toml").write_text('[night]\n"\\u001b[2J" = "\\u001b[2J"\n')
    said = on_a_terminal(*words, cwd=tmp_path)
    assert said
    assert driven_by(said) == []


def test_what_drives_a_terminal_is_seen_by_these_tests() -> None:
    assert driven_by(f"\x1b[31mred\x1b[0m\r\n{ESCAPES}") == [_OURS.sub("\n", ESCAPES)]
    assert driven_by("\x1b[31mred\x1b[0m\r\nplain\tagain\r\n") == []


@pytest.mark.parametrize(("is_terminal", "shown"), [(True, "\\x1b[2J"), (False, "\x1b[2J")])
def test_what_wine_says_for_winedebug(
    monkeypatch: pytest.MonkeyPatch, is_terminal: bool, shown: str
) -> None:
    """A Windows program's stderr, which the user asked for, goes to a file as it is."""
    stderr = io.StringIO()
    monkeypatch.setattr(stderr, "isatty", lambda: is_terminal)
    monkeypatch.setattr(sys, "stderr", stderr)
    ours, theirs = os.openpty()
    os.close(theirs)
    console = WineConsole(FakeChild(), ours, (), Deadlines.from_timeout(1))
    console.show_side = True
    console.side_output += b"\x1b[2J"
    console.close()
    assert stderr.getvalue() == shown


class FakeChild(Child):
    """A program that has ended."""

    def __init__(self) -> None:
        """It is nobody's."""

    def poll(self) -> int | None:
        return 0


def test_nothing_is_printed_past_the_escaping() -> None:
    """Modules that print beside report/terminal.py colour their lines and escape the parts."""
    found = set()
    for path in SOURCES:
        called = {name for name, _ in calls(path)}
        if called & {"print", "sys.stdout.write", "sys.stderr.write", "sys.stdout.buffer.write"}:
            found.add(path.relative_to(ROOT).as_posix())
    assert found == {
        "hosts/qemu/attach.py",  # a console
        "hosts/wine/console.py",  # a program's stderr
        "lkltest/cli/completion.py",  # made from the parser alone
        "lkltest/cli/doctor.py",
        "lkltest/cli/exec.py",  # a console
        "lkltest/host/by_hand.py",  # a console
        "lkltest/host/file_tree.py",  # ASCII, for the process that started it
        "lkltest/nightly/commands/nightly.py",
        "lkltest/plugin/progress.py",
        "lkltest/report/terminal.py",
        # It runs before lkltest is installed; what others said goes through printable_line().
        *(f"lkltest/setup/{name}.py" for name in ("command", "place", "plan", "step")),
    }


def test_what_others_said_to_set_up_is_escaped(capsys: pytest.CaptureFixture[str]) -> None:
    plan._echo_error(SetupError("E: \x1b[2J\u202e\nmore"))
    assert capsys.readouterr().err == "lkltest setup: E: \\x1b[2J\\u202e\\nmore\n"
