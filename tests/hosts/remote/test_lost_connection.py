# SPDX-License-Identifier: GPL-2.0-only
"""A run whose connection is lost is started anew once; what failed by itself stays a failure."""

from __future__ import annotations

import contextlib
import json
import os
import re
import shutil
import signal
import subprocess
import sys
import time
from collections.abc import Callable, Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path

import pytest

from tests.fake_build import bundled_build, environment, fake_build, start
from tests.hosts.remote.sshd import ssh_config
from tests.nightly.config.matrices import config, nights

PATIENCE = 60.0


@dataclass(frozen=True, slots=True)
class There:
    """A target on an sshd of its own: options for it, its folder, the file that counts the runs."""

    options: list[str]
    config: Path
    folder: Path
    counter: Path

    def runs(self) -> int:
        """How many programs have begun."""
        return self.counter.stat().st_size if self.counter.exists() else 0

    def gone(self) -> bool:
        """Whether nothing is left there, after a while."""
        runs = self.folder / "runs"
        return waited(lambda: not runs.exists() or not any(runs.iterdir()))


@pytest.fixture
def there(tmp_path: Path) -> There:
    folder, counter = tmp_path / "there", tmp_path / "counter"
    targets = tmp_path / "targets.toml"
    targets.write_text(
        f'[targets.near]\naddress = "box"\nfolder = "{folder}"\n'
        f'environment = {{ FAKE_ONCE = "{counter}" }}\n'
    )
    config = ssh_config(tmp_path)
    options = ["--lkl-ssh-target=near", f"--lkl-ssh-targets={targets}"]
    return There([*options, f"--lkl-ssh-config={config}"], config, folder, counter)


def waited(happened: Callable[[], bool]) -> bool:
    """Wait until something has happened, but not for ever."""
    limit = time.monotonic() + PATIENCE
    while not happened() and time.monotonic() < limit:
        time.sleep(0.02)
    return happened()


def masters(config: Path) -> list[int]:
    """The ssh processes that hold connections by this configuration."""
    pattern = f"^ssh -F {config} .*ControlMaster=yes "
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    try:
        children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    except FileNotFoundError:
        return []
    return [pid, *(one for child in children for one in family(int(child)))]


def servers(there: There) -> list[int]:
    """The processes of sshd, children of the client's here, without what they have started."""
    found = [pid for master in masters(there.config) for pid in family(master)[1:]]
    return [pid for pid in found if name_of(pid).startswith("sshd")]


def name_of(pid: int) -> str:
    try:
        return Path(f"/proc/{pid}/comm").read_text()
    except FileNotFoundError:  # it has just ended
        return ""


def kill_sshd(there: There) -> None:
    for pid in servers(there):
        with contextlib.suppress(ProcessLookupError):
            os.kill(pid, signal.SIGKILL)


def command(kind: str, build: Path, there: There) -> list[str]:
    """The words that run the program `boot` as a suite or alone."""
    if kind == "exec":
        program = str(build / "tests" / "boot")
        return ["lkltest", "exec", "--host", "ssh", *there.options, program]
    if kind == "run":
        words = ["lkltest", "run", "boot", "--host", "ssh", "--build", str(build)]
    else:
        words = ["pytest", "--pyargs", "lkltest.suites", "--lkl-suite=boot"]
        words += ["--lkl-host=ssh", f"--lkl-build={build}"]
    return [*words, *there.options]


def run_and_lose(
    words: list[str],
    there: There,
    lose: Callable[[There], None],
    times: int = 1,
    before: Sequence[str] = (sys.executable, "-m"),
) -> tuple[int, str]:
    """Run a command whose programs lose their connection while they run: status and output."""
    pipes = {"stdin": subprocess.DEVNULL, "stdout": subprocess.PIPE, "stderr": subprocess.PIPE}
    with subprocess.Popen([*before, *words], text=True, env=environment(), **pipes) as process:
        for number in range(1, times + 1):
            assert waited(lambda at=number: there.runs() >= at or process.poll() is not None)
            time.sleep(0.3)  # what it prints is on its way
            lose(there)
        stdout, stderr = process.communicate(timeout=PATIENCE * 2)
    assert "Traceback" not in stdout + stderr, stdout + stderr
    return process.returncode, stdout + stderr


