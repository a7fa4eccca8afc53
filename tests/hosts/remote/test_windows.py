# SPDX-License-Identifier: GPL-2.0-only
"""Windows targets: a real sshd whose commands run under Wine's cmd, and what words become there."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shlex
import signal
import subprocess
import time
from collections.abc import Iterator, Sequence
from pathlib import Path

import pytest

from lkltest.deadline import Deadlines
from lkltest.errors import LaunchError
from lkltest.host.api import Host, Launch
from lkltest.host.disk import Disk
from lkltest.host.execution import Execution
from lkltest.hosts.remote.agent import Job
from lkltest.hosts.remote.host import SshHost
from lkltest.hosts.remote.process import Run
from lkltest.hosts.remote.target import Target, find_target
from lkltest.hosts.remote.transport import Ssh
from lkltest.hosts.remote.windows import WindowsAgent, quote, words_file
from lkltest.hosts.wine.prefix import copy, ensure
from lkltest.hosts.wine.server import make_prefix
from lkltest.hosts.wine.tools import WineTools, find_tools, program_environment
from lkltest.sandbox.scope import Scope
from lkltest.testing import PROGRAM_SOURCE, HostContract
from lkltest.verdict.results import ProblemKind
from tests.compiler import ROOT
from tests.fake_build import start
from tests.hosts.remote.sshd import ssh_config
from tests.hosts.remote.test_lost_connection import masters
from tests.hosts.remote.test_ssh import master_of
from tests.hosts.wine.fixtures import CACHE, SOURCES, lkltest, require_wine, windows_program

SFTP_SERVER = Path("/usr/lib/openssh/sftp-server")
PATIENCE = Deadlines(total=120, silence=60, first_byte=60, plan=60)
ODD = [
    *(
        "",
        "a",
        "a b",
        "tab\there",
        '"',
        'a"b',
        '"a b"',
        "\\",
        "a\\",
        "a b\\",
        '\\"',
        'a\\\\"b c\\\\',
    ),
    *("%", "%PATH%", "100%", "%1", "^", "a^b", "^^", "&", "a&b", "a & b", "|", "<", ">", "a>b c"),
    *(
        "(",
        ")",
        "(a b)",
        "!",
        "!a!",
        "'",
        "`",
        "$HOME",
        "$(a)",
        ";",
        ",",
        "=",
        "a=b",
        "*",
        "?",
        "~",
    ),
    *("#", "@", "{", "}", "[", "]", "/", "/c", "-x", ":", '"&"', '"a" & "b"', '\\\\"%^"<'),
    "".join(map(chr, range(32, 127))),
]
"""Each character that some shell takes for its own, alone and among others."""


@pytest.fixture(scope="module")
def wine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[dict[str, str]]:
    """The host's options for a machine whose commands run under Wine's cmd."""
    require_wine()
    tools = find_tools()
    assert isinstance(tools, WineTools)
    if not SFTP_SERVER.exists():
        pytest.skip(f"{SFTP_SERVER} is missing: apt-get install openssh-sftp-server")
    folder = tmp_path_factory.mktemp("windows")
    kept = CACHE / "lkltest" / "wine" / tools.key
    ensure(kept, lambda path: make_prefix(tools, path))
    prefix = copy(kept, folder / "prefix")
    environment = program_environment(tools, prefix)
    exports = "".join(
        f"export {name}='{environment[name]}'\n"
        for name in ("WINEPREFIX", "WINEDLLOVERRIDES", "WINEDEBUG")
        if name in environment
    )
    home = folder / "Jo's (odd) & $HOME"  # with a letter that is no ASCII, Wine wants a locale
    home.mkdir()
    shell = folder / "shell"
    shell.write_text(
        f"#!/bin/sh\n{exports}cd {shlex.quote(str(home))}\ncase $SSH_ORIGINAL_COMMAND in\n"
        f"*sftp-server) exec {SFTP_SERVER} ;;\n"
        f'*) exec {tools.wine} cmd /d /c "$SSH_ORIGINAL_COMMAND" ;;\nesac\n'
    )
    shell.chmod(0o755)
    settings = [f"ForceCommand {shell}", f"Subsystem sftp {SFTP_SERVER}"]
    config = ssh_config(folder, "win11", settings)
    # Wine's services stay, and would hold the output of the connection that starts them.
    nothing = dict.fromkeys(("stdin", "stdout", "stderr"), subprocess.DEVNULL)
    subprocess.run([tools.server, "-p"], env=environment, check=True, **nothing)
    subprocess.run([tools.wine, "cmd", "/c", "exit"], env=environment, check=True, **nothing)
    yield {
        "lkl_ssh_target": "win11",
        "lkl_ssh_config": str(config),
        "there": str(home / "lkltest-target"),
    }
    subprocess.run([tools.server, "-k"], env=environment, check=False)


@pytest.fixture(scope="module")
def connected(wine: dict[str, str]) -> Iterator[SshHost]:
    host = SshHost(wine)
    with host.session():
        yield host


def gone(wine: dict[str, str]) -> bool:
    """Whether nothing of a run is there, after a while."""
    limit = time.monotonic() + 60
    folder = Path(wine["there"]) / "runs"
    while (left := [*folder.iterdir(), *programs(wine)]) and time.monotonic() < limit:
        time.sleep(0.1)
    return not left


def programs(wine: dict[str, str]) -> list[str]:
    """The runs' programs that are alive in this prefix, which others have, too."""
    found = subprocess.run(
        ["pgrep", "-f", r"r[0-9]+-s[0-9a-f]{48}\.exe"], capture_output=True, text=True, check=False
    ).stdout.split()
    prefix = f"WINEPREFIX={Path(wine['there']).parents[1] / 'prefix'}".encode()
    return [pid for pid in found if prefix in environment_of(pid)]


