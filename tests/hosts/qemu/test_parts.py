# SPDX-License-Identifier: GPL-2.0-only
"""The pure parts of the QEMU host: command line, tables of images, signs, verdicts, keys."""

from __future__ import annotations

import gzip
import itertools
import os
import shutil
import struct
import subprocess
from dataclasses import replace
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkltest.errors import BuildError
from lkltest.host.build import NO_KUNIT
from lkltest.hosts.qemu import accel
from lkltest.hosts.qemu.attach import CleanText, Keys
from lkltest.hosts.qemu.boot import Job, lay_out
from lkltest.hosts.qemu.console import banners, find_signature, without_blocks
from lkltest.hosts.qemu.hang import Sample, read_sample, verdict
from lkltest.hosts.qemu.host import unsupported_by_kernel
from lkltest.hosts.qemu.image import Image, KindError, kind_of
from lkltest.hosts.qemu.machine import MACHINES, Boot, Drive, Nic, Setup, command
from lkltest.hosts.qemu.monitor import MonitorEvent
from lkltest.hosts.qemu.serial import SerialLine
from lkltest.hosts.qemu.symbols import Symbols
from lkltest.hosts.qemu.table import image_of_file, read_images
from lkltest.hosts.qemu.verdict import Verdict
from lkltest.verdict.results import ProblemKind
from tests.hosts.l4re import elf
from tests.hosts.qemu.fixtures import player


def test_the_command_line() -> None:
    setup = Setup(
        MACHINES["q35"],
        Boot("kernel", "-serial_esc", "fiasco,moe"),
        "tcg",
        10,
        ["console"],
        drives=[Drive("/a,b", "nvme", "s")],
        nics=[Nic(40, "e1000", "/run/a,b.pcap")],
        debug_exit=True,
    )
    text = " ".join(command(setup))
    assert text.startswith("qemu-system-x86_64 -nodefaults -no-user-config -display none -M q35")
    for part in (
        "-m 512 -accel tcg",
        "-S -no-reboot",
        "-chardev socket,id=qmp,fd=10 -mon chardev=qmp,mode=control",
        "-chardev pipe,id=ser0,path=console -serial chardev:ser0",
        "-drive if=none,id=d0,format=raw,file=/a,,b -device nvme,drive=d0,serial=s",
        "-netdev tap,id=n0,fd=40 -device e1000,netdev=n0",
        "filter-dump,id=p0,netdev=n0,file=/run/a,,b.pcap",
        "-kernel kernel -initrd fiasco,moe -append -serial_esc",
    ):
        assert part in text


def test_what_bootstrap_gets(tmp_path: Path) -> None:
    """A program with its libraries, and a module that is packed as the list says."""
    for name in ("bootstrap", "fiasco", "sigma0", "moe", "l4re", "ned"):
        (tmp_path / name).touch()
    (tmp_path / "vmlinuz").write_bytes(gzip.compress(b"unpacked"))
    (tmp_path / "plain").write_bytes(b"not packed")
    (tmp_path / "x.list").write_text(
        "entry x\nmodule l4re\nmodule ned\nmodule[uncompress] vmlinuz\nmodule[uncompress] plain\n"
    )
    (tmp_path / "bin").mkdir()
    elf.write(tmp_path / "bin" / "program", ["libown.so"], "rom/libld-l4.so")
    elf.write(tmp_path / "bin" / "libown.so", [])
    elf.write(tmp_path / "libld-l4.so", [])
    found = image_of_file(tmp_path / "x.list:x", guest=False)
    assert found is not None
    image = replace(found, program=tmp_path / "bin" / "program")
    folder = tmp_path / "run"
    folder.mkdir()
    boot = lay_out(image, Job(), folder, None)
    names = [words.split()[0] for words in boot.initrd.split(",")]
    added = ["lkltest.cfg", "program", "libld-l4.so", "libown.so"]
    assert names == ["fiasco", "sigma0", "moe", "l4re", "ned", "vmlinuz", "plain", *added]
    assert (folder / "vmlinuz").read_bytes() == b"unpacked"
    assert (folder / "plain").read_bytes() == b"not packed"
    assert all((folder / name).exists() for name in names)