@pytest.mark.parametrize("kind", ["run", "pytest", "exec"])
def test_a_lost_run_is_tried_again_and_said_so_in_a_line(
    kind: str, there: There, tmp_path: Path
) -> None:
    build = fake_build(tmp_path / "build", boot="once hang")
    status, said = run_and_lose(command(kind, build, there), there, kill_sshd)
    assert (status, there.runs()) == (0, 2), said
    (line,) = [line for line in said.splitlines() if "connection lost" in line]
    assert re.search(r"connection lost: box: \S.*; ", line)
    assert "tried again" in line
    assert kind == "exec" or line.endswith("on another one: passed")
    assert there.gone()


def test_what_fails_in_ending_a_lost_run_counts_no_more(there: There, tmp_path: Path) -> None:
    build = fake_build(tmp_path / "build", boot="once hang")
    suite = tmp_path / "mine" / "test_mine.py"
    suite.parent.mkdir()
    suite.write_text(
        "import os, pytest\n"
        "@pytest.fixture\n"
        "def broken():\n"
        "    yield\n"
        f"    assert os.path.getsize({str(there.counter)!r}) > 1, 'the first one'\n"
        "def test_mine(lkl, broken):\n"
        "    lkl.run('boot')\n"
    )
    words = ["lkltest", "run", str(suite), "--host", "ssh", "--build", str(build), *there.options]
    status, said = run_and_lose(words, there, kill_sshd)
    assert (status, there.runs()) == (0, 2), said
    assert "on another one: passed" in said


@pytest.mark.parametrize("kind", ["run", "pytest", "exec"])
def test_a_second_loss_is_an_error(kind: str, there: There, tmp_path: Path) -> None:
    build = fake_build(tmp_path / "build", boot="always hang")
    status, said = run_and_lose(command(kind, build, there), there, kill_sshd, times=2)
    assert (status, there.runs()) == (1, 2), said
    assert said.count("connection lost: box") >= 2
    assert there.gone()


@pytest.mark.parametrize("mode", ["fail-then-hang", "cut-then-hang", "oops-then-hang"])
@pytest.mark.parametrize("kind", ["run", "exec"])
def test_what_has_failed_is_not_tried_again(
    kind: str, mode: str, there: There, tmp_path: Path
) -> None:
    """The second run would pass."""
    build = fake_build(tmp_path / "build", boot=f"once {mode}")
    status, said = run_and_lose(command(kind, build, there), there, kill_sshd)
    assert (status, there.runs()) == (1, 1), said
    assert "tried again" not in said
    assert there.gone()


@pytest.mark.parametrize("mode", ["segfault", "hang"])
def test_a_crash_and_a_hang_are_not_tried_again(mode: str, there: There, tmp_path: Path) -> None:
    build = fake_build(tmp_path / "build", boot=f"once {mode}")
    words = [*command("run", build, there), "--timeout", "6"]
    status, said = run_and_lose(words, there, lambda _: None)
    assert (status, there.runs()) == (1, 1), said
    assert "tried again" not in said


def test_the_tree_of_a_suite_holds_each_point_once(there: There, tmp_path: Path) -> None:
    build = fake_build(tmp_path / "build", boot="once hang")
    trees = tmp_path / "trees"
    words = [*command("run", build, there), f"--json-dir={trees}"]
    status, said = run_and_lose(words, there, kill_sshd)
    assert status == 0, said
    (file,) = trees.iterdir()
    tree = json.loads(file.read_text())
    assert [point["name"] for point in tree["points"]] == ["first", "second"]
    assert tree["problems"] == []
    assert tree["properties"]["tried again"].endswith("on another one: passed")