def environment_of(pid: str) -> bytes:
    try:
        return Path(f"/proc/{pid}/environ").read_bytes()
    except OSError:  # it has just ended
        return b""


def test_the_boot_suite_runs(wine: dict[str, str]) -> None:
    build = ROOT / "build" / "windows-kernel"
    if not (build / "tests").is_dir():
        pytest.skip("the Windows build is missing: lkltest setup wine")
    options = [f"--lkl-ssh-{name}={wine[f'lkl_ssh_{name}']}" for name in ("target", "config")]
    done = lkltest("run", "boot", "net[tap]", "--host", "ssh", "--build", build, *options)
    assert "boot@ssh                 ok" in done.stdout, done.stdout
    assert "the target is Windows" in done.stdout
    assert gone(wine)


def test_a_program_gets_the_words_that_it_was_given(wine: dict[str, str]) -> None:
    program = windows_program(SOURCES / "words.c")
    host = SshHost(wine)
    console = bytearray()
    with host.session(), Scope() as scope:
        launch = Launch(program, tuple(ODD), {"LKLTEST_WORD": ODD[-1]}, PATIENCE)
        process = host.launch(launch, scope)
        assert Execution(host, process, console.extend).run().passed
    found = [bytes.fromhex(line) for line in re.findall(r"word ?([0-9a-f ]*)", console.decode())]
    assert found == [word.encode() for word in (*ODD, ODD[-1])]
    assert gone(wine)


@pytest.mark.parametrize(
    ("word", "quoted"),
    [
        ("a", "a"),
        ("", '^"^"'),
        ("a b", '^"a b^"'),
        ('a"b', '^"a\\^"b^"'),
        ("a b\\", '^"a b\\\\^"'),
        ("a\\", "a\\"),
        ("%PATH%", "%%PATH%%"),
        ("a&b", "a^&b"),
        ("^", "^^"),
        ("^%", "^^%%"),
    ],
)
def test_quoting(word: str, quoted: str) -> None:
    assert quote(word) == quoted


