# SPDX-License-Identifier: GPL-2.0-only
"""Suites under QEMU: from images and from a Linux kernel, through the lkltest command."""

from __future__ import annotations

import os
import re
import stat
import subprocess
import sys
from pathlib import Path
from xml.etree import ElementTree

import pytest

from lkltest.sandbox.netdev import missing_network
from tests.hosts.l4re import elf
from tests.hosts.qemu.fixtures import (
    GENERIC,
    HALF,
    KERNEL,
    PLAYED,
    STREAMS,
    image,
    lkltest,
    player,
    require_kernel,
    require_qemu,
)
from tests.other_user import COMMAND, other_users_folder

_FAILED = ("failure", "error")
"""Its name in JUnit."""

needs_tap = pytest.mark.skipif(
    missing_network(tap=True) is not None, reason=str(missing_network(tap=True))
)
"""A guest's network is a TAP device of who runs the tests."""


@pytest.fixture
def images(tmp_path: Path) -> Path:
    """A folder of images of which only `boot` has one, which plays a real boot of L4Re."""
    (tmp_path / "console").symlink_to(STREAMS / "l4re" / "ned-pass.raw")
    (tmp_path / "images.toml").write_text(
        f"[images.boot]\nkernel = '{player()}'\nmodules = ['console end=idle']\n"
    )
    return tmp_path


def test_suites_run_from_a_folder_of_images(images: Path) -> None:
    done = lkltest("run", "--host", "qemu", "--build", images, "--junit-dir", images / "junit")
    assert "boot@qemu                ok" in done.stdout
    assert "(images) has no disk" in done.stdout
    assert done.returncode == 0, done.stdout
    assert (images / "junit").is_dir()


def test_a_build_that_is_none_is_one_line(tmp_path: Path) -> None:
    done = lkltest("run", "--host", "qemu", "--build", tmp_path)
    assert done.returncode == 2
    assert "found no images.toml" in done.stderr + done.stdout


def test_a_name_that_is_too_long_is_one_line(tmp_path: Path) -> None:
    done = lkltest("run", "--host", "qemu", "--build", tmp_path / ("x" * 300))
    assert done.returncode == 2
    assert done.stderr.startswith("lkltest: build ") and "File name too long" in done.stderr


def test_words_for_a_linux_kernel_are_its_own(tmp_path: Path) -> None:
    require_kernel()
    kernel = next(KERNEL.glob("vmlinuz*"))
    done = lkltest("exec", "--host", "qemu", "--dry-run", kernel, "root=/dev/vda", "quiet")
    assert done.stdout.rstrip().endswith(" root=/dev/vda quiet'\n)")


def test_a_program_gets_a_script_for_ned(tmp_path: Path) -> None:
    """The player shows the fourth module, which lkltest has written."""
    for name in ("moe", "ned", "program"):
        (tmp_path / name).write_bytes(b"x")
    (tmp_path / "console").write_bytes(b"")
    (tmp_path / "images.toml").write_text(
        f"[images.'*']\nkernel = '{player()}'\n"
        "modules = ['console module=3 end=poweroff', 'moe --x rom/old.cfg', 'ned']\n"
    )
    program = tmp_path / "prog.elf"
    # An ELF file that is nothing to boot: a program for somebody else to start.
    elf.write(program, [])
    table = tmp_path / "images.toml"
    words = ("exec", "--host", "qemu", "--lkl-qemu-images", table)
    done = lkltest(*words, program, "a b", "-c")
    assert 'startv({ log = { "lkltest", "g" } },\n  "rom/prog.elf", "a b", "-c");' in done.stdout
    dry = lkltest("exec", "--host", "qemu", "--dry-run", "--lkl-qemu-images", table, program)
    assert "moe --x rom/lkltest.cfg,ned,lkltest.cfg,prog.elf" in dry.stdout


def test_memory_and_words_of_an_image(tmp_path: Path) -> None:
    name = image(tmp_path, b"", memory=272, extra=["-name", "a machine"], append="-serial_esc")
    done = lkltest("exec", "--host", "qemu", "--dry-run", name)
    assert "-m 272" in done.stdout and "-append -serial_esc" in done.stdout
    assert done.stdout.endswith("-name 'a machine'\n)\n")
    words = ("--lkl-qemu-memory=300", "--lkl-qemu-machine=pc", "--lkl-qemu-cpu=max")
    other = lkltest("exec", "--host", "qemu", *words, "--dry-run", name)
    assert "-M pc -m 300 -accel tcg -cpu max" in other.stdout
    value = lkltest("exec", "--lkl-qemu-machine=q35,usb=off", "--host", "qemu", "--dry-run", name)
    assert "-M q35,usb=off -m 272" in value.stdout
    words = ("--interactive", "--dry-run", "--lkl-qemu-gdb=1234")
    assert "-gdb tcp:127.0.0.1:1234" in lkltest("exec", "--host", "qemu", *words, name).stdout


@pytest.mark.parametrize(
    ("word", "message"),
    [
        ("--lkl-qemu-memory=lots", "--lkl-qemu-memory=lots: is no number of MiB"),
        ("--lkl-qemu-gdb=1234", "--lkl-qemu-gdb is for `lkltest exec --interactive`"),
        ("--lkl-qemu-machine=arm64", "is for aarch64, the image for x86_64"),
    ],
)
def test_options_of_another_machine_are_one_line(tmp_path: Path, word: str, message: str) -> None:
    done = lkltest("exec", "--host", "qemu", word, image(tmp_path, b""))
    assert done.returncode == 2
    assert message in done.stderr and done.stderr.count("\n") == 1


