# SPDX-License-Identifier: GPL-2.0-only
"""Scopes: what programs in them see, how they are told apart, and that everything ends."""

import errno
import os
import pty
import signal
import stat
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from lkltest import guard_link
from lkltest.containment import _refusal
from lkltest.scope import NAMESPACE, SUBREAPER, Child, Containment, Scope, ScopeError, probe
from tests.census import MARKER, Census, new_marker
from tests.other_user import run_tests

BEST = probe()
KINDS = [
    pytest.param(
        BEST, id="namespace", marks=pytest.mark.skipif(BEST.kind != NAMESPACE, reason=BEST.reason)
    ),
    pytest.param(Containment(SUBREAPER), id="subreaper"),
]
needs_namespaces = pytest.mark.skipif(BEST.kind != NAMESPACE, reason=BEST.reason)


@pytest.fixture(params=KINDS)
def scope(request: pytest.FixtureRequest) -> Iterator[Scope]:
    with Scope(containment=request.param) as opened:
        yield opened


@pytest.fixture
def census(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Census:
    """A census of what this test and its programs start, with a TMPDIR of their own."""
    marker = new_marker()
    monkeypatch.setenv(MARKER, marker)
    monkeypatch.setenv("TMPDIR", os.fspath(tmp_path))
    return Census.take(marker, tmp_path)


def output(scope: Scope, *argv: str, **options: object) -> str:
    """What a program writes to stdout and stderr, after it has ended well."""
    reading, writing = os.pipe()
    child = scope.spawn(argv, stdout=writing, stderr=writing, **options)  # type: ignore[arg-type]
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        text = file.read()
    assert child.wait(10) == 0, text
    return text


def ended(child: Child) -> int:
    status = child.wait(10)
    assert status is not None, "still running"
    return status


def wait_until(true: Callable[[], bool], seconds: float = 5.0) -> None:
    deadline = time.monotonic() + seconds
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)


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
    """What cannot be started is an OSError that names it, and the scope goes on."""

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
    """What is left behind is ended in time, and not before."""

    DAEMON = "setsid sh -c 'trap \"\" TERM HUP; sleep 1000 & sleep 1000' &"

    def test_daemons_end_with_the_last_program(self, scope: Scope, census: Census) -> None:
        master, slave = pty.openpty()
        child = scope.spawn(
            ["sh", "-c", self.DAEMON], stdin=slave, stdout=slave, stderr=slave, terminal=True
        )
        os.close(slave)
        ended(child)
        with pytest.raises(OSError, match="Input/output error"):
            while os.read(master, 100):
                pass
        os.close(master)
        assert [name for name in census.left() if "sleep" in name] == []

    def test_daemons_live_while_another_program_does(self, scope: Scope) -> None:
        other = scope.spawn(["sleep", "1000"])
        reading, writing = os.pipe()
        ended(scope.spawn(["sh", "-c", self.DAEMON], stdout=writing))
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
            ended(session.spawn(["sh", "-c", self.DAEMON], stdout=writing))
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

    @pytest.mark.parametrize("containment", KINDS)
    def test_the_folder(self, containment: Containment, census: Census) -> None:
        with Scope(containment=containment) as scope:
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


