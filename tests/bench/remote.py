# SPDX-License-Identifier: GPL-2.0-only
"""The cost of lkltest over programs run by ssh(1) by hand, on a connection that is there."""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from lkltest.deadline import Deadlines
from lkltest.host.api import Launch
from lkltest.host.disk import disk_image
from lkltest.host.execution import Execution
from lkltest.hosts.remote.agent import BLOCK
from lkltest.hosts.remote.host import SshHost
from lkltest.hosts.remote.posix import find_extents
from lkltest.sandbox.scope import Scope
from tests.bench.measure import in_turns, table, timed
from tests.compiler import ROOT
from tests.hosts.remote.sshd import ssh_config

ROUNDS = 7
_BIN = Path(sys.executable).parent


def boot() -> None:
    """The boot suite, warm: the whole command, and a run in a session, against `ssh -S` by hand."""
    program = ROOT / "build" / "tests" / "boot"
    with _target() as (options, master, _), tempfile.TemporaryDirectory() as directory:
        empty = Path(directory) / "test_empty.py"
        empty.write_text("def test_empty():\n    pass\n")
        host = SshHost(options)
        launch = Launch(program, (), {}, Deadlines())
        by_hand = ["ssh", "-S", str(master), "-T", "box", str(program)]
        words = [f"--lkl-ssh-{name}={options[f'lkl_ssh_{name}']}" for name in _OPTIONS]
        first, floor, command = in_turns(
            {
                "ssh -S by hand": by_hand,
                "pytest on an empty test": [
                    *(str(_BIN / "pytest"), "-q", "--disable-plugin-autoload"),
                    *("-p", "no:cacheprovider"),
                    *("-c", "/dev/null", "--rootdir", directory, str(empty)),
                ],
                "lkltest run boot --host ssh": [
                    *(str(_BIN / "lkltest"), "run", "boot", "--host", "ssh", *words)
                ],
            },
            ROUNDS,
        )
        print(table([first, floor, command], first))
        over = command.wall - first.wall
        print(f"wall time of the whole command over ssh by hand: {over:+.3f} s;")
        print(f"over that and pytest on an empty test: {over - floor.wall:+.3f} s (at most 0.3)")
        ours, theirs = [], []
        with host.session():
            for _ in range(ROUNDS + 1):
                ours.append(timed(lambda: _run(host, launch)).wall)
                theirs.append(
                    timed(lambda: subprocess.run(by_hand, check=True, capture_output=True)).wall
                )
        over = sorted(ours[1:])[ROUNDS // 2] - sorted(theirs[1:])[ROUNDS // 2]
        print(f"a run in a session over ssh by hand: {over:+.3f} s (at most 0.3)")


def disk() -> None:
    """A new ext4 image on its way there and back, beside a plain copy by `ssh cat`."""
    with _target() as (options, master, there), Scope() as scope:
        host = SshHost(options)
        with disk_image("ext4", scope, None) as image, host.session():
            agent = host._connected()
            size = os.fstat(image.descriptor).st_size
            run = agent.name_run(60)
            (there / "runs" / run).mkdir(parents=True)
            up = timed(lambda: agent.put_image(run, "disk0", image)).wall
            down = timed(lambda: agent.fetch_image(run, "disk0", image)).wall
            plain = ["ssh", "-S", str(master), "box", f"cat >{there}/plain"]
            with image.path.open("rb") as file:
                copied = timed(lambda: subprocess.run(plain, stdin=file, check=True)).wall
            data = sum(count for _, count in find_extents(image.descriptor, size)) * BLOCK
            agent.end(run)
        megabytes = size / 1e6
        print(f"{megabytes:.0f} MB, {data / 1e6:.1f} of them no holes: there in {up:.2f} s")
        print(f"({megabytes / up:.0f} MB/s), back in {down:.2f} s; ssh cat there: {copied:.2f} s")


_OPTIONS = ("target", "targets", "config")


@contextlib.contextmanager
def _target() -> Iterator[tuple[dict[str, str], Path, Path]]:
    """The options for a target, a connection to it by hand, its folder."""
    with tempfile.TemporaryDirectory(prefix="lkltest-bench-") as name:
        folder = Path(name)
        there = folder / "there"
        targets = folder / "targets.toml"
        targets.write_text(f'[targets.near]\naddress = "box"\nfolder = "{there}"\n')
        config = ssh_config(folder)
        socket = folder / "by-hand"
        master = subprocess.Popen(
            [
                "ssh",
                "-F",
                config,
                "-o",
                "LogLevel=ERROR",
                "-o",
                "ControlMaster=yes",
                "-S",
                socket,
                "-N",
                "box",
            ]
        )
        while not socket.exists() and master.poll() is None:
            time.sleep(0.01)
        options = {"target": "near", "targets": str(targets), "config": str(config)}
        try:
            yield {f"lkl_ssh_{key}": value for key, value in options.items()}, socket, there
        finally:
            master.terminate()
            master.wait()


def _run(host: SshHost, launch: Launch) -> None:
    with Scope() as scope:
        process = host.launch(launch, scope)
        try:
            assert Execution(host, process).run().passed
        finally:
            process.close()
