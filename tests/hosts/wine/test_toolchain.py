# SPDX-License-Identifier: GPL-2.0-only
"""The words of doctor for tool chains for Windows and for what they have built."""

from __future__ import annotations

import shutil
import struct
import subprocess
from pathlib import Path

import pytest

from lkltest.host.build import Build, find_programs
from lkltest.hosts.wine.host import WineHost
from lkltest.hosts.wine.pe import PeError, WeakExternal, open_pe
from lkltest.hosts.wine.symbols import names_of
from lkltest.hosts.wine.toolchain import build_remarks, toolchains
from tests.compiler import compile_program
from tests.hosts.wine.fixtures import SOURCES

MINGW = "x86_64-w64-mingw32"


@pytest.fixture
def mingw() -> str:
    if shutil.which(f"{MINGW}-gcc") is None:
        pytest.skip(f"{MINGW}-gcc is missing: apt-get install gcc-mingw-w64-x86-64")
    return MINGW


def objects(folder: Path) -> list[Path]:
    made = []
    for name, other in (("a", "one"), ("b", "two")):
        source = folder / f"{name}.c"
        source.write_text(
            f"int {other}(int x) {{ return x; }}\n"
            f"int __attribute__((weak)) hook_{name}(int x) {{ return x; }}\n"
            f"int use_{name}(int x) {{ return hook_{name}(x); }}\n"
        )
        made.append(folder / f"{name}.o")
        subprocess.run([f"{MINGW}-gcc", "-O1", "-c", "-o", made[-1], source], check=True)
    return made


def test_weak_symbols_that_a_linker_broke_are_found(mingw: str, tmp_path: Path) -> None:
    made = objects(tmp_path)
    for file in made:
        (weak,) = open_pe(file).weak_externals
        assert weak.default.startswith(f".weak.{weak.name}.") and not weak.stale
    (tmp_path / "tests").mkdir()
    (tmp_path / "lib").mkdir()
    linked = tmp_path / "lib" / "lkl.o"
    subprocess.run([f"{mingw}-ld", "-r", "-o", linked, *made], check=True)
    broken = [weak for weak in open_pe(linked).weak_externals if weak.stale]
    remarks = "\n".join(build_remarks(Build(tmp_path, "tools/lkl", {})))
    assert ("lkl.o:" in remarks and "patched ld" in remarks) == bool(broken)
    assert ("mixes up weak symbols" in toolchains()[mingw]) == bool(broken)


def test_a_weak_symbol_needs_its_own_default() -> None:
    assert not WeakExternal("hook", ".weak.hook.one").stale
    assert WeakExternal("hook", ".weak.hooked.one").stale
    assert WeakExternal("hook", "two").stale
    assert WeakExternal("hook", "").stale


def test_a_table_for_unwinding_that_a_linker_mixed_up_is_found(mingw: str, tmp_path: Path) -> None:
    """As ld of binutils 2.40 does with -r: most functions of an LKL overlapped, and it hung."""
    made = objects(tmp_path)
    linked = tmp_path / "r.o"
    subprocess.run([f"{mingw}-ld", "-r", "-o", linked, *made], check=True)
    assert (".pdata" in toolchains()[mingw]) == open_pe(linked).unwinding_sorted
    program = compile_program(SOURCES / "test.c", "-static", compiler=f"{mingw}-gcc", suffix=".exe")
    pe = open_pe(program)
    table = pe.section(".pdata")
    assert table is not None and not pe.unwinding_mixed_up
    data = bytearray(program.read_bytes())
    for at in range(table.offset, table.offset + 12 * len(pe.functions), 24):
        (begin,) = struct.unpack_from("<I", data, at)
        struct.pack_into("<I", data, at + 4, begin + 0x1000)
    (tmp_path / "mixed.exe").write_bytes(data)
    assert open_pe(tmp_path / "mixed.exe").unwinding_mixed_up
    build = Build(tmp_path, "tools/lkl", {"mixed": tmp_path / "mixed.exe"})
    assert ".pdata mixed up (by ld -r)" in "\n".join(build_remarks(build))


