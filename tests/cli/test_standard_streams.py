# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest` with standard streams that are closed, full or of an encoding that lacks a name."""

import os
import subprocess
import sys
from pathlib import Path

import pytest

from tests.fake_build import SECONDS, environment, fake_build, lkltest

CLOSED = "lkltest: standard output: Bad file descriptor\n"


def shell(line: str, cwd: Path) -> subprocess.CompletedProcess[str]:
    """Run a line of shell in which `lkltest` is the command."""
    return subprocess.run(
        ["sh", "-c", f'lkltest() {{ "$PYTHON" -m lkltest "$@"; }}; {line}'],
        cwd=cwd,
        env=environment(PYTHON=sys.executable),
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


@pytest.fixture(scope="module")
def folder(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """A folder with a build whose boot passes."""
    folder = tmp_path_factory.mktemp("streams")
    fake_build(folder, boot="pass")
    return folder


@pytest.mark.parametrize(
    "words",
    [
        "run boot --build .",
        "run boot --build . -v",
        "run boot --build . -j2",
        "exec tests/boot",
        "doctor --build .",
        "--version",
        "--help",
    ],
)
def test_closed_standard_output(folder: Path, words: str) -> None:
    done = shell(f"lkltest {words} >&-", folder)
    assert (done.returncode, done.stderr) == (1, CLOSED)


def test_what_is_wrong_is_told_without_standard_output(folder: Path) -> None:
    done = shell("lkltest run nope --build . >&-", folder)
    assert done.returncode == 2
    assert "unknown suite or variant 'nope'" in done.stderr
    assert "Traceback" not in done.stderr


@pytest.mark.parametrize(
    ("words", "closed"),
    [
        ("run boot --build .", "2>&-"),
        ("run boot --build .", "<&-"),
        ("run boot --build . -j2", "<&- 2>&-"),
    ],
)
def test_the_other_streams_are_not_needed(folder: Path, words: str, closed: str) -> None:
    done = shell(f"lkltest {words} {closed}", folder)
    assert (done.returncode, done.stderr) == (0, "")
    assert done.stdout.startswith("boot@native              ok ")


def test_all_closed(folder: Path) -> None:
    done = shell("lkltest run boot --build . --junit-dir closed <&- >&- 2>&-", folder)
    assert (done.returncode, done.stdout, done.stderr) == (1, "", "")
    assert (folder / "closed" / "boot@native.xml").exists(), "the run itself has gone on"


def test_tap2junit_cannot_read(folder: Path) -> None:
    done = shell("lkltest tap2junit <&-", folder)
    assert done.returncode == 2
    assert done.stderr == "lkltest tap2junit: standard input: Bad file descriptor\n"


@pytest.mark.parametrize(
    ("where", "why"), [(">&-", "Bad file descriptor"), (">/dev/full", "No space left on device")]
)
def test_tap2junit_cannot_write(folder: Path, where: str, why: str) -> None:
    done = shell(f"echo 1..0 | lkltest tap2junit {where}", folder)
    assert (done.returncode, done.stderr) == (1, f"lkltest: standard output: {why}\n")


def test_the_version_on_a_full_disk(folder: Path) -> None:
    done = shell("lkltest --version >/dev/full", folder)
    assert done.returncode == 1
    assert done.stderr == "lkltest: standard output: No space left on device\n"


@pytest.mark.parametrize(
    ("name", "encoding", "shown"),
    [
        (b"d\xff", "utf-8:strict", rb"d\xff"),
        (b"d\xff", "ascii:strict", rb"d\xff"),
        (b"\xc3\xbc", "utf-8:strict", b"\xc3\xbc"),
        (b"\xc3\xbc", "ascii:strict", rb"\xfc"),
    ],
)
def test_a_name_that_cannot_be_shown_as_it_is(
    folder: Path, name: bytes, encoding: str, shown: bytes
) -> None:
    directory = folder / os.fsdecode(name)
    done = subprocess.run(
        [sys.executable, "-m", "lkltest", "run", "boot", "--build=.", "--junit-dir", directory],
        cwd=folder,
        env=environment(PYTHONIOENCODING=encoding),
        capture_output=True,
        timeout=SECONDS,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    assert done.stdout.endswith(shown + b"\n"), done.stdout
    assert (directory / "boot@native.xml").exists()


def test_a_name_that_no_worker_can_be_told(folder: Path) -> None:
    done = lkltest("run", "--build=.", "-j2", "--junit-dir=d\udcff", cwd=folder)
    assert done.returncode == 2
    assert done.stderr.startswith("lkltest: pytest-xdist takes no directory and no option")
