# SPDX-License-Identifier: GPL-2.0-only
"""QEMU itself gone wrong: killed, stopped, missing, too old; and the lkltest command around it."""

from __future__ import annotations

import contextlib
import os
import pty
import select
import signal
import subprocess
import sys
import termios
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkltest.deadline import Deadlines
from lkltest.errors import LaunchError, NotInstalled
from lkltest.host.api import Launch
from lkltest.host.execution import Execution
from lkltest.hosts.qemu.host import QemuHost
from lkltest.sandbox.scope import Scope
from lkltest.verdict.results import ProblemKind, ProgramResult
from tests.census import MARKER, Census, new_marker
from tests.hosts.l4re import elf
from tests.hosts.qemu.fixtures import HALF, PLAYED, image, lkltest, player


def run_and_signal(folder: Path, number: signal.Signals) -> ProgramResult:
    """Send QEMU a signal when the second point was announced."""
    name = image(folder, HALF)
    host = QemuHost()
    with Scope() as scope:
        process = host.launch(Launch(name, (), {}, Deadlines(60, 2, 60, 60)), scope)
        seen = bytearray()

        def listen(data: bytes) -> None:
            seen.extend(data)
            if b"* 2 second\r\n" in seen:
                process.child.kill(number)

        process.listener = listen
        return Execution(host, process).run()


def test_qemu_is_killed(tmp_path: Path) -> None:
    result = run_and_signal(tmp_path, signal.SIGKILL)
    (problem,) = [each for each in result.problems if each.kind is ProblemKind.SIGNAL]
    assert "QEMU was killed by signal 9" in problem.reason
    assert result.seconds < 5


def test_qemu_is_told_to_end(tmp_path: Path) -> None:
    result = run_and_signal(tmp_path, signal.SIGTERM)
    (problem,) = [each for each in result.problems if each.kind is ProblemKind.SIGNAL]
    assert "terminating on signal 15" in problem.reason


def test_qemu_is_stopped(tmp_path: Path) -> None:
    """A frozen QEMU answers nothing: the report says so, and it is killed."""
    result = run_and_signal(tmp_path, signal.SIGSTOP)
    (stall,) = [each for each in result.problems if each.kind is ProblemKind.STALL]
    assert stall.point == "second" and "did not answer within" in stall.detail
    assert result.seconds < 20


def test_qemu_is_missing(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    name = image(tmp_path, PLAYED)
    with Scope() as scope:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "apt-get install qemu-system-x86" in str(QemuHost().missing())
        with pytest.raises(NotInstalled, match="apt-get install qemu-system-x86"):
            QemuHost().launch(Launch(name), scope)


@pytest.mark.parametrize(
    ("script", "message"),
    [
        (
            '[ "$1" = --version ] && exec echo "QEMU emulator version 5.2.0"; exit 1',
            "is version 5.2.0",
        ),
        ("exit 0", "does not say its version"),
    ],
)
def test_qemu_is_too_old(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str, message: str
) -> None:
    name = image(tmp_path, PLAYED)
    false = tmp_path / "bin" / "qemu-system-x86_64"
    false.parent.mkdir()
    false.write_text(f"#!/bin/sh\n{script}\n")
    false.chmod(0o755)
    monkeypatch.setenv("PATH", f"{false.parent}:{os.environ['PATH']}")
    assert message in str(QemuHost().missing()), "suites are skipped, doctor says so"
    done = lkltest("exec", "--host", "qemu", name)
    assert done.returncode == 2
    assert message in done.stderr and done.stderr.count("\n") == 1


def test_qemu_refuses_an_image(tmp_path: Path) -> None:
    damaged = tmp_path / "image"
    damaged.write_bytes(player().read_bytes()[:200] + b"\x02\xb0\xad\x1b" * 3)
    with Scope() as scope, pytest.raises(LaunchError) as caught:
        QemuHost().launch(Launch(damaged), scope)
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    "name", ["with, a comma", "-wait -noserial", "ä" * 60 + "/" + "long" * 50, 'it\'s "quoted"']
)
def test_names_of_folders_do_not_matter(tmp_path: Path, name: str) -> None:
    folder = tmp_path / name
    folder.mkdir(parents=True)
    done = lkltest("exec", "--host", "qemu", image(folder, PLAYED))
    assert done.returncode == 0, done.stderr