def test_a_kernel_without_unwind_tables_is_seen(mingw: str, tmp_path: Path) -> None:
    """The host library has them all the same."""
    words = (f"{mingw}-gcc", "-O1", "-nostdlib", "-e", "start", "-o", tmp_path / "k.exe")
    kernel, host = tmp_path / "kernel.s", tmp_path / "host.c"
    kernel.write_text(".globl big\nbig: .fill 4096, 1, 0x90\n ret\n", encoding="ascii")
    host.write_text("void big(void); int start(void) { big(); return 0; }\n", encoding="ascii")
    subprocess.run([*words, kernel, host], check=True)
    assert open_pe(tmp_path / "k.exe").functions
    build = Build(tmp_path, "tools/lkl", {"k": tmp_path / "k.exe"})
    assert "% of the code: stacks may be wrong" in "\n".join(build_remarks(build))


def test_a_function_is_called_by_its_own_name(mingw: str, tmp_path: Path) -> None:
    """And not by a compiler's name for a weak one, or a label at the same place."""
    source = tmp_path / "weak.c"
    source.write_text(
        "int __attribute__((weak, noinline)) answer(int x) { return x + 1; }\n"
        'asm(".globl before\\nbefore:\\n");\n'
        'char *data_pointer = "";\n'
        "int ask(int x) { return answer(x) * 3; }\n"
        "int main(void) { return ask(2); }\n",
        encoding="ascii",
    )
    made = tmp_path / "weak.exe"
    flags = ("-O1", "-fno-inline", "-fno-toplevel-reorder", "-fno-align-functions")
    subprocess.run([f"{mingw}-gcc", *flags, "-o", made, source], check=True)
    symbols = open_pe(made).symbols
    table = names_of(made).table
    places = {symbol.name: symbol.address for symbol in symbols}
    assert places["ask"] == places["before"]
    for name in ("answer", "ask", "main"):
        assert table.find(places[name] + 1) == (name, 1)
    assert table.find(places["data_pointer"]) is None, "it is no code"


def test_a_tool_chain_says_its_data_model(mingw: str) -> None:
    assert "LLP64" in toolchains()[mingw] and toolchains()[mingw].startswith("gcc ")


def test_a_program_says_how_it_was_built(tmp_path: Path) -> None:
    flags = ("-static", "-Wl,--image-base,0x10000000")
    file = compile_program(SOURCES / "test.c", *flags, compiler=f"{MINGW}-gcc", suffix=".exe")
    (tmp_path / "tests").mkdir()
    boot = Path(shutil.copy(file, tmp_path / "tests" / "boot.exe"))
    disk = Path(shutil.copy(file, tmp_path / "tests" / "disk.exe"))
    subprocess.run([f"{MINGW}-strip", disk], check=True)
    with boot.open("ab") as image:
        image.write(
            b"Linux version 6.1.0+ (me@here) (x86_64-pc-cygwin-gcc (GCC) 12.2.0, GNU ld) #1\0"
        )
    build = Build(tmp_path, "tools/lkl", find_programs(tmp_path))
    first, second = WineHost().remarks(build)
    assert first == (
        "boot.exe: image base 0x10000000, symbols, lines, kernel by x86_64-pc-cygwin-gcc (LP64)"
    )
    assert second.startswith("disk.exe: image base 0x10000000, stripped: ")
    assert second.endswith(", LLP64 (msvcrt.dll)")


def test_the_exe_is_the_program_of_a_windows_build(tmp_path: Path) -> None:
    tests = tmp_path / "tests"
    tests.mkdir()
    shutil.copy("/bin/true", tests / "boot")
    shutil.copy("/bin/true", tests / "boot.exe")
    assert find_programs(tmp_path)["boot"] == tests / "boot"
    (tests / "autoconf.sh").write_text("LKL_HOST_CONFIG_NT=y\n")
    assert find_programs(tmp_path)["boot"] == tests / "boot.exe"
    build = Build(tmp_path, "tools/lkl", find_programs(tmp_path))
    assert "boot beside boot.exe is of another build" in next(build_remarks(build))


@pytest.mark.parametrize("content", [b"", b"MZ", b"MZ" + bytes(200), b"\x64\x86", b"text"])
def test_what_is_no_pe_file_is_refused(tmp_path: Path, content: bytes) -> None:
    file = tmp_path / "file"
    file.write_bytes(content)
    with pytest.raises(PeError):
        open_pe(file)