def test_a_word_that_no_line_can_hold_is_an_error() -> None:
    for word in ("a\nb", "a\rb", "a\0b"):
        with pytest.raises(LaunchError, match="a line of Windows"):
            quote(word)
    assert words_file(["a", "b c"], {"x": "1&2"}).decode().splitlines()[2:4] == [
        "set x=1^&2",
        'a ^"b c^" 2>&1',
    ]


class TestWindows(HostContract):
    stall_seconds = 10.0
    crash_kinds = frozenset({ProblemKind.CRASH})
    abort_kinds = frozenset({ProblemKind.EXIT_STATUS})
    unsupported_modes = frozenset({"daemon", "daemon-with-console"})  # no fork

    @pytest.fixture
    def host(self, connected: SshHost) -> Host:
        return connected

    @pytest.fixture
    def program(self) -> Path:
        return windows_program(PROGRAM_SOURCE)

    @pytest.fixture(autouse=True)
    def nothing_is_left(self, wine: dict[str, str]) -> Iterator[None]:
        yield
        assert gone(wine)


@pytest.mark.parametrize("victim", ["client", "master"])
def test_a_lost_connection_is_an_error_and_leaves_nothing(
    wine: dict[str, str], victim: str
) -> None:
    host = SshHost(wine)
    with host.session(), Scope() as scope:
        launch = Launch(windows_program(PROGRAM_SOURCE), ("hang",), {}, PATIENCE)
        execution = Execution(host, host.launch(launch, scope))
        points = execution.points()
        assert next(points).name == "first"
        if victim == "client":
            os.kill(execution.process.child.pid, signal.SIGKILL)
        else:
            os.kill(master_of(execution.process.command), signal.SIGKILL)
        list(points)
        assert execution.result is not None
        assert ProblemKind.CONNECTION in {problem.kind for problem in execution.result.problems}
    assert gone(wine)


def test_a_disk_comes_back(wine: dict[str, str], tmp_path: Path) -> None:
    source = tmp_path / "writer.c"
    source.write_text(
        '#include <stdio.h>\nint main(int c, char **v) { FILE *f = fopen(v[1], "r+b");'
        ' char b[6] = ""; fread(b, 1, 5, f); fseek(f, 1 << 20, SEEK_SET); fputs(b, f); fclose(f);'
        ' printf("1..1\\nok 1 copied\\n"); }\n'
    )
    host = SshHost(wine)
    with (tmp_path / "image").open("w+b") as image, host.session(), Scope() as scope:
        image.truncate(4 << 20)
        os.pwrite(image.fileno(), b"hello", 0)
        disk = Disk(image.fileno(), "ext4")
        launch = Launch(windows_program(source), (disk,), {}, PATIENCE)
        assert Execution(host, host.launch(launch, scope)).run().passed
        assert os.pread(image.fileno(), 5, 1 << 20) == b"hello"
    assert gone(wine)


def test_a_lost_run_is_tried_again_once(wine: dict[str, str]) -> None:
    options = [f"--lkl-ssh-{name}={wine[f'lkl_ssh_{name}']}" for name in ("target", "config")]
    program = str(windows_program(PROGRAM_SOURCE))
    words = ["exec", "--host", "ssh", *options, program, "--", "hang"]
    config = Path(wine["lkl_ssh_config"])
    others = set(masters(config))  # of the session that the tests before have shared
    with start("lkltest", *words) as process:
        ended: set[int] = set()
        limit = time.monotonic() + 120
        while len(ended) < 2 and process.poll() is None and time.monotonic() < limit:
            new = set(masters(config)) - others - ended
            if new and programs(wine):
                for master in new:
                    os.kill(master, signal.SIGKILL)
                ended |= new
                while programs(wine) and time.monotonic() < limit:
                    time.sleep(0.05)
            time.sleep(0.05)
        stdout, stderr = process.communicate(timeout=120)
    assert (process.returncode, len(ended)) == (1, 2), stdout + stderr
    assert stderr.count("it is tried again") == 1
    assert stderr.count("connection lost: win11") == 2
    assert gone(wine)