@pytest.mark.parametrize(
    ("table", "message"),
    [
        ("", "1:1: names no image"),
        ("images = 3", "1:10: images must be a table"),
        ("[images.x", "1:10: Expected ']'"),
        ("images.x = 3", "1:12: x must be a table"),
        ("[images.x]\nkernel = 'nothing'", "2:10: DIR/nothing: no such file"),
        ("[images.x]\n", "1:1: needs one of kernel, iso, linux and modules_list"),
        ("[images.x]\nkernel = 'k'\niso = 'k'", "1:1: needs one of"),
        (
            "[images.x]\nkernel = 'k'\ncolour = 'red'",
            "3:1: unknown key 'colour'; there are: append",
        ),
        ("[images.x]\nkernel = 'k'\nmemory = '512'", "3:10: memory must be a whole number"),
        ("[images.x]\nkernel = 'k'\nmemory = 0", "3:10: memory must be a whole number from 1"),
        ("[images.x]\nkernel = 'k'\nmachine = 'q36'", "unknown machine 'q36'; did you mean 'q35'?"),
        ("disk = 'floppy'\n[images.x]\nkernel = 'k'", "1:8: unknown disk 'floppy'; there are: "),
        ("[images.x]\nkernel = 'k'\nmodules = ['absent']", "3:11: absent: not found in"),
        ("[images.x]\nkernel = 'k'\nextra = ['-s', 3]", "3:16: extra must hold strings"),
        (
            "[images.x]\nkernel = 'k'\n[images.x.deadlines]\nboot = 3",
            "4:1: unknown deadline 'boot'",
        ),
        ("[images.x]\nmodules_list = 'm'\nentry = 'e'", "2:16: DIR/m: has no entry 'e'"),
        ("deadlines = 3\n[images.x]\nkernel = 'k'", "1:13: deadlines must be a table"),
        ("colour = 1\n[images.x]\nkernel = 'k'", "1:1: unknown key 'colour'"),
        ("[images.x]\nkernel = 'k'\ndrain = nan", "3:9: drain: nan is no number of seconds"),
        ("[images.x]\nkernel = 'k'\n[images.x.deadlines]\nplan = -1", "4:8: plan: -1 is no"),
        ("[images.x]\nkernel = 'k'\n[images.x.deadlines]\nplan = inf", "4:8: plan: inf is"),
        (
            "machine = 'arm64'\n[images.x]\nkernel = 'k'",
            "3:10: DIR/k: is for x86_64; machine arm64",
        ),
        ("[images.x]\nkernel = 'm'\nmachine = 'q35'", "2:10: DIR/m: is an empty file: no image"),
        ("[images.x]\nkernel = 'cd'", "2:10: kernel: "),
        ("[images.x]\niso = 'k'", "2:7: iso: DIR/k: is no CD"),
        (
            "machine = 'q35'\n[images.x]\nlinux = 'arm'",
            "3:9: DIR/arm: is for aarch64; machine q35 boots x86_64",
        ),
    ],
)
def test_a_bad_table_is_one_line(tmp_path: Path, table: str, message: str) -> None:
    shutil.copy(player(), tmp_path / "k")
    (tmp_path / "m").touch()
    (tmp_path / "cd").write_bytes(b"\0" * 0x8001 + b"CD001")
    (tmp_path / "arm").write_bytes(b"ARMd".rjust(0x3C, b"\0"))
    (tmp_path / "images.toml").write_text(table)
    with pytest.raises(BuildError) as caught:
        read_images(tmp_path)
    told = str(caught.value).replace(f"{tmp_path}/", "DIR/")
    assert told.startswith("DIR/images.toml:")
    assert message in told
    assert "\n" not in told


@pytest.mark.parametrize("machine", [62, 3])
def test_a_program_is_no_image(tmp_path: Path, machine: int) -> None:
    program = bytearray(Path("/bin/true").read_bytes())
    program[18:20] = struct.pack("<H", machine)
    (tmp_path / "boot.elf").write_bytes(program)
    with pytest.raises(BuildError, match=r"boot\.elf: is no image: it has neither a Multiboot"):
        read_images(tmp_path)


def test_a_directory_of_images(tmp_path: Path) -> None:
    with pytest.raises(
        BuildError, match=r"found no images.toml, no vmlinuz, no \*.elf and no \*.iso"
    ):
        read_images(tmp_path)
    shutil.copy(player(), tmp_path / "boot.elf")
    images = read_images(tmp_path)
    assert images["boot"].kernel == tmp_path / "boot.elf"
    with pytest.raises(BuildError, match="no such directory"):
        read_images(tmp_path / "absent")


def test_the_table_has_defaults_for_all(tmp_path: Path) -> None:
    shutil.copy(player(), tmp_path / "k")
    (tmp_path / "images.toml").write_text(
        "memory = 300\n[deadlines]\nplan = 5\n[images.a]\nkernel = 'k'\n"
        "[images.b]\nkernel = 'k'\nmemory = 400\n[images.b.deadlines]\ntotal = 9\n"
    )
    images = read_images(tmp_path)
    assert (images["a"].memory, dict(images["a"].deadlines)) == (300, {"plan": 5})
    assert (images["b"].memory, dict(images["b"].deadlines)) == (400, {"plan": 5, "total": 9})


