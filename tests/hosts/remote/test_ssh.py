# SPDX-License-Identifier: GPL-2.0-only
"""The ssh host, on a real sshd: the contract, disks, and what a connection can do to a run."""

from __future__ import annotations

import contextlib
import os
import pwd
import re
import signal
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkltest.deadline import Deadlines
from lkltest.errors import LaunchError
from lkltest.host.api import Host, Launch
from lkltest.host.disk import Disk
from lkltest.host.execution import Execution
from lkltest.hosts.remote.host import SshHost
from lkltest.hosts.remote.transport import own_configuration
from lkltest.sandbox.scope import Scope
from lkltest.testing import PROGRAM_SOURCE, HostContract
from lkltest.verdict.results import ProblemKind
from tests.compiler import compile_program
from tests.fake_build import lkltest
from tests.hosts.remote.sshd import ssh_config
from tests.nightly.config.matrices import config

PATIENCE = Deadlines(total=120, silence=60, first_byte=60, plan=60)


@pytest.fixture(scope="module")
def options(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("ssh")
    targets = folder / "targets.toml"
    there = folder / "there"
    targets.write_text(f'[targets.near]\naddress = "box"\nfolder = "{there}"\n')
    return {
        "lkl_ssh_target": "near",
        "lkl_ssh_targets": str(targets),
        "lkl_ssh_config": str(ssh_config(folder)),
        "there": str(there),
    }


@pytest.fixture(scope="module")
def connected(options: dict[str, str]) -> Iterator[SshHost]:
    host = SshHost(options)
    with host.session():
        yield host


@pytest.fixture
def program() -> Path:
    return compile_program(PROGRAM_SOURCE)


def runs(options: dict[str, str]) -> list[str]:
    folder = Path(options["there"]) / "runs"
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def gone(options: dict[str, str]) -> bool:
    """Whether everything there has ended; what ends by itself is waited for."""
    limit = time.monotonic() + 60
    while runs(options) and time.monotonic() < limit:
        time.sleep(0.05)
    return not runs(options)


def master_of(command: tuple[str, ...]) -> int:
    """The ssh process that holds the connection which the client `command` uses."""
    socket = command[command.index("-S") + 1]
    pattern = f"^ssh .*ControlMaster=yes .*{socket} "
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=True)
    return int(found.stdout)


class TestSsh(HostContract):
    stall_seconds = 4.0

    @pytest.fixture
    def host(self, connected: SshHost) -> Host:
        return connected

    @pytest.fixture
    def program(self) -> Path:
        return compile_program(PROGRAM_SOURCE)

    @pytest.fixture(autouse=True)
    def nothing_is_left(self, options: dict[str, str]) -> Iterator[None]:
        yield
        assert gone(options)


def test_a_daemon_ends_with_its_run(
    connected: SshHost, options: dict[str, str], program: Path
) -> None:
    with Scope() as scope:
        assert Execution(connected, connected.launch(Launch(program, ("daemon",)), scope)).run()
    assert gone(options)
    found = subprocess.run(
        ["pgrep", "-f", options["there"] + "/store"], check=False, capture_output=True
    )
    assert found.stdout == b""


def test_a_disk_comes_back_as_the_program_left_it(
    connected: SshHost, tmp_path: Path, options: dict[str, str]
) -> None:
    source = tmp_path / "writer.c"
    source.write_text(
        '#include <stdio.h>\nint main(int c, char **v) { FILE *f = fopen(v[1], "r+");'
        ' fseek(f, 5 << 20, SEEK_SET); char b[6] = ""; fread(b, 1, 5, f);'
        " fseek(f, 9 << 20, SEEK_SET); fputs(b, f); fclose(f);"
        ' printf("1..1 # w\\nok 1 copied\\n"); }\n'
    )
    with (tmp_path / "image").open("w+b") as image, Scope() as scope:
        image.truncate(64 << 20)
        os.pwrite(image.fileno(), b"hello", 5 << 20)
        launch = Launch(compile_program(source), (Disk(image.fileno(), "ext4"),), {}, PATIENCE)
        assert Execution(connected, connected.launch(launch, scope)).run().passed
        assert os.pread(image.fileno(), 5, 9 << 20) == b"hello"
        assert os.fstat(image.fileno()).st_size == 64 << 20
        assert os.fstat(image.fileno()).st_blocks * 512 < 8 << 20, "holes stay holes"
    assert gone(options)