def test_a_disk_is_as_it_was_before(there: There, tmp_path: Path) -> None:
    source = tmp_path / "writer.c"
    source.write_text(
        "#include <fcntl.h>\n#include <stdio.h>\n#include <stdlib.h>\n#include <unistd.h>\n"
        "int main(int c, char **v) { int disk = open(v[1], O_RDWR); char b = 0;\n"
        ' int file = open(getenv("FAKE_ONCE"), O_CREAT | O_APPEND | O_RDWR, 0600);\n'
        " int first = lseek(file, 0, SEEK_END) == 0; pread(disk, &b, 1, 1 << 20);\n"
        ' printf("1..1\\n"); if (first) { pwrite(disk, "!", 1, 1 << 20); fsync(disk); }\n'
        ' fflush(stdout); write(file, "x", 1); if (first) sleep(1000);\n'
        ' printf("%s 1 untouched\\n", b == 0 ? "ok" : "not ok"); return 0; }\n'
    )
    (tmp_path / "build" / "tests").mkdir(parents=True)
    program = tmp_path / "build" / "tests" / "boot"
    subprocess.run(["gcc", "-o", program, source], check=True)
    suite = tmp_path / "test_own.py"
    suite.write_text(
        "import os\nfrom lkltest.host.disk import Disk\n"
        "def test_own(lkl, tmp_path):\n"
        "    with (tmp_path / 'image').open('w+b') as image:\n"
        "        image.truncate(4 << 20)\n"
        "        lkl.run('boot', Disk(image.fileno(), 'ext4'))\n"
    )
    words = ["pytest", str(suite), "--lkl-host=ssh", f"--lkl-build={tmp_path / 'build'}"]
    words += ["-p", "no:cacheprovider", *there.options]
    status, said = run_and_lose(words, there, kill_sshd)
    assert (status, there.runs()) == (0, 2), said
    assert there.gone()


def test_a_pair_of_kernels_is_tried_again_together(there: There) -> None:
    """Both lose the connection, and each needs the other's pipes."""
    build = bundled_build()
    if build is None:
        pytest.skip("the bundled build is missing: make build")
    words = ["run", "net[pipe]", "--host", "ssh", *there.options]
    with start("lkltest", *words) as process:
        runs = there.folder / "runs"
        both = lambda: runs.exists() and len(list(runs.glob("*/pid"))) == 2  # noqa: E731
        assert waited(lambda: both() or process.poll() is not None)
        kill_sshd(there)
        stdout, stderr = process.communicate(timeout=PATIENCE * 2)
    assert (process.returncode, "on another one: passed" in stdout) == (0, True), stdout + stderr
    assert there.gone()


@pytest.mark.skipif(os.geteuid() != 0, reason="a user's cell is root in a namespace: no sshd there")
def test_a_night_says_so(there: There, tmp_path: Path) -> None:
    options = json.dumps([option for option in there.options if "target=" not in option])
    more = f'[[override]]\nhost = "ssh:*"\noptions = {options}\n'
    file = config(tmp_path, more=more)
    file.write_text(file.read_text().replace('["native"]', '["ssh:near"]'))
    fake_build(tmp_path / "good", boot="once hang")
    status, said = run_and_lose(["lkltest", "nightly", str(file)], there, kill_sshd)
    assert (status, there.runs()) == (0, 2), said
    line = r"boot@ssh:near#good: tried again: connection lost: box: .*; on another one: passed"
    assert re.search(line, said), said
    (night,) = nights(tmp_path)
    assert "tried again: connection lost" in (night / "index.html").read_text()