def test_kinds_of_files(tmp_path: Path) -> None:
    assert kind_of(player()).name == "multiboot"
    cd = tmp_path / "cd"
    cd.write_bytes(b"\0" * 0x8001 + b"CD001")
    assert kind_of(cd).name == "iso"
    linux = tmp_path / "linux"
    linux.write_bytes(b"MZ".ljust(0x202, b"\0") + b"HdrS" + b"\0" * 100)
    assert kind_of(linux).name == "linux"
    vmlinux = tmp_path / "vmlinux"
    vmlinux.write_bytes(Path("/bin/true").read_bytes())
    assert kind_of(vmlinux).name == "elf"
    with vmlinux.open("ab") as file:
        file.write(struct.pack("<III4sQ", 4, 8, 18, b"Xen", 0x1000000))
    assert kind_of(vmlinux).name == "pvh"
    for content in (b"", b"text", b"\x7fELF", b"MZ"):
        (tmp_path / "bad").write_bytes(content)
        with pytest.raises(KindError, match="bad"):
            kind_of(tmp_path / "bad")
    with pytest.raises(KindError, match="is a directory"):
        kind_of(tmp_path)


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("l4re_itas: FATAL: Fatal signal: Segmentation fault (si_signo=11)", ProblemKind.CRASH),
        ("l4re[rm]: unhandled read page fault at 0x8 pc=0x1", ProblemKind.CRASH),
        ("MOE: task 3700 exited with 139", ProblemKind.CRASH),
        ("No such object found: rom/x", ProblemKind.SETUP),
        ("Ned: lua error: x", ProblemKind.SETUP),
        ("[    1.0] Kernel panic - not syncing: x", ProblemKind.PANIC),
        ("MOE: task 3700 exited with 0", None),
        ("ok 3 panics", None),
        ("a test of lua errors", None),
        ("    what: No such object found: rom/x", ProblemKind.SETUP),
        ('# C++ exception "Get dataspace: No such object found: rom/x" thrown', None),
        ("KUT # FATAL exception in MOE", None),
        ("what it said: No such object found", None),
    ],
)
def test_signs(line: str, kind: ProblemKind | None) -> None:
    found = find_signature(f"before\n{line}\nafter\n".encode())
    assert (found[0].kind if found else None) is kind


def test_what_a_point_logs_is_no_signature() -> None:
    log = b"ok 1 a\n ---\n log: |\n  Kernel panic - not syncing: x\n ...\n"
    assert without_blocks(log, False) == (b"ok 1 a\n", False)
    assert without_blocks(log[:20], False) == (b"ok 1 a\n", True)
    assert without_blocks(b"  Kernel panic\nMOE: FATAL\n", True) == (b"MOE: FATAL\n", False)


def test_banners() -> None:
    text = b"L4 Bootstrapper\n[    0.000000] Linux version 6.1\n  [    0.000000] Linux version 6\n"
    assert list(banners(text)) == ["L4Re", "Linux"]


@pytest.mark.parametrize(
    ("with_kvm", "without", "works"),
    [(None, 0.2, False), (0.1, 0.2, True), (0.9, 0.2, False), (0.1, None, True)],
)
def test_kvm_counts_where_it_boots_and_is_no_slower(
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
    with_kvm: float | None,
    without: float | None,
    works: bool,
) -> None:
    boots = []

    def boot(machine: object, accelerator: list[str]) -> float | None:
        boots.append(accelerator)
        return with_kvm if "kvm" in accelerator else without

    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(accel, "_boot_seconds", boot)
    monkeypatch.setattr(accel.os, "access", lambda *_: True)
    machine = MACHINES["q35"]
    assert not accel.kvm_works(machine, probe=False)
    assert accel.kvm_works(machine, probe=True) is works
    tried = len(boots)
    assert accel.kvm_works(machine, probe=False) is works
    assert accel.kvm_works(machine, probe=True) is works
    assert len(boots) == tried, "what was found is remembered"


def test_a_serial_line_holds_what_nobody_reads_yet(tmp_path: Path) -> None:
    """Byte by byte, as QEMU writes it: Linux does not wait for a port that stays full."""
    line = SerialLine(tmp_path, "console")
    guest = os.open(tmp_path / "console.out", os.O_RDWR | os.O_NONBLOCK)
    for number in range(20_000):
        os.write(guest, bytes([number % 251]))
    assert line.receive() == bytes(number % 251 for number in range(20_000))
    assert line.receive() == b"", "nothing, for now"
    line.send(b"x" * 1_000_000)
    line.close()
    line.send(b"nobody is there")
    os.close(guest)