def test_a_program_is_copied_once(
    connected: SshHost, options: dict[str, str], program: Path
) -> None:
    store = Path(options["there"]) / "store"
    for _ in range(2):
        with Scope() as scope:
            launch = Launch(program, ("pass",), {}, PATIENCE)
            assert Execution(connected, connected.launch(launch, scope)).run().passed
        (stored,) = [path for path in store.iterdir() if path.read_bytes() == program.read_bytes()]
        first = stored.stat().st_ino
    assert stored.stat().st_ino == first


@pytest.mark.parametrize("victim", ["client", "master"])
def test_a_lost_connection_is_an_error_and_leaves_nothing(
    options: dict[str, str], program: Path, victim: str
) -> None:
    host = SshHost(options)
    with host.session(), Scope() as scope:
        process = host.launch(Launch(program, ("hang",), {}, PATIENCE), scope)
        execution = Execution(host, process)
        points = execution.points()
        assert next(points).name == "first"
        if victim == "client":
            os.kill(process.child.pid, signal.SIGKILL)
        else:
            os.kill(master_of(process.command), signal.SIGKILL)
        list(points)
        assert execution.result is not None
        kinds = {problem.kind for problem in execution.result.problems}
        assert ProblemKind.CONNECTION in kinds
    assert gone(options)


def test_the_next_run_takes_another_connection(options: dict[str, str], program: Path) -> None:
    host = SshHost(options)
    launch = Launch(program, ("pass",), {}, PATIENCE)
    with host.session(), Scope() as scope:
        process = host.launch(launch, scope)
        process.close()
        os.kill(master_of(process.command), signal.SIGKILL)
        assert Execution(host, host.launch(launch, scope)).run().passed


def test_nothing_is_left_of_a_runner_that_is_killed(options: dict[str, str], program: Path) -> None:
    code = (
        "import sys; from pathlib import Path\n"
        "from lkltest.hosts.remote.host import SshHost\n"
        "from lkltest.host.api import Launch\n"
        "from lkltest.host.execution import Execution\n"
        "from lkltest.sandbox.scope import Scope\n"
        f"host = SshHost({options!r})\n"
        "with host.session(), Scope() as scope:\n"
        f"    launch = Launch(Path({str(program)!r}), ('hang',))\n"
        "    for point in Execution(host, host.launch(launch, scope)).points():\n"
        "        print(point.name, flush=True)\n"
    )
    runner = subprocess.Popen([sys.executable, "-c", code], stdout=subprocess.PIPE, text=True)
    assert runner.stdout is not None and runner.stdout.readline() == "first\n"
    assert runs(options)
    runner.kill()
    runner.wait()
    assert gone(options)


@pytest.mark.parametrize(
    ("address", "says"),
    [
        ("nowhere.invalid", "cannot connect to nowhere.invalid: "),
        ("other", "Host key verification"),
    ],
)
def test_no_connection_is_one_line(
    options: dict[str, str], tmp_path: Path, address: str, says: str
) -> None:
    config = tmp_path / "config"
    text = Path(options["lkl_ssh_config"]).read_text()
    config.write_text(text.replace("Host box", "Host other") + "Host *\n  ConnectTimeout 5\n")
    host = SshHost({"lkl_ssh_target": address, "lkl_ssh_config": str(config)})
    with pytest.raises(LaunchError, match=says) as caught, host.session():
        pass
    assert "\n" not in str(caught.value)


def test_a_key_that_is_not_taken_is_one_line(options: dict[str, str], tmp_path: Path) -> None:
    key = Path(options["lkl_ssh_config"]).parent / "host"  # one that nobody has let in
    config = tmp_path / "config"
    text = Path(options["lkl_ssh_config"]).read_text()
    config.write_text(re.sub(r"IdentityFile \S+", f"IdentityFile {key}", text))
    host = SshHost({"lkl_ssh_target": "box", "lkl_ssh_config": str(config)})
    with (
        pytest.raises(LaunchError, match=r"cannot connect to box: .*Permission denied"),
        host.session(),
    ):
        pass


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can mount a small file system")
def test_a_target_without_space_says_so_and_keeps_nothing(tmp_path: Path) -> None:
    there = tmp_path / "there"
    there.mkdir()
    config = ssh_config(tmp_path, orders=[f"mount -t tmpfs -o size=100k none {there}"])
    targets = tmp_path / "targets.toml"
    targets.write_text(f'[targets.full]\naddress = "box"\nfolder = "{there}"\n')
    host = SshHost(
        {
            "lkl_ssh_target": "full",
            "lkl_ssh_targets": str(targets),
            "lkl_ssh_config": str(config),
        }
    )
    big = tmp_path / "big"
    small = Path(compile_program(PROGRAM_SOURCE))
    big.write_bytes(small.read_bytes() + os.urandom(1 << 20))
    with host.session(), Scope() as scope, (tmp_path / "image").open("w+b") as image:
        image.write(os.urandom(1 << 20))
        image.flush()
        disk = Disk(image.fileno(), "ext4")
        for launch in (Launch(big), Launch(small, (disk,)), Launch(big, (disk,))):
            with pytest.raises(LaunchError, match=r"box: .*No space left on device"):
                host.launch(launch, scope)
            assert host._connected().runs() == []
        assert Execution(host, host.launch(Launch(small, ("pass",)), scope)).run().passed