QUICK = (
    "import sys\nimport lkltest.hosts.remote.transport as transport\n"
    "transport._ALIVE_SECONDS = 1\nfrom lkltest.cli.main import main\n"
    "sys.argv[0] = 'lkltest'\nsys.exit(main())\n"
)
"""lkltest that takes a connection for lost after 3 s of silence."""
INETD = """\
import socket, subprocess, sys
with socket.create_server(("10.9.0.1", 2222)) as server:
    print("ready", flush=True)
    while True:
        link, _ = server.accept()
        subprocess.Popen(sys.argv[1:], stdin=link, stdout=link)
        link.close()
"""


def test_a_run_whose_connection_stands_still_is_tried_again(there: There, tmp_path: Path) -> None:
    build = fake_build(tmp_path / "build", boot="once hang")
    stopped: list[int] = []

    def stop(there: There) -> None:
        stopped.extend(servers(there))
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)

    words = command("run", build, there)[1:]
    try:
        status, said = run_and_lose(words, there, stop, before=[sys.executable, "-c", QUICK])
        assert (status, there.runs()) == (0, 2), said
        assert "not responding" in said and "on another one: passed" in said
        assert there.gone(), "a lost run is ended by the connection that follows"
    finally:
        for pid in stopped:
            with contextlib.suppress(ProcessLookupError):
                os.kill(pid, signal.SIGKILL)


@pytest.fixture
def wire(there: There, tmp_path: Path) -> Iterator[list[str]]:
    """A wire between two network namespaces, an sshd at one end, enters the other one.

    Its devices are `near` and `far`.
    """
    if os.geteuid() != 0 or shutil.which("ip") is None:
        pytest.skip("a wire between namespaces takes root and ip")
    text = there.config.read_text()
    proxy = re.search(r"ProxyCommand (.*)", text)
    assert proxy is not None
    with contextlib.ExitStack() as stack:
        ends = [
            stack.enter_context(subprocess.Popen(["unshare", "--net", "sleep", "1000"]))
            for _ in range(2)
        ]
        for end in ends:
            stack.callback(end.kill)
        own = Path("/proc/self/ns/net").readlink()
        assert waited(lambda: all(Path(f"/proc/{e.pid}/ns/net").readlink() != own for e in ends))
        enter = [["nsenter", f"--net=/proc/{end.pid}/ns/net"] for end in ends]
        pair = f"link add near netns {ends[0].pid} type veth peer name far netns {ends[1].pid}"
        subprocess.run(["ip", *pair.split()], check=True)
        for name, address, inside in zip(["near", "far"], [2, 1], enter, strict=True):
            subprocess.run(
                [*inside, *f"ip address add 10.9.0.{address}/24 dev {name}".split()], check=True
            )
            subprocess.run([*inside, "ip", "link", "set", name, "up"], check=True)
        words = [*enter[1], sys.executable, "-c", INETD, *proxy[1].split()]
        server = stack.enter_context(subprocess.Popen(words, stdout=subprocess.PIPE))
        stack.callback(server.kill)
        assert server.stdout is not None and server.stdout.readline() == b"ready\n"
        there.config.write_text(text.replace(proxy[0], "HostName 10.9.0.1\n  Port 2222"))
        known = tmp_path / "known"
        known.write_text(known.read_text().replace("box ", "[10.9.0.1]:2222 "))
        yield enter[0]


def test_a_run_whose_device_goes_down_is_tried_again(
    wire: list[str], there: There, tmp_path: Path
) -> None:
    build = fake_build(tmp_path / "build", boot="once hang")

    def cut(there: There) -> None:
        (master,) = masters(there.config)
        subprocess.run([*wire, "ip", "link", "set", "near", "down"], check=True)
        assert waited(lambda: master not in masters(there.config))
        time.sleep(1)
        subprocess.run([*wire, "ip", "link", "set", "near", "up"], check=True)

    words = command("run", build, there)[1:]
    before = [*wire, sys.executable, "-c", QUICK]
    status, said = run_and_lose(words, there, cut, before=before)
    assert (status, there.runs()) == (0, 2), said
    assert "on another one: passed" in said
    assert there.gone(), "the sshd there does not even know that the connection is lost"