def test_exec_gives_the_verdict_and_the_console(tmp_path: Path) -> None:
    done = lkltest("exec", "--host", "qemu", image(tmp_path, b"\x1b[31mboot\x1b[0m\r\n" + PLAYED))
    assert done.returncode == 0
    assert done.stdout.startswith("boot\n1..2 # played\n")
    raw = lkltest("exec", "--host", "qemu", "--lkl-qemu-raw", str(tmp_path / "images.toml:x"))
    assert "\x1b[31mboot\x1b[0m" in raw.stdout
    failing = PLAYED.replace(b"ok 2", b"not ok 2")
    (tmp_path / "console").write_bytes(failing)
    done = lkltest("exec", "--host", "qemu", str(tmp_path / "images.toml:x"))
    assert done.returncode == 1
    assert "not ok second" in done.stderr


def paste(text: str, folder: Path) -> subprocess.CompletedProcess[bytes]:
    """Run what a dry run has printed, in a shell."""
    environment = {**os.environ, "TMPDIR": str(folder)}
    return subprocess.run(
        ["sh"],
        input=text.encode(),
        capture_output=True,
        timeout=60,
        check=False,
        env=environment,
    )


def test_what_a_dry_run_prints_runs(tmp_path: Path) -> None:
    done = lkltest("exec", "--host", "qemu", "--dry-run", image(tmp_path, PLAYED, "end=poweroff"))
    assert done.returncode == 0
    assert "-initrd 'console end=poweroff'" in done.stdout
    pasted = paste(done.stdout, tmp_path)
    assert PLAYED in pasted.stdout, pasted.stderr


def test_a_dry_run_prints_the_script_for_ned(tmp_path: Path) -> None:
    for name in ("moe", "ned"):
        (tmp_path / name).touch()
    image(tmp_path, b"")
    elf.write(tmp_path / "program", [])
    (tmp_path / "images.toml").write_text(
        f"[images.'*']\nkernel = '{player()}'\n"
        "modules = ['console module=3 end=poweroff', 'moe rom/old.cfg', 'ned']\n"
    )
    words = ("exec", "--host", "qemu", "--lkl-qemu-images", tmp_path / "images.toml")
    done = lkltest(*words, "--dry-run", tmp_path / "program", "a b")
    pasted = paste(done.stdout, tmp_path)
    assert b'"rom/program", "a b"' in pasted.stdout, pasted.stderr


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["absent"], "absent: No such file"),
        (["riscv"], "riscv: is for riscv; there are machines for: x86_64, aarch64"),
        (["images.toml:x", "word"], "images.toml:x: takes no arguments: it has its own"),
        (["x.iso", "word"], "x.iso: takes no arguments"),
        (["images.toml:absent"], "unknown image 'absent'; there are: x"),
        (["--lkl-qemu-pcap", "images.toml:x"], "--lkl-qemu-pcap needs --lkl-qemu-keep"),
        (["--lkl-qemu-keep", "console/x", "images.toml:x"], "--lkl-qemu-keep: "),
    ],
)
def test_bad_input_is_one_line(tmp_path: Path, words: list[str], message: str) -> None:
    image(tmp_path, PLAYED)
    foreign = bytearray(Path("/bin/true").read_bytes())
    foreign[18:20] = (243).to_bytes(2, "little")
    (tmp_path / "riscv").write_bytes(foreign)
    (tmp_path / "x.iso").write_bytes(b"\0" * 0x8001 + b"CD001")
    done = lkltest("exec", "--host", "qemu", *words, cwd=tmp_path)
    assert done.returncode == 2
    assert message in done.stderr
    assert done.stderr.count("\n") == 1


def wait_for(terminal: int, text: bytes) -> None:
    """Read what is shown on a terminal until `text` is."""
    shown = b""
    deadline = time.monotonic() + 60
    while text not in shown and time.monotonic() < deadline:
        if select.select([terminal], [], [], 0.2)[0]:
            shown += os.read(terminal, 4096)
    assert text in shown


