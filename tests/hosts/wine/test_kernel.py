# SPDX-License-Identifier: GPL-2.0-only
"""The bundled kernel itself in Windows programs (setup/windows), all suites of it under Wine."""

from __future__ import annotations

import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lkltest.host import disk
from lkltest.hosts.wine.host import WineHost
from tests.compiler import ROOT
from tests.hosts.wine.fixtures import lkltest, require_wine

BUILD = ROOT / "build" / "windows-kernel"
DISKS = [f"disk[{filesystem}]" for filesystem in ("ext4", "btrfs", "vfat", "xfs")]


@pytest.fixture(scope="module", autouse=True)
def kernel() -> None:
    require_wine()
    if not (BUILD / "tests" / "boot.exe").exists():
        pytest.skip(f"{BUILD.name} is missing: lkltest setup wine")


@pytest.fixture(scope="module")
def junit(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """The reports of one run of all suites."""
    folder = tmp_path_factory.mktemp("junit")
    done = lkltest("run", "--build", BUILD, "--junit-dir", folder)
    assert done.returncode == 0, done.stdout + done.stderr
    return folder


def points(junit: Path, suite: str) -> dict[str, ElementTree.Element]:
    """The test points of a suite that were not skipped, by name."""
    cases = (
        case for file in junit.glob("*.xml") for case in ElementTree.parse(file).iter("testcase")
    )
    return {
        case.get("name", ""): case
        for case in cases
        if case.get("classname") == f"lkltest.wine.{suite}" and case.find("skipped") is None
    }


def test_the_kernel_starts_serves_threads_and_stops(junit: Path) -> None:
    found = points(junit, "boot")
    assert {"start_kernel", "mutex", "timer", "many_syscall_threads", "stop_kernel"} <= set(found)


@pytest.mark.parametrize("suite", DISKS)
def test_its_file_systems_hold_what_was_written(junit: Path, suite: str) -> None:
    missing = disk.missing_tool(suite[5:-1])
    if missing:
        pytest.skip(str(missing))
    assert {"start_kernel", "fsck"} <= set(points(junit, suite))


def test_its_network_answers_itself(junit: Path) -> None:
    assert "icmp" in points(junit, "net[loopback]")


def test_it_is_the_default() -> None:
    build = WineHost().open_build(None)
    assert build.directory == BUILD and build.kernel_version == (4, 9)


def test_a_disk_that_is_not_there_is_a_failure(tmp_path: Path) -> None:
    image = tmp_path / "none.img"
    done = lkltest("exec", BUILD / "tests" / "disk.exe", "-d", image, "-t", "ext4")
    assert done.returncode == 1, done.stdout + done.stderr
    assert f"{image}: it cannot be opened" in done.stdout
    assert "Linux version 4.9" in done.stdout


def test_a_suites_own_program_is_compiled_for_windows(tmp_path: Path) -> None:
    shutil.copytree(ROOT / "docs" / "examples" / "suite", tmp_path / "my")
    done = lkltest("run", "--build", BUILD, f"{tmp_path}/my/")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "hello[world]@wine        ok" in done.stdout
