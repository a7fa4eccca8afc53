# SPDX-License-Identifier: GPL-2.0-only
"""Targets that QEMU boots: a real second machine runs suites, shared by workers, and goes."""

from __future__ import annotations

import contextlib
import os
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkltest.errors import LaunchError
from lkltest.hosts.remote.host import SshHost
from lkltest.hosts.remote.machine import Machine
from lkltest.hosts.remote.target import find_target
from lkltest.hosts.remote.transport import Ssh
from tests.compiler import ROOT
from tests.hosts.remote.small_machine import PATH, small_machine
from tests.hosts.remote.sshd import ssh_config


@pytest.fixture(scope="module")
def targets(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("machine")
    (folder / "disk").write_bytes(bytes(1 << 20))
    file = small_machine(folder)
    with file.open("a") as more:
        more.write('image = "disk"\n')
    return file


def command(targets: Path, *words: str) -> list[str]:
    options = ["--lkl-ssh-target=qemu:small", f"--lkl-ssh-targets={targets}"]
    return [sys.executable, "-m", "lkltest", "run", *words, "--host", "ssh", *options]


def machines(targets: Path) -> list[int]:
    """The QEMUs of this test's."""
    pattern = f"^qemu-system-.*{targets.parent}/initrd"
    found = subprocess.run(["pgrep", "-f", pattern], capture_output=True, text=True, check=False)
    return [int(word) for word in found.stdout.split()]


def end_of(targets: Path) -> list[int]:
    """The machines that are left after a while."""
    limit = time.monotonic() + 60
    while (left := machines(targets)) and time.monotonic() < limit:
        time.sleep(0.05)
    return left


def test_workers_run_suites_on_one_machine_that_goes(targets: Path) -> None:
    if not (ROOT / "build/tests/boot").exists():
        pytest.skip("the bundled build is missing: make build")
    suites = ["boot", "net[tap]", "net[raw]", "net[macvtap]"]
    runner = subprocess.Popen(
        command(targets, *suites, "-j", "2"), stdout=subprocess.PIPE, text=True
    )
    seen: set[int] = set()
    while runner.poll() is None:
        seen |= set(machines(targets))
        time.sleep(0.1)
    assert runner.stdout is not None
    said = runner.stdout.read()
    with_ethtool = ("ok", "skipped")[shutil.which("ethtool", path=PATH) is None]
    for suite, result in zip(suites, ["ok", "ok", with_ethtool, with_ethtool], strict=True):
        assert f"{suite}@ssh".ljust(25) + result in said
    assert len(seen) == 1
    assert not end_of(targets)
    # Its init has written there.
    assert (targets.parent / "disk").read_bytes() == bytes(1 << 20)


def test_a_user_there_has_a_network_of_its_own(targets: Path) -> None:
    if not (ROOT / "build/tests/boot").exists():
        pytest.skip("the bundled build is missing: make build")
    theirs = targets.with_name("theirs.toml")
    theirs.write_text(targets.read_text().replace('user = "root"', 'user = "tester"'))
    suites = ["net[tap]", "net[macvtap]"]
    done = subprocess.run(command(theirs, *suites), capture_output=True, text=True, check=False)
    assert "net[tap]@ssh             ok" in done.stdout, done.stdout
    reason = "only root there can make the device node of a macvtap"
    missing = "ethtool is missing there"
    assert (missing if shutil.which("ethtool", path=PATH) is None else reason) in done.stdout


def test_nothing_is_left_of_a_runner_that_is_killed(targets: Path) -> None:
    runner = subprocess.Popen(command(targets, "boot"), stdout=subprocess.PIPE)
    limit = time.monotonic() + 60
    while not machines(targets) and time.monotonic() < limit:
        time.sleep(0.05)
    (machine,) = machines(targets)
    environment = Path(f"/proc/{machine}/environ").read_bytes().split(b"\0")
    (folder,) = [Path(os.fsdecode(it[7:])) for it in environment if it.startswith(b"TMPDIR=")]
    assert folder.exists()
    runner.kill()
    runner.communicate()
    assert not end_of(targets)
    limit = time.monotonic() + 60
    while folder.exists() and time.monotonic() < limit:
        time.sleep(0.05)
    assert not folder.exists()


def test_a_machine_without_sshd_is_told_with_its_last_words(targets: Path, tmp_path: Path) -> None:
    text = targets.read_text().replace("panic=-1", "panic=-1 rdinit=/none root=/dev/none")
    broken = tmp_path / "targets.toml"
    folder = targets.parent
    broken.write_text(text.replace('"initrd"', f'"{folder}/initrd"').replace("\nimage", "\n#"))
    broken.write_text(broken.read_text().replace('key = "user"', f'key = "{folder}/user"'))
    host = SshHost({"lkl_ssh_target": "qemu:small", "lkl_ssh_targets": str(broken)})
    with (
        pytest.raises(LaunchError, match=r"machine small: .*Kernel panic") as caught,
        host.session(),
    ):
        pass
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize(
    ("text", "says"),
    [
        ("[targets.a]\nimage = 'none'", "targets.toml:2:9: .*/none: is no file"),
        ("[targets.a]\nimage = 'disk'\ndisk = 'scsi'", "unknown disk 'scsi'"),
        ("[targets.a]\naddress = 'a'", "target a has neither image nor kernel to boot"),
        ("[targets.b]\naddress = 'a'", "unknown target 'a'"),
    ],
)
def test_a_table_that_is_wrong_is_one_line(tmp_path: Path, text: str, says: str) -> None:
    (tmp_path / "disk").touch()
    file = tmp_path / "targets.toml"
    file.write_text(text)
    with pytest.raises(LaunchError, match=says):
        find_target("qemu:a", file)
    with pytest.raises(LaunchError, match="qemu:a: name its file with --lkl-ssh-targets=FILE"):
        find_target("qemu:a", None)


@pytest.mark.parametrize("seed", [True, False])
def test_a_key_that_cloud_init_brings_late_is_waited_for(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, seed: bool
) -> None:
    """The sshd of an image with a seed may answer before its user is there."""
    config = ssh_config(tmp_path)
    for name in ("disk", "seed"):
        (tmp_path / name).touch()
    file = tmp_path / "targets.toml"
    there = f'folder = "{tmp_path}/there"\n'
    file.write_text(
        f'[targets.late]\nimage = "disk"\n{there}' + ('seed = "seed"\n' if seed else "")
    )

    @contextlib.contextmanager
    def booted(*_: object) -> Iterator[Machine]:
        yield Machine(0)

    monkeypatch.setattr("lkltest.hosts.remote.machine.booted", booted)
    monkeypatch.setattr(SshHost, "transport", lambda *_: Ssh("box", config))
    key = (tmp_path / "user.pub").rename(tmp_path / "late")
    host = SshHost({"lkl_ssh_target": "qemu:late", "lkl_ssh_targets": str(file)})
    bring = threading.Timer(2.0, lambda: key.rename(tmp_path / "user.pub"))
    with contextlib.ExitStack() as stack:
        bring.start()
        stack.callback(bring.join)
        if not seed:
            stack.enter_context(pytest.raises(LaunchError, match="Permission denied"))
        stack.enter_context(host.session())
        assert host.properties()["target system"].startswith("Linux ")
