# SPDX-License-Identifier: GPL-2.0-only
"""Scopes: what programs in them see, how they are told apart, and that everything ends."""

import errno
import os
import pty
import select
import signal
import stat
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkltest.sandbox.scope import Isolation, Scope
from tests.census import Census
from tests.sandbox.scopes import DAEMON, KINDS, ended, needs_namespaces, output


@pytest.fixture(params=KINDS)
def scope(request: pytest.FixtureRequest) -> Iterator[Scope]:
    with Scope(isolation=request.param) as opened:
        yield opened


class TestPrograms:
    """One program: its start, its end, its surroundings."""

    def test_exit_status_is_the_raw_one(self, scope: Scope) -> None:
        assert os.waitstatus_to_exitcode(ended(scope.spawn(["sh", "-c", "exit 7"]))) == 7

    @pytest.mark.parametrize("name", ["SIGABRT", "SIGSEGV", "SIGTERM", "SIGHUP", "SIGPIPE"])
    def test_a_program_can_kill_itself(self, scope: Scope, name: str) -> None:
        status = ended(scope.spawn(["sh", "-c", f"kill -{name[3:]} $$"]))
        assert os.WIFSIGNALED(status)
        assert os.WTERMSIG(status) == getattr(signal, name)

    def test_abort_is_sigabrt(self, scope: Scope) -> None:
        status = ended(scope.spawn([sys.executable, "-I", "-S", "-c", "import os; os.abort()"]))
        assert os.WTERMSIG(status) == signal.SIGABRT

    def test_a_program_is_not_pid_1(self, scope: Scope) -> None:
        assert int(output(scope, "sh", "-c", "echo $$")) > 1

    def test_the_pid_is_the_runners(self, scope: Scope) -> None:
        child = scope.spawn(["sleep", "1000"])
        assert Path(f"/proc/{child.pid}/cmdline").read_bytes() == b"sleep\x001000\0"
        os.kill(child.pid, signal.SIGINT)
        assert os.WTERMSIG(ended(child)) == signal.SIGINT

    def test_poll_kill_and_fileno(self, scope: Scope) -> None:
        child = scope.spawn(["sleep", "1000"])
        assert child.poll() is None
        assert child.wait(0.01) is None
        child.kill(signal.SIGTERM)
        assert os.WTERMSIG(ended(child)) == signal.SIGTERM
        assert child.poll() == signal.SIGTERM
        child.kill()  # has ended: nothing happens
        assert child.fileno() > 2

    def test_many_ends_are_told_apart(self, scope: Scope) -> None:
        children = [scope.spawn(["sh", "-c", f"exit {number}"]) for number in range(20)]
        codes = [os.waitstatus_to_exitcode(ended(child)) for child in reversed(children)]
        assert codes == list(reversed(range(20)))

    def test_statuses_are_known_after_the_scope(self, scope: Scope) -> None:
        with Scope() as inner:
            running = inner.spawn(["sleep", "1000"])
            done = inner.spawn(["sh", "-c", "exit 3"])
            ended(done)
        assert os.WTERMSIG(running.poll() or 0) == signal.SIGKILL
        assert os.waitstatus_to_exitcode(done.poll() or 0) == 3

    def test_signals_are_at_their_defaults(self, scope: Scope) -> None:
        before = signal.signal(signal.SIGHUP, signal.SIG_IGN)
        mask = signal.pthread_sigmask(signal.SIG_BLOCK, {signal.SIGUSR1})
        try:
            with Scope() as inner:
                text = output(inner, "cat", "/proc/self/status")
        finally:
            signal.signal(signal.SIGHUP, before)
            signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        values = dict(line.split(":\t") for line in text.splitlines() if line.startswith("Sig"))
        ignored, blocked = int(values["SigIgn"], 16), int(values["SigBlk"], 16)
        ours = sum(1 << number - 1 for number in range(1, 32))  # above are the C library's
        assert ignored & ours == 0
        assert blocked == 0

    def test_environment_directory_and_arguments(self, scope: Scope, tmp_path: Path) -> None:
        words = ["", "a b", "ä", "'\"\\", "$HOME", b"\xff".decode(errors="surrogateescape")]
        text = output(scope, "sh", "-c", "pwd; env; echo $#", "sh", *words, cwd=tmp_path, env={
            "PATH": os.environ["PATH"], "X": "y z", "PWD": ""
        })  # fmt: skip
        assert text.splitlines()[0] == os.fspath(tmp_path)
        assert "X=y z" in text
        assert "HOME=" not in text
        assert text.splitlines()[-1] == str(len(words))

    def test_long_arguments(self, scope: Scope) -> None:
        words = ["x" * 100_000] * 10
        assert output(scope, "sh", "-c", "echo $#", "sh", *words) == "10\n"

    def test_descriptors(self, scope: Scope, tmp_path: Path) -> None:
        with (tmp_path / "a").open("w+") as first, (tmp_path / "b").open("w+") as second:
            # Numbers that cross: each would overwrite the other when copied in turn.
            numbers = {first.fileno(): second.fileno(), second.fileno(): first.fileno(), 77: 0}
            script = (
                f"echo first >&{second.fileno()}; echo second >&{first.fileno()}; ls /proc/self/fd"
            )
            listed = output(scope, "bash", "-c", f"{script}; ls /proc/self/fd", pass_fds=numbers)
            assert (tmp_path / "a").read_text() == "first\n"
            assert (tmp_path / "b").read_text() == "second\n"
        assert set(listed.split()) == {"0", "1", "2", "3", *map(str, numbers)}  # 3 is of ls

    def test_a_terminal_is_the_controlling_one(self, scope: Scope) -> None:
        master, slave = pty.openpty()
        child = scope.spawn(
            ["sh", "-c", "exec 0<&-; echo yes > /dev/tty"],
            stdin=slave, stdout=slave, stderr=slave, terminal=True,
        )  # fmt: skip
        os.close(slave)
        assert ended(child) == 0
        assert os.read(master, 100) == b"yes\r\n"
        os.close(master)


