# SPDX-License-Identifier: GPL-2.0-only
"""All suites on a real UML kernel, as a user runs them; what is skipped is listed here."""

from __future__ import annotations

import re
import shutil
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lkltest.host import disk
from lkltest.sandbox import netdev
from tests.fake_build import environment, lkltest

NO_DEVICE = {"net[pipe]": "pipe", "net[raw]": "raw", "net[macvtap]": "macvtap"}
OWN = {"boot", "disk[ext4]", "disk[btrfs]", "disk[vfat]", "disk[xfs]", "net[loopback]", "net[tap]"}


@pytest.fixture(scope="module")
def lines(tmp_path_factory: pytest.TempPathFactory) -> dict[str, str]:
    """The line of each suite in the summary, by its name."""
    if shutil.which("linux.uml") is None:
        pytest.skip("linux.uml is missing: apt-get install user-mode-linux")
    junit = tmp_path_factory.mktemp("junit")
    done = lkltest("run", "--host", "uml", "--junit-dir", str(junit), env=environment())
    assert done.returncode == 0, done.stdout + done.stderr
    for file in Path(junit).glob("*.xml"):
        ElementTree.parse(file)
    found = (re.match(r"(\S+)@uml +(\w.*)", line) for line in done.stdout.splitlines())
    return {match[1]: match[2] for match in found if match}


def test_no_suite_is_missing(lines: dict[str, str]) -> None:
    assert set(lines) >= {*OWN, *NO_DEVICE, "kunit"}


@pytest.mark.parametrize("name", sorted(OWN))
def test_it_passes(lines: dict[str, str], name: str) -> None:
    if name.startswith("disk") and disk.missing_tool(name[5:-1]):
        pytest.skip(str(disk.missing_tool(name[5:-1])))
    if name == "net[tap]" and netdev.missing_network(tap=True):
        pytest.skip(str(netdev.missing_network(tap=True)))
    assert lines[name].startswith("ok"), lines[name]


@pytest.mark.parametrize("name", sorted(NO_DEVICE))
def test_what_it_has_no_device_for_is_a_skip(lines: dict[str, str], name: str) -> None:
    assert lines[name].startswith("skipped")
    assert f"a UML kernel has no {NO_DEVICE[name]} device" in lines[name]


def test_a_kernel_without_kunit_is_a_skip(lines: dict[str, str]) -> None:
    assert lines["kunit"].startswith("skipped") and "CONFIG_KUNIT" in lines["kunit"]
