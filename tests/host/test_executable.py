# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.host.executable: what a program file is, and one line for everything that is none."""

import os
import platform
import struct
import sys
from collections.abc import Callable
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkltest.errors import ExecutableError
from lkltest.host.executable import ELF_MACHINES, PE_MACHINES, identify, machine_is_native
from lkltest.testing import PROGRAM_SOURCE
from tests.compiler import compile_program

Write = Callable[[bytes], Path]
EXECUTABLE, SHARED, RELOCATABLE, CORE = 2, 3, 1, 4


def elf(
    kind: int = EXECUTABLE, machine: int = 62, bits: int = 64, order: str = "<", entry: int = 0x1000
) -> bytes:
    """The first bytes of an ELF file, by elf(5)."""
    ident = b"\x7fELF" + bytes([bits // 32, 1 if order == "<" else 2, 1]) + bytes(9)
    start = struct.pack(f"{order}HHI{'Q' if bits == 64 else 'I'}", kind, machine, 1, entry)
    return ident + start + bytes(64 - 16 - len(start))


def pe(machine: int = 0x8664, magic: int = 0x20B, subsystem: int = 3, flags: int = 2) -> bytes:
    """The headers of a PE file, by Microsoft's "PE Format"."""
    dos = b"MZ" + bytes(58) + struct.pack("<I", 128) + bytes(64)
    coff = b"PE\0\0" + struct.pack("<HHIIIHH", machine, 1, 0, 0, 0, 240, flags)
    optional = struct.pack("<H", magic) + bytes(66) + struct.pack("<H", subsystem) + bytes(170)
    return dos + coff + optional


@pytest.fixture
def write(tmp_path: Path) -> Write:
    def write_program(content: bytes) -> Path:
        path = tmp_path / "program"
        path.write_bytes(content)
        return path

    return write_program


def test_a_compiled_program_is_elf_for_this_machine() -> None:
    found = identify(compile_program(PROGRAM_SOURCE))
    assert (found.format, found.machine) == ("ELF", platform.machine())
    assert found.bits == (64 if sys.maxsize > 2**32 else 32)
    assert machine_is_native(found.machine)


def test_a_windows_program_is_pe() -> None:
    program = compile_program(PROGRAM_SOURCE, compiler="x86_64-w64-mingw32-gcc", suffix=".exe")
    assert str(identify(program)) == "PE 64 bit for x86_64 (console)"


@pytest.mark.parametrize(("number", "name"), ELF_MACHINES.items())
@pytest.mark.parametrize("order", ["<", ">"])
def test_elf_machines_are_named(write: Write, number: int, name: str, order: str) -> None:
    assert identify(write(elf(machine=number, order=order))).machine == name


@pytest.mark.parametrize(("number", "name"), PE_MACHINES.items())
def test_pe_machines_are_named(write: Write, number: int, name: str) -> None:
    assert identify(write(pe(machine=number))).machine == name


def test_unknown_machines_are_numbers(write: Write) -> None:
    assert identify(write(elf(machine=9999))).machine == "machine 9999"
    assert identify(write(pe(machine=0x9999))).machine == "machine 0x9999"


def test_bits_and_subsystem(write: Write) -> None:
    assert identify(write(elf(bits=32))).bits == 32
    found = identify(write(pe(magic=0x10B, machine=0x14C, subsystem=2)))
    assert (found.bits, found.subsystem) == (32, "windows")


def test_a_position_independent_program_is_a_program(write: Write) -> None:
    assert identify(write(elf(kind=SHARED))).format == "ELF"


def test_a_script_is_a_program_of_this_machine(write: Write) -> None:
    found = identify(write(b"#!/bin/sh\nexit 0\n"))
    assert (found.format, found.machine, str(found)) == ("script", platform.machine(), "a script")


@pytest.mark.parametrize(
    ("content", "what"),
    [
        (b"", "an empty file"),
        (b"hello\n", "a text file"),
        ("Grüße\n".encode(), "a text file"),
        (b"\0\1\2\3", "data of an unknown format"),
        (b"\x7fELF", "a truncated ELF file"),
        (elf()[:19], "a truncated ELF file"),
        (elf(kind=RELOCATABLE), "an ELF object file"),
        (elf(kind=CORE), "a core dump"),
        (elf(kind=SHARED, entry=0), "an ELF shared library"),
        (elf(kind=SHARED, entry=0, bits=32, order=">"), "an ELF shared library"),
        (b"MZ", "a truncated PE file"),
        (pe()[:130], "a DOS program or a truncated PE file"),
        (pe().replace(b"PE\0\0", b"NE\0\0"), "a DOS program"),
        (pe(flags=0x2002), "a DLL"),
    ],
)
def test_what_is_no_program_is_told_in_one_line(write: Write, content: bytes, what: str) -> None:
    path = write(content)
    with pytest.raises(ExecutableError) as caught:
        identify(path)
    assert str(caught.value).startswith(f"{path}: is {what}")
    assert "\n" not in str(caught.value)


def test_what_would_block_is_not_opened(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "pipe")
    with pytest.raises(ExecutableError, match="pipe: is a named pipe, not a program"):
        identify(tmp_path / "pipe")
    with pytest.raises(ExecutableError, match="null: is a device, not a program"):
        identify(Path(os.devnull))


def test_a_directory_and_a_missing_file(tmp_path: Path) -> None:
    with pytest.raises(ExecutableError, match="is a directory, not a program"):
        identify(tmp_path)
    with pytest.raises(ExecutableError, match="nothing: no such file"):
        identify(tmp_path / "nothing")
    (tmp_path / "dangling").symlink_to(tmp_path / "nothing")
    with pytest.raises(ExecutableError, match="dangling: no such file"):
        identify(tmp_path / "dangling")
    (tmp_path / "loop").symlink_to(tmp_path / "loop")
    with pytest.raises(ExecutableError, match="loop: cannot be read"):
        identify(tmp_path / "loop")


@given(st.one_of(st.binary(max_size=600), st.builds(
    lambda start, rest: start + rest,
    st.sampled_from([b"\x7fELF", b"MZ", elf()[:18], pe()[:64], pe()[:140]]),
    st.binary(max_size=600),
)))  # fmt: skip
def test_any_bytes_are_a_program_or_one_line(
    tmp_path_factory: pytest.TempPathFactory, content: bytes
) -> None:
    path = tmp_path_factory.getbasetemp() / "any"
    path.write_bytes(content)
    try:
        assert identify(path).format in ("ELF", "PE")
    except ExecutableError as error:
        assert "\n" not in str(error)


def test_32_bit_programs_run_on_64_bit_x86(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(platform, "machine", lambda: "x86_64")
    assert machine_is_native("x86_64")
    assert machine_is_native("i386")
    assert not machine_is_native("aarch64")
    monkeypatch.setattr(platform, "machine", lambda: "aarch64")
    assert not machine_is_native("i386")
