# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.guest.programs: programs are compiled when needed, and say in one line why not."""

import os
import signal
import subprocess
import sys
import time
from collections.abc import Callable
from pathlib import Path

import pytest

from lkltest.errors import LaunchError
from lkltest.guest import programs
from lkltest.host.executable import is_dynamic


@pytest.fixture
def installed(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """As from a wheel: no checkout around the package; the user's cache."""
    monkeypatch.setattr(programs, "checkout", lambda: None)
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "cache"))
    return tmp_path / "cache"


def test_compiled_once_into_the_cache(installed: Path) -> None:
    program = programs.guest_program("init")
    assert program.is_relative_to(installed / "lkltest" / "guest")
    assert not is_dynamic(program)
    made = program.stat().st_mtime_ns
    assert programs.guest_program("init") == program
    assert program.stat().st_mtime_ns == made
    assert [path.name for path in program.parent.iterdir()] == ["init"]


def test_in_a_checkout_beside_the_build() -> None:
    assert programs.guest_programs()["boot"].parts[-3:] == ("build", "guest", "boot")


def test_compiled_anew_when_a_source_is_newer(tmp_path: Path) -> None:
    source, target = tmp_path / "a.h", tmp_path / "a"
    source.touch()
    target.touch()
    os.utime(target, (1, 1))
    assert not programs._is_fresh(target, [source])
    assert not programs._is_fresh(tmp_path / "nothing", [source])


def test_without_a_compiler(
    installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    assert "apt-get install gcc" in str(programs.missing_compiler())
    with pytest.raises(LaunchError, match="apt-get install gcc") as caught:
        programs.guest_program("init")
    assert "\n" not in str(caught.value)


def test_another_processors_programs_take_a_cross_compiler(
    installed: Path, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
) -> None:
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LaunchError, match="-gnu-gcc is missing: apt-get install gcc-aarch"):
        programs.guest_program("init", "aarch64")
    assert programs.guest_programs("aarch64")["boot"] != programs.guest_programs()["boot"]


def test_a_source_that_does_not_compile(tmp_path: Path) -> None:
    source = tmp_path / "bad.c"
    source.write_text("int main(void) { return nothing; }\n")
    with pytest.raises(LaunchError, match="nothing") as caught:
        programs.compile_program(source, tmp_path / "bad")
    assert "\n" not in str(caught.value)
    assert [path.name for path in tmp_path.iterdir()] == ["bad.c"]


@pytest.mark.parametrize(
    ("text", "said"),
    [
        ("/usr/bin/ld: cannot find -lc\ncollect2: error: ld returned 1", "libc6-dev"),
        ("x.c:1:10: fatal error: stdio.h: No such file or directory", "libc6-dev"),
        ("", "said nothing"),
    ],
)
def test_causes(text: str, said: str) -> None:
    assert said in programs._cause(text)


def test_an_unknown_program() -> None:
    with pytest.raises(LaunchError, match="no such guest program"):
        programs.guest_program("nothing")


def test_killed_while_it_compiles_nothing_is_left(tmp_path: Path) -> None:
    temporary, built, begun = tmp_path / "tmp", tmp_path / "built", tmp_path / "begun"
    temporary.mkdir()
    compiler = tmp_path / "slow-gcc"
    compiler.write_text(f'#!/bin/sh\n: > "$TMPDIR/ccX.o"\necho $$ > {begun}\nexec sleep 3141.5\n')
    compiler.chmod(0o755)
    code = "import sys; from pathlib import Path; from lkltest.guest import programs; "
    code += "programs.compile_program(Path('x.c'), Path(sys.argv[1]))"
    environment = {**os.environ, "GUEST_CC": str(compiler), "TMPDIR": str(temporary)}
    with subprocess.Popen([sys.executable, "-c", code, str(built / "x")], env=environment) as run:
        wait_until(begun.exists)
        assert list(temporary.glob("*/ccX.o"))
        run.send_signal(signal.SIGKILL)
    assert run.returncode == -signal.SIGKILL
    wait_until(lambda: not list(temporary.iterdir()))
    assert not built.exists()
    # Its folder is the last to go, after all that ran in its namespace.
    assert not [file for file in Path("/proc").glob("[0-9]*/cmdline") if is_sleeper(file)]


def wait_until(true: Callable[[], object]) -> None:
    limit = time.monotonic() + 20
    while not true():
        assert time.monotonic() < limit
        time.sleep(0.02)


def is_sleeper(command_line: Path) -> bool:
    try:
        return command_line.read_bytes() == b"sleep\x003141.5\0"
    except OSError:  # it has just ended
        return False