class TestBadPrograms:
    """A program that cannot be started is an OSError that names it, and the scope goes on."""

    @pytest.mark.parametrize(
        ("content", "mode", "number"),
        [
            (None, 0, errno.ENOENT),
            (b"#!/bin/sh\n", 0o644, errno.EACCES),
            (b"neither ELF nor script", 0o755, errno.ENOEXEC),
            (b"#!/nonexistent/interpreter\n", 0o755, errno.ENOENT),
        ],
    )
    def test_program(
        self, scope: Scope, tmp_path: Path, content: bytes | None, mode: int, number: int
    ) -> None:
        program = tmp_path / "program"
        if content is not None:
            program.write_bytes(content)
            program.chmod(mode)
        with pytest.raises(OSError, match="program") as caught:
            scope.spawn([program])
        assert caught.value.errno == number
        assert caught.value.filename == os.fspath(program)
        assert ended(scope.spawn(["true"])) == 0

    def test_directory(self, scope: Scope) -> None:
        with pytest.raises(FileNotFoundError, match="/nonexistent"):
            scope.spawn(["true"], cwd="/nonexistent")

    def test_terminal(self, scope: Scope) -> None:
        with pytest.raises(OSError, match="terminal"):
            scope.spawn(["true"], terminal=True)

    def test_descriptor(self, scope: Scope) -> None:
        with pytest.raises(OSError, match="Bad file"):
            scope.spawn(["true"], stdout=9999)
        assert ended(scope.spawn(["true"])) == 0


class TestEnds:
    """Leftovers are ended in time, and not before."""

    def test_daemons_end_with_the_last_program(self, scope: Scope, census: Census) -> None:
        master, slave = pty.openpty()
        child = scope.spawn(
            ["sh", "-c", DAEMON], stdin=slave, stdout=slave, stderr=slave, terminal=True
        )
        os.close(slave)
        ended(child)
        with pytest.raises(OSError, match="Input/output error"):
            while os.read(master, 100):
                pass
        os.close(master)
        assert [name for name in census.left() if "sleep" in name] == []

    def test_a_daemon_that_forks_while_it_is_killed_ends_too(self, scope: Scope) -> None:
        forks = "i=0; while [ $i -lt 300 ]; do sleep 1000 & i=$((i+1)); done; sleep 1000"
        for _ in range(5):
            reading, writing = os.pipe()
            words = f"setsid sh -c '{forks}' & while [ ! -e forking ]; do touch forking; done"
            ended(scope.spawn(["sh", "-c", words], cwd=scope.folder, stdout=writing))
            os.close(writing)
            assert select.select([reading], [], [], 60.0)[0], "somebody holds the console open"
            assert os.read(reading, 1) == b""
            os.close(reading)
            (scope.folder / "forking").unlink()

    def test_daemons_live_while_another_program_does(self, scope: Scope) -> None:
        other = scope.spawn(["sleep", "1000"])
        reading, writing = os.pipe()
        ended(scope.spawn(["sh", "-c", DAEMON], stdout=writing))
        os.close(writing)
        os.set_blocking(reading, False)
        time.sleep(0.05)
        with pytest.raises(BlockingIOError):
            os.read(reading, 1)
        other.kill()
        ended(other)
        os.set_blocking(reading, True)
        assert os.read(reading, 1) == b""
        os.close(reading)

    def test_daemons_of_a_session_live_until_it_ends(self, census: Census) -> None:
        reading, writing = os.pipe()
        with Scope(daemons=True) as session:
            ended(session.spawn(["sh", "-c", DAEMON], stdout=writing))
            os.close(writing)
            os.set_blocking(reading, False)
            time.sleep(0.05)
            with pytest.raises(BlockingIOError):
                os.read(reading, 1)
        assert os.read(reading, 1) == b""
        os.close(reading)
        assert census.left() == []

    @needs_namespaces
    def test_a_program_that_kills_everything(self) -> None:
        with Scope() as scope:
            ended(scope.spawn(["sh", "-c", "kill -9 -1; kill -9 1; kill -2 1; exit 5"]))
            assert ended(scope.spawn(["true"])) == 0

    @pytest.mark.parametrize("isolation", KINDS)
    def test_the_folder(self, isolation: Isolation, census: Census) -> None:
        with Scope(isolation=isolation) as scope:
            assert stat.S_IMODE(scope.folder.stat().st_mode) == 0o700
            script = "mkdir -p $0/a/b/c; touch $0/a/x; ln -s / $0/a/root; chmod 0 $0/a/b"
            ended(scope.spawn(["sh", "-c", script, os.fspath(scope.folder)]))
            deep = "import os\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')"
            python = [sys.executable, "-I", "-S", "-c", deep]
            assert ended(scope.spawn(python, cwd=scope.folder)) == 0
        assert not scope.folder.exists()
        assert census.left() == []

    def test_two_at_once(self, census: Census) -> None:
        with Scope() as first, Scope() as second:
            assert first.folder != second.folder
            child = first.spawn(["sleep", "1000"])
            second.__exit__(None, None, None)
            assert child.poll() is None
        assert census.left() == []

    def test_an_error_inside_ends_it(self, census: Census) -> None:
        with pytest.raises(ZeroDivisionError), Scope() as scope:
            scope.spawn(["sleep", "1000"])
            raise ZeroDivisionError
        assert census.left() == []