def test_a_users_cell_has_the_users_configuration(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """It is root in a user namespace, and ssh looks for root's."""
    own = tmp_path / "home with space" / ".ssh"
    own.mkdir(parents=True)
    (own / "config").write_text("Host box\nHostName 127.0.0.9\nPort 2222\n")
    for name in ("id_ed25519", "id_ed25519.pub"):
        (own / name).touch()
    entry = pwd.struct_passwd(("me", "x", 1000, 1000, "", str(own.parent), "/bin/sh"))
    monkeypatch.setattr(pwd, "getpwuid", lambda uid: entry)
    uid_map = tmp_path / "uid_map"
    uid_map.write_text("         0          0 4294967295\n")
    assert own_configuration(tmp_path, uid_map) is None
    uid_map.write_text("         0       1000          1\n")
    file = own_configuration(tmp_path, uid_map)
    command = ["ssh", "-F", str(file), "-G", "box"]
    said = subprocess.run(command, capture_output=True, text=True, check=True).stdout.splitlines()
    assert {"user me", "hostname 127.0.0.9", "port 2222"} <= set(said)
    assert f"identityfile {own}/id_ed25519" in said
    assert not [line for line in said if line.startswith("identityfile") and ".pub" in line]


def family(pid: int) -> list[int]:
    """A process and its descendants."""
    children = Path(f"/proc/{pid}/task/{pid}/children").read_text().split()
    return [pid, *(one for child in children for one in family(int(child)))]


def test_a_connection_that_stands_still_is_an_error_of_its_own(
    options: dict[str, str], program: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("lkltest.hosts.remote.transport._ALIVE_SECONDS", 1)
    host = SshHost(options)
    with host.session(), Scope() as scope:
        process = host.launch(Launch(program, ("hang",), {}, PATIENCE), scope)
        execution = Execution(host, process)
        points = execution.points()
        assert next(points).name == "first"
        master = master_of(process.command)
        proxy = subprocess.run(
            ["pgrep", "-P", str(master)], capture_output=True, text=True, check=True
        )
        (server,) = map(int, proxy.stdout.split())
        stopped = family(server)  # a user's server has a child that would answer
        for pid in stopped:
            os.kill(pid, signal.SIGSTOP)
        try:
            list(points)
        finally:
            for pid in stopped:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGCONT)
        assert execution.result is not None
        kinds = {problem.kind for problem in execution.result.problems}
        assert ProblemKind.CONNECTION in kinds and ProblemKind.STALL not in kinds
    assert gone(options)


def test_a_clock_that_is_a_day_ahead_is_told_and_harms_nothing(
    tmp_path: Path, program: Path
) -> None:
    there = tmp_path / "there"
    fake = tmp_path / "bin" / "date"
    fake.parent.mkdir()
    fake.write_text('#!/bin/sh\necho $(($(/bin/date "$@") + 86400))\n')
    fake.chmod(0o755)
    config = ssh_config(tmp_path, settings=[f"SetEnv PATH={fake.parent}:/usr/bin:/bin"])
    targets = tmp_path / "targets.toml"
    targets.write_text(f'[targets.ahead]\naddress = "box"\nfolder = "{there}"\n')
    host = SshHost(
        {
            "lkl_ssh_target": "ahead",
            "lkl_ssh_targets": str(targets),
            "lkl_ssh_config": str(config),
        }
    )
    with host.session(), Scope() as scope:
        launch = Launch(program, ("pass",), {}, PATIENCE)
        assert Execution(host, host.launch(launch, scope)).run().passed
        assert abs(int(host.properties()["target clock"].split()[0]) - 86400) < 30
    assert gone({"there": str(there)})


def test_a_program_for_another_machine_is_not_copied(
    connected: SshHost, options: dict[str, str], tmp_path: Path
) -> None:
    foreign = tmp_path / "boot"
    header = bytearray(Path("/bin/true").read_bytes()[:4096])
    header[18:20] = (243).to_bytes(2, "little")
    foreign.write_bytes(header)
    with Scope() as scope, pytest.raises(LaunchError, match="for riscv; box is Linux on"):
        connected.launch(Launch(foreign), scope)
    assert not runs(options)


def test_doctor_tells_what_is_there(options: dict[str, str], program: Path) -> None:
    host = SshHost(options)
    assert "runs left there" not in host.facts()
    with host.session(), Scope() as scope:
        process = host.launch(Launch(program, ("hang",), {}, PATIENCE), scope)
        assert runs(options)[0] in SshHost(options).facts()["runs left there"]
        process.close()
    assert gone(options)


def test_targets_have_names_of_their_own(options: dict[str, str]) -> None:
    from lkltest.host.registry import make_host

    host = make_host("ssh:near", options)
    assert host.name == "ssh:near"
    host.check()
    with pytest.raises(LaunchError, match="unknown target 'naer'; did you mean 'near'"):
        make_host("ssh:naer", options).check()
    with pytest.raises(KeyError):
        make_host("native:near", options)


@pytest.mark.skipif(os.geteuid() != 0, reason="a user's cell is root in a namespace: no sshd there")
def test_a_nights_matrix_takes_targets(options: dict[str, str], tmp_path: Path) -> None:
    targets = tmp_path / "targets.toml"
    there = options["there"]
    targets.write_text(
        f'[targets.near]\naddress = "box"\nfolder = "{there}"\n'
        f'[targets.slow]\naddress = "box"\nfolder = "{there}"\nwrapper = ["nice"]\n'
        'environment = { LKLTEST_CONTRACT = "1" }\n'
    )
    more = '[[override]]\nhost = "ssh:*"\noptions = '
    more += f'["--lkl-ssh-targets={targets}", "--lkl-ssh-config={options["lkl_ssh_config"]}"]\n'
    file = config(tmp_path, more=more)
    text = file.read_text()
    file.write_text(text.replace('["native"]', '["native", "ssh:near", "ssh:slow"]'))
    done = lkltest("nightly", str(file), "-j2")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "3 cells" in done.stdout
    for name in ("native", "ssh:near", "ssh:slow"):
        assert f"boot@{name}#good" in done.stdout, done.stdout
    assert gone(options)
    file.write_text(text.replace('["native"]', '["native:near"]'))
    refused = lkltest("nightly", str(file))
    assert (refused.returncode, "native:near" in refused.stderr) == (2, True)


def connections(log: Path) -> int:
    """How many connections an sshd that a proxy command starts has had."""
    return len(log.read_text().splitlines())


@pytest.fixture
def counted(options: dict[str, str], tmp_path: Path) -> Iterator[tuple[dict[str, str], Path]]:
    """The options for the same target with each connection in a log, and one that is shared."""
    log, socket = tmp_path / "log", tmp_path / "own"
    text = Path(options["lkl_ssh_config"]).read_text()
    proxy = tmp_path / "proxy"
    command = re.search(r"ProxyCommand (.*)", text)
    assert command is not None
    proxy.write_text(f"echo connected >>{log}\nexec {command[1]}\n")
    config = tmp_path / "config"
    config.write_text(text.replace(command[1], f"sh {proxy}") + f"  ControlPath {socket}\n")
    yield {**options, "lkl_ssh_config": str(config)}, log
    subprocess.run(
        ["ssh", "-F", config, "-O", "exit", "box"], check=False, stderr=subprocess.DEVNULL
    )


def test_the_users_own_connection_is_used_and_stays(
    counted: tuple[dict[str, str], Path], program: Path
) -> None:
    options, log = counted
    own = ["ssh", "-F", options["lkl_ssh_config"], "box"]
    subprocess.run([*own[:3], "-M", "-f", "-N", "box"], check=True, stderr=subprocess.DEVNULL)
    host = SshHost(options)
    with host.session(), Scope() as scope:
        launch = Launch(program, ("pass",), {}, PATIENCE)
        assert Execution(host, host.launch(launch, scope)).run().passed
    assert connections(log) == 1
    subprocess.run([*own[:3], "-O", "check", "box"], check=True, capture_output=True)
    assert gone(options)


def test_a_users_connection_that_is_lost_is_replaced_by_ours(
    counted: tuple[dict[str, str], Path], program: Path
) -> None:
    options, log = counted
    config = options["lkl_ssh_config"]
    subprocess.run(["ssh", "-F", config, "-MfN", "box"], check=True, stderr=subprocess.DEVNULL)
    host = SshHost(options)
    launch = Launch(program, ("pass",), {}, PATIENCE)
    with host.session(), Scope() as scope:
        subprocess.run(["ssh", "-F", config, "-O", "exit", "box"], check=True, capture_output=True)
        assert Execution(host, host.launch(launch, scope)).run().passed
    assert connections(log) == 2
    assert gone(options)


def test_a_session_is_one_connection(counted: tuple[dict[str, str], Path], program: Path) -> None:
    options, log = counted
    host = SshHost(options)
    launch = Launch(program, ("pass",), {}, PATIENCE)
    with host.prepared(), host.session():
        for _ in range(2):
            with Scope() as scope:
                assert Execution(host, host.launch(launch, scope)).run().passed
    assert connections(log) == 1
    assert gone(options)


def test_what_is_prepared_ends_where_no_session_follows(
    counted: tuple[dict[str, str], Path],
) -> None:
    options, log = counted
    with SshHost(options).prepared():
        limit = time.monotonic() + 60
        while not log.exists() and time.monotonic() < limit:
            time.sleep(0.02)
    found = subprocess.run(
        ["pgrep", "-f", f"{options['lkl_ssh_config']} .*ControlMaster=yes"],
        capture_output=True,
        check=False,
    )
    assert connections(log) == 1 and found.stdout == b""


def test_words_of_all_bytes_arrive(connected: SshHost, tmp_path: Path) -> None:
    """They go by a shell's script and printf(1)."""
    source = tmp_path / "hex.c"
    source.write_text(
        '#include <stdio.h>\nint main(int c, char **v) { printf("1..1\\n"); for (int i = 1; i < c;'
        ' i++) { printf("word "); for (char *p = v[i]; *p; p++) printf("%02x", *p & 255);'
        ' printf("\\n"); } printf("ok 1 said\\n"); }\n'
    )
    words = [os.fsdecode(bytes(range(1, 256))), "%s%%\\n'\"$HOME`id`", "äöü 漢字", ""]
    console = bytearray()
    with Scope() as scope:
        launch = Launch(compile_program(source), tuple(words), {}, PATIENCE)
        assert Execution(connected, connected.launch(launch, scope), console.extend).run().passed
    said = re.findall(rb"word ([0-9a-f]*)", console)
    assert [bytes.fromhex(line.decode()) for line in said] == [os.fsencode(w) for w in words]


def test_a_wrapper_that_is_not_there_is_one_line(
    options: dict[str, str], program: Path, tmp_path: Path
) -> None:
    targets = tmp_path / "targets.toml"
    text = Path(options["lkl_ssh_targets"]).read_text()
    host = SshHost({**options, "lkl_ssh_targets": str(targets)})
    launch = Launch(program, ("pass",), {}, PATIENCE)
    targets.write_text(f'{text}wrapper = ["no-such-wrapper", "-x"]\n')
    with host.session(), Scope() as scope:
        with pytest.raises(LaunchError, match=r"^box: no-such-wrapper is missing there$"):
            host.launch(launch, scope)
        targets.write_text(f'{text}wrapper = ["nice", "-n", "5"]\n')
        assert Execution(host, host.launch(launch, scope)).run().passed
    assert gone(options)


PAIR = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int c, char **v) {
    char *in = "", *out = "", frame[5] = "";
    int sleeps = 0;
    for (int i = 1; i < c; i++) {
        if (!strcmp(v[i], "--ifname")) { in = strtok(v[i + 1], "|"); out = strtok(NULL, "|"); }
        sleeps |= !strcmp(v[i], "--sleep");
    }
    int from = open(in, O_RDWR), to = open(out, O_RDWR);
    puts("1..1\n* 1 sleep"); fflush(stdout);
    if (sleeps) { while (read(from, frame, 4) == 4) if (write(to, frame, 4) != 4) return 1; }
    if (write(to, "ping", 4) != 4 || read(from, frame, 4) != 4) return 1;
    printf("%s 1 sleep\n", strcmp(frame, "ping") ? "not ok" : "ok");
    return 0;
}
"""
"""Upstream's net-test as far as its two ends are concerned: the sleeping one echoes."""


def test_upstreams_pair_is_joined_where_its_pipes_are(
    options: dict[str, str], tmp_path: Path
) -> None:
    source = tmp_path / "net-test.c"
    source.write_text(PAIR)
    program = tmp_path / "build" / "tests" / "net-test"
    program.parent.mkdir(parents=True)
    subprocess.run(["gcc", "-o", program, source], check=True)
    words = [f"--lkl-ssh-{n}={options[f'lkl_ssh_{n}']}" for n in ("target", "targets", "config")]
    build = f"--build={tmp_path / 'build'}"
    done = lkltest("run", "net[pipe]", "--host=ssh", "--timeout=20", build, *words)
    assert "net[pipe]@ssh            ok" in done.stdout, done.stdout + done.stderr
    assert gone(options)