@contextlib.contextmanager
def on_a_terminal(folder: Path) -> Iterator[tuple[subprocess.Popen[bytes], int]]:
    """`exec` of a machine that idles in its second point; gives it and the other end of its tty."""
    ours, theirs = pty.openpty()
    settings = termios.tcgetattr(theirs)
    command = [sys.executable, "-m", "lkltest", "exec", "--host", "qemu", image(folder, HALF)]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, start_new_session=True
    ) as child:
        wait_for(ours, b"* 2 second")
        assert termios.tcgetattr(theirs) != settings
        yield child, ours
        child.wait(20)
    assert termios.tcgetattr(theirs) == settings, "the terminal is as it was"
    os.close(ours)
    os.close(theirs)


def test_ctrl_a_x_ends_the_machine(tmp_path: Path) -> None:
    with on_a_terminal(tmp_path) as (child, ours):
        os.write(ours, b"\x01x")
        assert child.wait(10) == 1
        assert child.stderr is not None
        assert "ctrl-a x" in child.stderr.read().decode()


@pytest.mark.parametrize("number", [signal.SIGTERM, signal.SIGHUP, signal.SIGINT])
def test_a_signal_leaves_the_terminal_as_it_was(tmp_path: Path, number: signal.Signals) -> None:
    with on_a_terminal(tmp_path) as (child, _):
        child.send_signal(number)
        assert child.wait(10) == 130
        assert child.stderr is not None
        assert child.stderr.read() == b"lkltest: interrupted\n"


def test_nothing_survives_a_killed_runner(tmp_path: Path) -> None:
    marker = new_marker()
    temporary = tmp_path / "tmp"
    temporary.mkdir()
    name = image(tmp_path, HALF, "end=spin")
    before = Census.take(marker, temporary)
    command = [sys.executable, "-m", "lkltest", "exec", "--host", "qemu", str(name)]
    environment = {**os.environ, MARKER: marker, "TMPDIR": str(temporary)}
    with subprocess.Popen(
        command, stdout=subprocess.PIPE, stdin=subprocess.DEVNULL, env=environment
    ) as child:
        assert child.stdout is not None
        for line in child.stdout:
            if b"* 2 second" in line:
                break
        processes = [each for each in Census.take(marker, temporary).things if "qemu" in each]
        assert processes, "QEMU runs"
        child.kill()
    assert not [each for each in before.left() if each.startswith(("process", "file"))]


@pytest.mark.parametrize(
    ("console", "said"),
    [
        (PLAYED, "x@qemu: ok, 2 points: 2 ok"),
        (b"hello\r\n", "x@qemu: no verdict: the stream did not come to its end"),
        (b"[  hello] jdb: ", "x@qemu: no verdict: the stream did not come to its end"),
    ],
)
def test_at_hand_the_verdict_waits(tmp_path: Path, console: bytes, said: str) -> None:
    """Nothing but ctrl-a x ends the machine: no limit, no complete stream, no debugger."""
    end = b"the end of it"
    name = image(tmp_path, console + end, deadlines_of_image={"plan": 0.5, "silence": 0.5})
    ours, theirs = pty.openpty()
    command = [sys.executable, "-m", "lkltest", "exec", "--host", "qemu", "--interactive", name]
    with subprocess.Popen(
        command, stdin=theirs, stdout=theirs, stderr=subprocess.PIPE, start_new_session=True
    ) as child:
        wait_for(ours, end)
        time.sleep(3)
        assert child.poll() is None
        os.write(ours, b"\x01x")
        assert child.wait(20) == 0
        assert child.stderr is not None
        assert said in child.stderr.read().decode()
    os.close(ours)
    os.close(theirs)


def test_a_person_gets_the_debugger_when_time_is_up(tmp_path: Path) -> None:
    name = image(tmp_path, HALF, "end=idle", append="-serial_esc")
    ours, theirs = pty.openpty()
    option = "--lkl-qemu-enter-jdb-on-timeout"
    command = [sys.executable, "-m", "lkltest", "exec", "--host", "qemu", option]
    with subprocess.Popen(
        [*command, "--timeout=9", name],
        stdin=theirs,
        stdout=theirs,
        stderr=subprocess.PIPE,
        start_new_session=True,
    ) as child:
        wait_for(ours, b"* 2 second")
        time.sleep(12)
        assert child.poll() is None, "it waits for the person"
        os.write(ours, b"\x01x")
        assert child.wait(20) == 1
        assert child.stderr is not None
        assert "silent for too long, 3 s" in child.stderr.read().decode()
    os.close(ours)
    os.close(theirs)
