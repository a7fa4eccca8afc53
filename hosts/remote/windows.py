# SPDX-License-Identifier: GPL-2.0-only
"""The agent of a Windows target: OpenSSH's cmd or PowerShell, which differ from a POSIX shell.

| | POSIX sh | cmd, PowerShell |
|---|---|---|
| a command | plain words: the script, a verb, names | the same, by `cmd /d /c`, see `_ALIKE` |
| a program's words | the words file, in quotes of sh | words.cmd, by `quote` below |
| copying | gzip and dd, from stdin | sftp |
| private folder | mode 700 | the user's home, which is the user's alone |
| exit status | `$?`, a signal's name | %ERRORLEVEL%, an exception's number |
| the watcher | read: a line, or the end of the connection | set /p: the same |
| a run's processes | its name in their environment | the program's own name, and its children |
| removal | rm -rf | rmdir /s /q, until nothing holds a file |
| time limit | a lease of its own | in the run's name; the next run sees it |
"""

from __future__ import annotations

import contextlib
import hashlib
import os
import re
import secrets
import subprocess
import tempfile
import time
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lkltest.errors import LaunchError
from lkltest.host.disk import Disk
from lkltest.hosts.remote.agent import Agent, Job, System, write_blocks
from lkltest.hosts.remote.target import Target
from lkltest.hosts.remote.transport import Ssh

_SCRIPT = Path(__file__).with_name("target.cmd")
_FOLDER = "lkltest-target"
_MACHINE = re.compile(rb"PROCESSOR_ARCHITECTURE=(\w+)")
_DIGEST = re.compile(rb"^[0-9a-f]{64}\s*$", re.MULTILINE)
_RUN = re.compile(r"r(\d+)-s[0-9a-f]{48}")
_ALIKE = re.compile(r"[A-Za-z][\w:./\\-]*|[/-][A-Za-z]+", re.ASCII)
"""Words that cmd, PowerShell and a POSIX shell take as they are.

PowerShell ends a word at a comma, takes @x for a variable and -a.b for two words, and reads what
begins with a digit as a number; cmd takes = for a blank.
"""
_WATCHER_SECONDS = 5.0
_FIRST_ERROR = 0xC0000000
"""The first NTSTATUS that is an error; no program ends itself with one."""
_EXCEPTIONS = {
    0xC0000005: "(access violation)",
    0xC000001D: "(illegal instruction)",
    0xC0000094: "(integer division by zero)",
    0xC00000FD: "(stack overflow)",
    0xC0000409: "(stack buffer overrun)",
    0xC0000135: "(a DLL was not found)",
}
_ODD = re.compile(r'([()%!^"<>&|])')
"""The characters that cmd takes for more than that, if a caret is not before them."""