class TestGuardGone:
    """The runner never waits for ever for a guard that is dead or stopped."""

    def test_killed(self, census: Census) -> None:
        with Scope() as scope:
            child = scope.spawn(["sleep", "1000"])
            os.kill(scope.pid, signal.SIGKILL)
            with pytest.raises(ScopeError, match=r"^the guard of the scope is gone: [^\n]*$"):
                child.wait(10)
            with pytest.raises(ScopeError):
                scope.spawn(["true"])
        if BEST.kind == NAMESPACE:
            assert census.left() == []

    def test_stopped(self, census: Census, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(guard_link, "ANSWER_SECONDS", 0.1)
        monkeypatch.setattr(guard_link, "CLOSE_SECONDS", 0.1)
        with Scope() as scope:
            os.kill(scope.pid, signal.SIGSTOP)
            with pytest.raises(ScopeError, match="does not answer"):
                scope.spawn(["true"])
        assert census.left() == []

    def test_not_open(self) -> None:
        scope = Scope()
        with pytest.raises(ScopeError, match="not open"):
            scope.spawn(["true"])
        with scope:
            pass
        with pytest.raises(ScopeError, match="ended"):
            scope.spawn(["true"])

    def test_no_temporary_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(guard_link, "temporary_folders", lambda: ["/nonexistent", "/dev/null"])
        with pytest.raises(ScopeError, match=r"^cannot start a scope: [^\n]*/nonexistent"), Scope():
            pass

    def test_another_temporary_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TMPDIR", "/nonexistent")
        with Scope() as scope:
            assert scope.folder.is_dir()

    def test_an_interrupted_request_ends_it(
        self, census: Census, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        with Scope() as scope:
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(guard_link.GuardLink, "_receive", interrupted)
                scope.spawn(["true"])
            with pytest.raises(ScopeError, match="ended"):
                scope.spawn(["true"])
        assert census.left() == []


@needs_namespaces
class TestNamespaces:
    """Network, mounts, and entering the namespaces of another scope."""

    def test_network_and_mounts(self) -> None:
        with Scope(network=True, mounts=True) as scope:
            assert scope.unmounted == {}
            text = output(scope, "sh", "-c", f"ls {scope.folder}/sys/class/net; echo /proc/[0-9]*")
            assert text.split()[0] == "lo"
            assert text.split()[1] == "/proc/1"
            assert len(text.split()) == 3
            assert list((scope.folder / "sys").iterdir()) == []  # seen from outside

    @pytest.mark.skipif(BEST.user or os.geteuid() != 0, reason="only root makes device nodes")
    def test_device_nodes(self) -> None:
        with Scope(mounts=True) as scope:
            node = scope.folder / "dev" / "null"
            scope.make_node(node, stat.S_IFCHR | 0o600, 1, 3)
            assert output(scope, "sh", "-c", f"echo lost > {node}; cat {node}") == ""
            with pytest.raises(FileExistsError, match="null"):
                scope.make_node(node, stat.S_IFCHR | 0o600, 1, 3)

    def test_join(self, census: Census) -> None:
        with Scope(network=True, mounts=True, daemons=True) as session:
            server = session.spawn(["sleep", "1000"])
            with Scope(join=session.pid) as run:
                assert run.contained == NAMESPACE
                for name in ("pid", "net", "mnt"):
                    links = {Path(f"/proc/{s.pid}/ns/{name}").readlink() for s in (run, session)}
                    assert len(links) == 1
                child = run.spawn(["sh", "-c", TestEnds.DAEMON + "sleep 1000"])
                child.kill(signal.SIGTERM)
                assert os.WTERMSIG(ended(child)) == signal.SIGTERM
                run.spawn(["sh", "-c", TestEnds.DAEMON + "sleep 1000"])
            assert not run.folder.exists()
            assert server.poll() is None
            listed = output(session, "sh", "-c", "cat /proc/[0-9]*/comm").split()
            assert listed.count("sleep") == 1
        assert census.left() == []

    def test_the_end_of_a_session_ends_those_who_joined(self, census: Census) -> None:
        with Scope(daemons=True) as session, Scope(join=session.pid) as run:
            child = run.spawn(["sleep", "1000"])
            session.__exit__(None, None, None)
            with pytest.raises(ScopeError):
                child.wait(10)
        assert census.left() == []

    def test_join_of_the_dead(self) -> None:
        with Scope() as session:
            pid = session.pid
        with pytest.raises(ScopeError, match="cannot join process"), Scope(join=pid):
            pass


class TestProbe:
    """What is possible, and if not, why, in one line."""

    def test_is_cached(self) -> None:
        assert probe() is probe()

    @pytest.mark.parametrize(
        ("script", "reason"),
        [
            ("echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1",
             "unshare: unshare failed: Operation not permitted"),
            ("exit 1", "unshare failed"),
            (None, "unshare is missing (package util-linux)"),
        ],
    )  # fmt: skip
    def test_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, reason: str
    ) -> None:
        if script is not None:
            (tmp_path / "unshare").write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / "unshare").chmod(0o755)
        monkeypatch.setenv("PATH", os.fspath(tmp_path))
        found = probe.__wrapped__()
        assert found.kind == SUBREAPER
        assert found.reason.startswith(reason)
        assert "\n" not in found.reason

    def test_a_hint(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        monkeypatch.setattr(Path, "read_text", lambda *_, **__: "0\n")
        assert _refusal(Containment(NAMESPACE)) == "unshare is missing (package util-linux)"

    def test_no_network_without_namespaces(self) -> None:
        lesser = Containment(SUBREAPER, reason="because")
        with pytest.raises(ScopeError, match="no namespaces here: because"):
            Scope(network=True, containment=lesser).__enter__()


@pytest.mark.skipif(os.geteuid() != 0, reason="is the test of a user when run as one")
def test_all_of_it_as_a_user() -> None:
    """The tests above, by a user without privileges."""
    run_tests(__file__)
