# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.host.frame_pointers: code without unwind tables is known, and gdb gets through it."""

import contextlib
import mmap
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkltest.host.frame_pointers import Tables, _mappings, covered_ranges
from lkltest.sandbox.scope import Scope
from tests.compiler import compile_program
from tests.host.test_debugger import SOURCE, needs_gdb, run

KERNEL = ("-O2", "-fno-omit-frame-pointer", "-fno-unwind-tables", "-fno-asynchronous-unwind-tables")


@pytest.fixture
def scope() -> Iterator[Scope]:
    with Scope() as opened:
        yield opened


@pytest.fixture
def kernel(tmp_path: Path) -> Path:
    """A program that is compiled as LKL is: frame pointers, no unwind tables of any kind."""
    program = tmp_path / "kernel"
    shutil.copy(compile_program(SOURCE, "-pthread", *KERNEL), program)
    subprocess.run(["objcopy", "--remove-section=.debug_frame", program], check=True)
    return program


def address_of(program: Path, function: str) -> int:
    output = subprocess.run(["nm", program], check=True, capture_output=True, text=True).stdout
    lines = (line.split() for line in output.splitlines())
    return next(int(line[0], 16) for line in lines if line[-1] == function)


def test_code_without_tables_is_known(kernel: Path) -> None:
    tables = Tables(str(kernel))
    assert tables.lacks(address_of(kernel, "deep"))
    assert not tables.lacks(address_of(kernel, "_start"))  # the C library's, with tables
    assert not tables.lacks(address_of(kernel, "log_buf"))  # no code


def test_code_with_tables_is_left_to_gdb() -> None:
    program = compile_program(SOURCE, "-pthread")
    tables = Tables(str(program))
    assert not tables.lacks(address_of(program, "deep"))
    assert tables.code


def test_debug_frame_is_left_to_gdb() -> None:
    program = compile_program(SOURCE, "-pthread", *KERNEL)
    assert not Tables(str(program)).lacks(address_of(program, "deep"))


@pytest.mark.parametrize("damage", [b"", b"\x00" * 3, b"\xff" * 40, b"\x10\0\0\0\0\0\0\0\x01zR\0"])
def test_a_damaged_section_raises_nothing_unexpected(damage: bytes) -> None:
    with contextlib.suppress(IndexError, ValueError):  # as Tables' users expect
        assert covered_ranges(damage, 0) == []


@needs_gdb
def test_gdb_gets_through(kernel: Path, scope: Scope) -> None:
    _, console = run(scope, "deep", program=kernel)
    outline = console.hang_report.split("\n\n")[0].splitlines()
    assert [line.split()[0] for line in outline] == ["kernel_function", "deep", "main"]


def test_a_file_that_is_mapped_and_gone_stops_nothing(tmp_path: Path) -> None:
    """As the pipe that valgrind shares with its debugger."""
    file = tmp_path / "gone"
    file.write_bytes(bytes(4096))
    with file.open("r+b") as opened, mmap.mmap(opened.fileno(), 4096):
        file.unlink()
        _mappings.cache_clear()
        paths = {path for _, _, path, _ in _mappings(os.getpid())}
    assert any("libc" in path for path in paths)
    assert not any("gone" in path for path in paths), "it is no code"