class WindowsAgent(Agent):
    """Requests that target.cmd and sftp answer."""

    terminal = False

    def __init__(self, transport: Ssh, target: Target, local: Path) -> None:
        """Connect, with what the connection has here in `local`. Raises LaunchError for others."""
        super().__init__(transport, target)
        self._ssh = transport
        with contextlib.ExitStack() as stack:
            stack.enter_context(transport.hold(local))
            machine = _MACHINE.search(transport.call(*_cmd("set", "PROCESSOR_ARCHITECTURE")))
            if machine is None:
                raise LaunchError(f"{self.address}: neither a POSIX shell nor cmd answers there")
            self.system = System("Windows", machine[1].decode(), target.folder or _FOLDER)
            self._prepare()
            stack.enter_context(self._watching())
            self._held = stack.pop_all()

    def close(self) -> None:
        self._held.close()

    @contextlib.contextmanager
    def _watching(self) -> Iterator[None]:
        """Have somebody there who waits for a line, or for no more to come."""
        watcher = subprocess.Popen(
            self._ssh.command(self._verb("watch", self.session)),
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            start_new_session=True,  # Ctrl-C is for us to hear
        )
        try:
            if watcher.stdout is not None:
                watcher.stdout.readline()  # it is there before the first run is
            yield
        finally:
            with contextlib.suppress(OSError, subprocess.TimeoutExpired):
                if not self.lost:
                    watcher.communicate(b"end\n", _WATCHER_SECONDS)
            watcher.kill()
            watcher.wait()

    def _prepare(self) -> None:
        """Have our folders and script there."""
        folder = self.system.folder
        parts = folder.split("/")
        above = ["/".join(parts[: count + 1]) for count in range(len(parts))]
        made = [f"-mkdir {name}" for name in (*above, f"{folder}/store", f"{folder}/runs")]
        script = _SCRIPT.read_text(encoding="ascii").replace("\n", "\r\n").encode()
        # cmd reads a script a line at a time: one that is running must never be another one.
        self._script = f"target-{hashlib.sha256(script).hexdigest()[:16]}.cmd"
        if self._script not in self._list("", *made):
            self._put(script, f"{folder}/{self.session}")
            new = f"{folder}/{self.session}"
            self._sftp([f"-rename {new} {folder}/{self._script}", f"-rm {new}"])

    def name_run(self, seconds: int) -> str:
        return f"r{int(time.time()) + seconds}-{self.session}{secrets.token_hex(16)}"

    def path(self, run: str, name: str) -> str:
        del run  # a program's folder is its run's
        return name or "."

    def begin(self, run: str, seconds: int, job: Job) -> bool:
        del seconds  # they are in the name
        self.runs()  # ends old ones
        if job.pipes or job.network:
            raise LaunchError(f"{self.address}: Windows has no pipes and networks of LKL's")
        folder = f"{self.system.folder}/runs/{run}"
        command = (*job.wrapper, f".\\{run}.exe", *job.words)
        self._put(words_file(command, job.environment), f"{folder}/words.cmd", f"mkdir {folder}")
        return f"{_stored(job.digest)}.exe" not in self._list("store")

    def put_program(self, digest: str, program: Path) -> None:
        """certutil(1) looks at what has arrived, where there is one that works."""
        stored = f"{self.system.folder}/store/{_stored(digest)}"
        self._sftp([f"put {_local(program)} {stored}"])
        windows = stored.replace("/", "\\")
        try:
            said = self._ssh.call(*_cmd("certutil", "-hashfile", windows, "SHA256"))
        except LaunchError:
            said = b""
        found = _DIGEST.search(said)
        if found and found[0].strip().decode() != digest:
            raise LaunchError(f"{self.address}: {program.name} arrived damaged")
        self._sftp([f"-rename {stored} {stored}.exe"])

    def put_image(self, run: str, name: str, disk: Disk) -> None:
        file = f"{self.system.folder}/runs/{run}/{name}"
        self._sftp([f"put {disk.path} {file}"], keep=(disk.descriptor,))

    def fetch_image(self, run: str, name: str, disk: Disk) -> None:
        size = os.fstat(disk.descriptor).st_size
        with tempfile.NamedTemporaryFile(prefix="lkltest-") as image:
            self._sftp([f"get {self.system.folder}/runs/{run}/{name} {image.name}"])
            with open(image.name, "rb") as arrived:
                if os.fstat(arrived.fileno()).st_size != size:
                    raise LaunchError(f"{self.address}: {name}: came back in another size")
                write_blocks(arrived.read, disk.descriptor, size)

    def run_command(self, run: str, mark: str, job: Job) -> list[str]:
        return self._ssh.command(self._verb("run", run, _stored(job.digest), mark))

    def look(self, run: str) -> str:
        del run
        return "nothing there can be asked where the program is"

    def stop(self, run: str) -> None:
        self._ssh.call(*self._verb("stop", run))

    def end(self, run: str) -> None:
        self._ssh.call(*self._verb("end", run))

    def end_session(self, session: str) -> None:
        self._ssh.call(*self._verb("leave", session))

    def runs(self) -> list[str]:
        leases = {name: _RUN.fullmatch(name) for name in self._list("runs")}
        found = [name for name, lease in leases.items() if lease]
        old = [name for name, lease in leases.items() if lease and int(lease[1]) < time.time()]
        for name in old:
            self.end(name)
        return [name for name in found if name not in old]

    def exception(self, status: str) -> str:
        number = int(status) % (1 << 32) if status.removeprefix("-").isdigit() else 0
        if number < _FIRST_ERROR:
            return ""
        return f"unhandled exception 0x{number:08x} {_EXCEPTIONS.get(number, '')}".rstrip()

    def missing_network(self, lines: Sequence[str]) -> str:
        del lines
        return "Windows has no such devices"

    def _verb(self, verb: str, *words: str) -> tuple[str, ...]:
        script = f"{self.system.folder}/{self._script}".replace("/", "\\")
        return _cmd(script, verb, *words)

    def _list(self, folder: str, *before: str) -> list[str]:
        """The names in one of our folders there, after some other commands of sftp's."""
        folder = f"{self.system.folder}/{folder}".rstrip("/")
        said = self._sftp([*before, f"ls -1 {folder}"]).decode("utf-8", "replace")
        return [
            line.rpartition("/")[2].strip() for line in said.splitlines() if line[:5] != "sftp>"
        ]

    def _put(self, data: bytes, file: str, *before: str) -> None:
        """Bring a small file there, after some other commands of sftp's."""
        with tempfile.NamedTemporaryFile(prefix="lkltest-") as local:
            local.write(data)
            local.flush()
            self._sftp([*before, f"put {local.name} {file}"])

    def _sftp(self, commands: Sequence[str], keep: Sequence[int] = ()) -> bytes:
        return self._ssh.sftp("".join(f"{line}\n" for line in commands).encode(), keep)


