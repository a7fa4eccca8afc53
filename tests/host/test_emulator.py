# SPDX-License-Identifier: GPL-2.0-only
"""Programs for other processors: a whole one for aarch64, made here of eight instructions."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from lkltest.errors import LaunchError
from lkltest.host.emulator import emulator_of
from tests.compiler import compile_program
from tests.fake_build import lkltest

SAY = Path(__file__).parents[1] / "programs" / "say.c"
TEXT = b"1..1 # foreign\n* 1 runs\nok 1 runs\n"
AT = 0x400000
COMPILER = "aarch64-linux-gnu-gcc"
needs_all = pytest.mark.skipif(
    not all(map(shutil.which, ("gdb-multiarch", "qemu-aarch64", COMPILER))),
    reason=f"gdb-multiarch, qemu-aarch64 or {COMPILER} is missing",
)


def emulated(source: Path, program: Path) -> Path:
    """A C program for aarch64, with what a debugger wants."""
    words = [COMPILER, "-g", "-static", source, "-o", program]
    subprocess.run(words, check=True)
    return program


def aarch64_program(file: Path) -> Path:
    """An ELF file that writes TEXT to standard output and exits with 0."""

    def mov(register: int, value: int) -> int:
        return 0xD2800000 | value << 5 | register

    code = [mov(0, 1), 0x10000001 | 28 << 3, mov(2, len(TEXT)), mov(8, 64), 0xD4000001]  # write
    code += [mov(0, 0), mov(8, 93), 0xD4000001]  # exit
    body = struct.pack("<8I", *code) + TEXT
    start = 64 + 56
    ident = b"\x7fELF\x02\x01\x01".ljust(16, b"\0")
    header = struct.pack("<HHIQQQIHHHHHH", 2, 183, 1, AT + start, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    size = start + len(body)
    segment = struct.pack("<IIQQQQQQ", 1, 5, 0, AT, AT, size, size, 0x1000)
    file.write_bytes(ident + header + segment + body)
    file.chmod(0o755)
    return file


def test_a_build_for_aarch64_is_run(tmp_path: Path) -> None:
    if not (shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")):
        pytest.skip("qemu-aarch64 is missing: apt-get install qemu-user")
    (tmp_path / "tests").mkdir()
    aarch64_program(tmp_path / "tests" / "boot")
    done = lkltest("run", "boot", f"--build={tmp_path}")
    assert done.returncode == 0, done.stdout + done.stderr
    assert "boot@native              ok" in done.stdout, "the host is chosen from the programs"


def test_memcheck_would_look_at_the_emulator(tmp_path: Path) -> None:
    if not (shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")):
        pytest.skip("qemu-aarch64 is missing: apt-get install qemu-user")
    program = str(aarch64_program(tmp_path / "boot"))
    for words in (("--valgrind",), ("--valgrind", "--pass-through")):
        done = lkltest("exec", *words, program)
        assert done.returncode == 2
        assert "--valgrind is for programs of this processor" in done.stderr


def test_what_runs_here_needs_none() -> None:
    assert emulator_of(compile_program(SAY)) == ()


def test_the_emulator_that_is_missing_is_named(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    program = aarch64_program(tmp_path / "boot")
    monkeypatch.setenv("PATH", str(tmp_path))
    with pytest.raises(LaunchError, match="qemu-aarch64 is missing: apt-get install qemu-user"):
        emulator_of(program)


def test_a_dynamic_program_gets_its_libraries(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    data = bytearray(compile_program(SAY).read_bytes())
    data[18:20] = (183).to_bytes(2, "little")
    program, emulator = tmp_path / "boot", tmp_path / "qemu-aarch64"
    program.write_bytes(data)
    emulator.write_text("#!/bin/sh\n")
    emulator.chmod(0o755)
    (tmp_path / "aarch64-linux-gnu").mkdir()
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("QEMU_LD_PREFIX", raising=False)
    expected = (str(emulator), "-L", str(tmp_path / "aarch64-linux-gnu"))
    assert emulator_of(program, tmp_path) == expected
    monkeypatch.setenv("QEMU_LD_PREFIX", str(tmp_path))
    assert emulator_of(program, tmp_path) == expected[:1]


def test_missing_libraries_are_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    data = bytearray(compile_program(SAY).read_bytes())
    data[18:20] = (183).to_bytes(2, "little")
    data = data.replace(b"/lib64/ld-linux-x86-64.so.2", b"/lib64/ld-linux-nothing.so1")
    program, emulator = tmp_path / "boot", tmp_path / "qemu-aarch64"
    program.write_bytes(data)
    emulator.write_text("#!/bin/sh\n")
    emulator.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path))
    monkeypatch.delenv("QEMU_LD_PREFIX", raising=False)
    with pytest.raises(LaunchError, match="libraries are missing: apt-get install libc6-arm64-c"):
        emulator_of(program, tmp_path)


def test_what_is_not_emulated_is_a_skip(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    (tmp_path / "liblkl-hijack.so").touch()
    aarch64_program(tmp_path / "tests" / "net-test")
    done = lkltest("run", "net[raw]", "hijack[basic]", f"--build={tmp_path}")
    assert done.stdout.count("skipped") == 3, done.stdout
    assert "packet sockets" in done.stdout
    assert "cannot be preloaded" in done.stdout