def test_an_accelerator_that_breaks_down_decides() -> None:
    verdict = Verdict()
    assert verdict.needs_status(MonitorEvent("STOP"))
    verdict.stopped("paused")
    assert verdict.decision is None
    verdict.stopped("internal-error")
    assert verdict.problems[0].kind is ProblemKind.GUEST
    assert "internal error" in verdict.problems[0].reason


REGISTERS = "EAX=1\r\nRIP=000000000040{:04x} RFL=1 [-----] CPL={} II=0 A20=1 SMM=0 HLT={}\r\n"


@pytest.mark.parametrize(
    ("places", "level", "halted", "expected"),
    [
        ([5, 5], 0, 1, "idle: "),
        ([5, 7, 9], 3, 0, "spinning at 0x400009 in a program"),
        ([5, 5], 0, 0, "spinning at 0x400005 in the kernel"),
        ([5, 0x700, 9], 3, 0, "busy in a program, last seen at 0x400009"),
    ],
)
def test_verdicts(places: list[int], level: int, halted: int, expected: str) -> None:
    samples = [read_sample(REGISTERS.format(place, level, halted)) for place in places]
    assert verdict([sample for sample in samples if sample]).startswith(expected)


def test_a_verdict_on_little() -> None:
    assert verdict([]) == "no registers could be read"
    mixed = [Sample(1, 0, halted=True), Sample(2, 0, halted=False)]
    assert verdict(mixed) == "mostly idle, last seen at 0x2 in the kernel"


def test_symbols() -> None:
    symbols = Symbols([Path("/etc/passwd"), player()])
    assert symbols.name(0x100000).startswith("_start of player")
    assert symbols.name(0xFFFF_FFFF_8000_0000) == ""


def test_symbols_of_stripped_files(tmp_path: Path) -> None:
    """They are in the file that .gnu_debuglink names; the bytes there tell programs apart."""
    if shutil.which("objcopy") is None:
        pytest.skip("objcopy is missing: apt-get install binutils")
    whole, stripped = tmp_path / ".debug" / "program", tmp_path / "program"
    whole.parent.mkdir()
    shutil.copy(player(), whole)
    subprocess.run(["objcopy", "-S", whole, stripped], check=True, timeout=60)
    assert Symbols([stripped]).name(0x100000) == ""
    subprocess.run(["objcopy", f"--add-gnu-debuglink={whole}", stripped], check=True, timeout=60)
    assert Symbols([stripped]).name(0x100000).startswith("_start of program")
    content = tmp_path / "content"
    subprocess.run(["objcopy", "-O", "binary", stripped, content], check=True, timeout=60)
    code = content.read_bytes()[:8]
    symbols = Symbols([Path("/bin/true"), stripped], {"other": Path("/bin/true")})
    assert symbols.of("", 0x100000, code).name(0x100000).startswith("_start of program")
    assert symbols.of("other").name(0x100000) == ""


@given(st.binary(max_size=300))
def test_symbols_of_damaged_files_are_none(data: bytes) -> None:
    import tempfile

    with tempfile.NamedTemporaryFile() as file:
        file.write(b"\x7fELF" + data)
        file.flush()
        assert isinstance(Symbols([Path(file.name)]).name(0), str)


def test_keys() -> None:
    keys = Keys()
    assert keys.feed(b"ab\x01") == b"ab"
    assert not keys.end
    assert keys.feed(b"\x01\x01a") == b"\x01\x01"
    assert keys.feed(b"\x01h") == b"" and keys.help
    assert keys.feed(b"c\x01xd") == b"c" and keys.end


@given(st.lists(st.integers(0, 60), max_size=20))
def test_clean_text_in_any_portions(cuts: list[int]) -> None:
    data = b"a\x1b[32mlkl     | ok\x1b[0m\r\nb\x1b]0;t\x07c\x07\x1b[Kjdb: "
    clean = CleanText()
    shown = b""
    places = [0, *sorted(min(cut, len(data)) for cut in cuts), len(data)]
    for start, end in itertools.pairwise(places):
        shown += clean.feed(data[start:end])
    assert shown == b"alkl     | ok\nbcjdb: "


def test_a_linux_kernel_without_kunit_is_a_skip_without_a_boot(tmp_path: Path) -> None:
    image = Image("boot", linux=tmp_path / "vmlinuz", module_directory=tmp_path)
    assert unsupported_by_kernel(image, "kunit", "") is None  # nothing is known of it
    builtin = tmp_path / "modules.builtin"
    builtin.write_text("kernel/fs/ext4/ext4.ko\n")
    assert unsupported_by_kernel(image, "kunit", "") == NO_KUNIT
    builtin.write_text("kernel/lib/kunit/kunit.ko\n")
    assert unsupported_by_kernel(image, "kunit", "") is None