def _cmd(*words: str) -> tuple[str, ...]:
    command = ("cmd", "/d", "/c", *words)
    for word in command:
        if not _ALIKE.fullmatch(word):
            raise LaunchError(f"{word!r}: no word that cmd and PowerShell would read alike")
    return command


def _stored(digest: str) -> str:
    return f"p{digest}"


def _local(path: Path) -> str:
    """A file here in a command of sftp's, which takes quotes and patterns for what they are."""
    return '"' + re.sub(r'([\\"*?\[])', r"\\\1", str(path)) + '"'


def quote(word: str) -> str:
    """A word of a program's, as a batch file has it.

    The program splits its command line at blanks that are not in quotes, and a backslash counts
    before a quote alone (CommandLineToArgvW). Before that cmd reads the line; of what it would take
    for its own each has a caret, the quotes too, so that there is never one open, and a per cent
    sign is doubled.

    Raises LaunchError for what no line can hold.
    """
    if set(word) & set("\0\r\n"):
        raise LaunchError(f"{word!r}: a line of Windows can hold no word with such characters")
    quoted = re.sub(r'(\\*)"', r'\1\1\\"', word)
    if not word or re.search(r'[\s"]', word):
        quoted = '"' + re.sub(r"(\\+)$", r"\1\1", quoted) + '"'
    return _plain(quoted)


def _plain(text: str) -> str:
    """Text in a batch file that cmd takes as it is."""
    return _ODD.sub(r"^\1", text).replace("^%", "%%")


def words_file(words: Sequence[str], environment: Mapping[str, str]) -> bytes:
    """The batch file that runs a program, and then tells its status behind the mark, its %1."""
    lines = ["@echo off", "chcp 65001 >nul 2>&1"]
    lines += [f"set {_plain(f'{name}={value}')}" for name, value in environment.items()]
    lines += [f"{' '.join(map(quote, words))} 2>&1", "echo \x1e%1 %ERRORLEVEL%"]
    return "".join(f"{line}\r\n" for line in lines).encode()