@needs_tap
def test_a_linux_kernel_runs_all_suites(tmp_path: Path) -> None:
    require_kernel()
    kept = tmp_path / "kept"
    done = lkltest(
        *("run", "--host", "qemu", "boot", "disk", "net", "--junit-dir", tmp_path / "junit"),
        *("--lkl-qemu-keep", kept, "--lkl-qemu-pcap"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    ok = {line.split()[0] for line in done.stdout.splitlines() if " ok  " in line}
    assert ok == {
        *("boot@qemu", "net[loopback]@qemu", "net[tap]@qemu"),
        *(f"disk[{name}]@qemu" for name in ("ext4", "btrfs", "vfat", "xfs")),
    }
    (pcap,) = kept.glob("net-test-*.pcap")
    assert pcap.read_bytes()[:4] == b"\xd4\xc3\xb2\xa1"
    assert any(str(pcap) in file.read_text() for file in (tmp_path / "junit").glob("*.xml"))


@needs_tap
@pytest.mark.parametrize(
    ("console", "end"), [(PLAYED.replace(b"ok 2", b"not ok 2"), "idle"), (HALF, "reboot")]
)
def test_a_failure_of_net_names_the_pcap(tmp_path: Path, console: bytes, end: str) -> None:
    """In the log of a point that failed, in the detail of a crash; nothing else is recorded."""
    require_qemu()
    (tmp_path / "console").write_bytes(console)
    lines = [f"kernel = '{player()}'", f"modules = ['console end={end}']"]
    table = ["[images.boot]", *lines, "[images.net-test]", *lines]
    (tmp_path / "images.toml").write_text("\n".join(table))
    kept, junit = tmp_path / "kept", tmp_path / "junit"
    done = lkltest(
        *("run", "--host", "qemu", "--build", tmp_path, "boot", "net[tap]", "--junit-dir", junit),
        *("--lkl-qemu-keep", kept, "--lkl-qemu-pcap"),
    )
    assert done.returncode == 1, done.stdout + done.stderr
    (pcap,) = kept.glob("*.pcap")
    assert pcap.read_bytes()[:4] == b"\xd4\xc3\xb2\xa1"
    boot, _, net = done.stdout.partition("\nnet[tap]@qemu")
    assert f"    network: {pcap}\n" in net
    assert "network: " not in boot, "which had none"
    (report,) = junit.glob("*net*.xml")
    failures = [each for each in ElementTree.parse(report).iter() if each.tag in _FAILED]
    assert any(f"network: {pcap}" in (each.text or "") for each in failures)


@pytest.mark.skipif(os.geteuid() != 0, reason="only root can run as somebody else")
def test_a_user_has_tap_devices_too() -> None:
    require_kernel()
    if not Path("/dev/net/tun").stat().st_mode & stat.S_IWOTH:
        pytest.skip("another user cannot open /dev/net/tun here")
    with other_users_folder(next(KERNEL.glob("vmlinuz*"))) as folder:
        words = [sys.executable, "-m", "lkltest", "run", "--host", "qemu", "net[tap]"]
        done = subprocess.run(
            [*COMMAND, *words, "--build", str(KERNEL)],
            cwd=folder,
            env={**os.environ, "HOME": str(folder), "TMPDIR": str(folder)},
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            timeout=120,
            check=False,
        )
    assert "net[tap]@qemu            ok" in done.stdout, done.stdout + done.stderr


@pytest.mark.parametrize(
    ("device", "line"),
    [
        ('disk = "nvme"', "disk\\[ext4\\]@qemu +ok"),
        ('machine = "pc"\ndisk = "ide"', "disk\\[ext4\\]@qemu +ok"),
        ('nic = "e1000"', "has no e1000"),
        ('disk = "ide"', "has no ahci|disk\\[ext4\\]@qemu +ok"),
    ],
)
def test_other_devices(tmp_path: Path, device: str, line: str) -> None:
    """Debian's cloud kernel has drivers for nvme and PIIX, none for e1000; 13's has AHCI's."""
    require_kernel()
    kernel = next(KERNEL.glob("vmlinuz*"))
    (tmp_path / "images.toml").write_text(f"[images.'*']\nlinux = '{kernel}'\n{device}\n")
    suite = "disk[ext4]" if "disk" in device else "net[tap]"
    done = lkltest("run", "--host", "qemu", "--build", tmp_path, suite)
    assert done.returncode == 0, done.stdout + done.stderr
    assert re.search(line, done.stdout), done.stdout


@needs_tap
def test_devices_of_a_plain_machine(tmp_path: Path) -> None:
    """An AHCI disk is mounted and an e1000 carries the traffic."""
    require_kernel(GENERIC)
    kernel = next(GENERIC.glob("vmlinuz*"))
    (tmp_path / "images.toml").write_text(
        f"disk = 'ide'\nnic = 'e1000'\n[images.'*']\nlinux = '{kernel}'\n"
    )
    done = lkltest(
        *("run", "--host", "qemu", "--build", tmp_path, "disk[ext4]", "net[tap]"),
        *("--junit-dir", tmp_path / "junit"),
    )
    assert done.returncode == 0, done.stdout + done.stderr
    assert "disk[ext4]@qemu          ok" in done.stdout
    assert "net[tap]@qemu            ok" in done.stdout
    (report,) = (tmp_path / "junit").glob("*net*.xml")
    assert "-device e1000,netdev=n0" in report.read_text()