def test_a_script_that_may_be_running_stays_as_it_is(wine: dict[str, str]) -> None:
    """cmd reads it line by line: one session's must not change under another's."""
    folder = Path(wine["there"])
    seen = []
    for _ in range(2):
        with SshHost(wine).session():
            (script,) = folder.glob("target-*.cmd")
            seen.append((script.name, script.stat().st_ino, script.stat().st_mtime_ns))
    assert seen[0] == seen[1]
    assert {path.name for path in folder.iterdir()} == {script.name, "runs", "store"}


ALIKE = re.compile(r"[A-Za-z][A-Za-z0-9_:./\\-]*|[/-][A-Za-z]+")
"""Bare words, by the manuals of three shells (about_Parsing, about_Special_Characters; cmd /?)."""


class Recorded(Ssh):
    """A connection to a Windows target that is not there; `lines` are the words sent there."""

    def __init__(self) -> None:
        super().__init__("jo's box")
        self.lines: list[tuple[str, ...]] = []

    @contextlib.contextmanager
    def hold(self, folder: Path) -> Iterator[None]:
        del folder
        yield

    def command(self, words: tuple[str, ...], *, terminal: bool = False) -> list[str]:
        self.lines.append(words)
        return ["true"]

    def call(self, *words: str, **_: object) -> bytes:
        self.lines.append(words)
        return b"PROCESSOR_ARCHITECTURE=AMD64\r\n"

    def sftp(self, batch: bytes, keep: Sequence[int] = ()) -> bytes:
        return b"r1-s" + b"0" * 48 + b"\n" if b"/runs" in batch else b""


def test_each_word_that_is_sent_is_read_alike_by_cmd_powershell_and_sh(tmp_path: Path) -> None:
    """A target's shell may be any of them, and PowerShell cannot be had here."""
    connection = Recorded()
    agent = WindowsAgent(connection, Target('odd & "name" $x', "jo's box"), tmp_path)
    disk = Disk(os.open(tmp_path, os.O_RDONLY | os.O_CLOEXEC), "ext4")
    for digest in ("0" * 64, "1e5" + "0" * 61, "a" * 64):
        run = agent.name_run(60)
        job = Job(digest, ODD, {"LKLTEST_WORD": ODD[-1]})
        agent.begin(run, 60, job)
        agent.put_program(digest, tmp_path / "it's & odd.exe")
        agent.put_image(run, "disk0", disk)
        agent.run_command(run, Run(agent, run, {}).mark, job)
        agent.stop(run)
        agent.end(run)
    agent.end_session(agent.session)
    assert agent.runs() == []
    agent.close()
    os.close(disk.descriptor)
    verbs = {words[4] for words in connection.lines if "target-" in words[3]}
    assert verbs == {"watch", "run", "stop", "end", "leave"}
    assert {words[3] for words in connection.lines} >= {"set", "certutil"}
    for words in connection.lines:
        assert [word for word in words if not ALIKE.fullmatch(word)] == []
        said = subprocess.run(
            ["sh", "-c", f"printf '%s\\n' {' '.join(words)}"], capture_output=True, check=True
        )
        assert said.stdout.decode().splitlines() == [*map(unescaped, words)]


def unescaped(word: str) -> str:
    """A word as a POSIX shell has it: only there a backslash goes, and no path is sent there."""
    return word.replace("\\", "")


@pytest.mark.parametrize("folder", ["/a b", "/$HOME", "/a&b", "/jo's", '/a"b', "/a;b", "/a%b"])
def test_a_folder_that_some_shell_would_take_apart_is_refused(tmp_path: Path, folder: str) -> None:
    file = tmp_path / "targets.toml"
    file.write_text(f"[targets.win]\nfolder = {json.dumps(folder)}\n")
    with pytest.raises(LaunchError, match="folder must begin with / and be of letters"):
        find_target("win", file)


def test_a_folder_of_other_letters_is_refused_on_windows(tmp_path: Path) -> None:
    target = Target("win", "box", "/tmp/ärger")
    with pytest.raises(LaunchError, match="no word that cmd and PowerShell would read alike"):
        WindowsAgent(Recorded(), target, tmp_path)
