# SPDX-License-Identifier: GPL-2.0-only
"""The adb host: Debian's adb and a device of our own that speaks its protocol."""

from __future__ import annotations

import os
import shutil
import socket
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkltest.errors import LaunchError
from lkltest.host.api import Host, Launch
from lkltest.host.execution import Execution
from lkltest.hosts.remote.host import AdbHost
from lkltest.sandbox.scope import Scope
from lkltest.testing import PROGRAM_SOURCE, HostContract
from lkltest.verdict.results import ProblemKind
from tests.compiler import ROOT, compile_program
from tests.fake_build import environment, fake_build, start
from tests.hosts.remote.adbd import Device

PORT = "ANDROID_ADB_SERVER_PORT"


@pytest.fixture(scope="module")
def device(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Device]:
    """A device that is connected to an adb server of this test's own."""
    if shutil.which("adb") is None:
        pytest.skip("adb is missing: apt-get install adb")
    with socket.create_server(("127.0.0.1", 0)) as free:
        port = str(free.getsockname()[1])
    with pytest.MonkeyPatch.context() as patch, Device() as device:
        patch.setenv(PORT, port)
        patch.setenv("HOME", str(tmp_path_factory.mktemp("home")))  # adb writes keys there
        try:
            connect(device)
            yield device
        finally:
            subprocess.run(["adb", "kill-server"], check=False, capture_output=True)


def connect(device: Device) -> None:
    """Have adb's server know the device; one whose connection has just gone is offline at first."""
    limit = time.monotonic() + 20
    while adb("connect", device.serial) and adb("-s", device.serial, "get-state") != "device":
        assert time.monotonic() < limit, adb("devices")
        adb("disconnect", device.serial)


def adb(*words: str) -> str:
    done = subprocess.run(["adb", *words], capture_output=True, text=True, check=False)
    return done.stdout.strip()


@pytest.fixture(scope="module")
def options(device: Device, tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    folder = tmp_path_factory.mktemp("adb")
    (folder / "targets.toml").write_text(
        f'[targets.phone]\naddress = "{device.serial}"\nfolder = "{folder}/tmp"\n'
    )
    return {
        "lkl_adb_target": "phone",
        "lkl_adb_targets": str(folder / "targets.toml"),
        "there": f"{folder}/tmp",
    }


@pytest.fixture(scope="module")
def connected(options: dict[str, str]) -> Iterator[AdbHost]:
    host = AdbHost(options)
    with host.session():
        yield host


def gone(options: dict[str, str]) -> bool:
    limit = time.monotonic() + 60
    folder = Path(options["there"]) / "runs"
    while list(folder.iterdir()) and time.monotonic() < limit:
        time.sleep(0.05)
    return not list(folder.iterdir())


class TestAdb(HostContract):
    stall_seconds = 4.0

    @pytest.fixture
    def host(self, connected: AdbHost) -> Host:
        return connected

    @pytest.fixture
    def program(self) -> Path:
        return compile_program(PROGRAM_SOURCE)

    @pytest.fixture(autouse=True)
    def nothing_is_left(self, options: dict[str, str]) -> Iterator[None]:
        yield
        assert gone(options)


def test_the_boot_suite_runs(options: dict[str, str]) -> None:
    if not (ROOT / "build/tests/boot").exists():
        pytest.skip("the bundled build is missing: make build")
    words = [f"--lkl-adb-{name}={options[f'lkl_adb_{name}']}" for name in ("target", "targets")]
    done = subprocess.run(
        [sys.executable, "-m", "lkltest", "run", "boot", "disk[ext4]", "--host", "adb", *words],
        env=os.environ,
        capture_output=True,
        text=True,
        check=False,
    )
    assert "boot@adb                 ok" in done.stdout, done.stdout + done.stderr
    assert "disk[ext4]@adb           ok" in done.stdout, done.stdout
    assert gone(options)


def test_a_device_that_is_unplugged_is_an_error(options: dict[str, str], device: Device) -> None:
    host = AdbHost(options)
    with host.session(), Scope() as scope:
        launch = Launch(compile_program(PROGRAM_SOURCE), ("hang",))
        execution = Execution(host, host.launch(launch, scope))
        points = execution.points()
        assert next(points).name == "first"
        device.unplug()
        list(points)
        assert execution.result is not None
        assert ProblemKind.CONNECTION in {problem.kind for problem in execution.result.problems}
    assert gone(options)
    connect(device)


def test_no_device_is_one_line(device: Device) -> None:
    with (
        pytest.raises(LaunchError, match="device 'nobody' not found"),
        AdbHost({"lkl_adb_target": "nobody"}).session(),
    ):
        pass


def test_a_run_whose_device_was_unplugged_is_tried_again(
    options: dict[str, str], device: Device, tmp_path: Path
) -> None:
    counter = tmp_path / "counter"
    targets = tmp_path / "targets.toml"
    text = Path(options["lkl_adb_targets"]).read_text()
    targets.write_text(f'{text}environment = {{ FAKE_ONCE = "{counter}" }}\n')
    program = str(fake_build(tmp_path, boot="once hang") / "tests" / "boot")
    words = ["exec", "--host", "adb", "--lkl-adb-target=phone", f"--lkl-adb-targets={targets}"]
    with start("lkltest", *words, program, env=environment(**os.environ)) as process:
        limit = time.monotonic() + 60
        while not counter.exists() and time.monotonic() < limit:
            time.sleep(0.05)
        time.sleep(0.3)  # what it prints is on its way
        device.unplug()
        time.sleep(1)
        connect(device)
        stdout, stderr = process.communicate(timeout=120)
    assert process.returncode == 0, stdout + stderr
    assert counter.stat().st_size == 2
    assert stderr.count("it is tried again") == 1
    assert gone(options)
