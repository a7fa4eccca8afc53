# SPDX-License-Identifier: GPL-2.0-only
"""The names of a stripped program that has a kernel in it, as upstream links it (-s)."""

from __future__ import annotations

import shutil
import subprocess
from pathlib import Path

import pytest

from lkltest.hosts.wine.pe import SymbolTable
from lkltest.hosts.wine.symbols import Line, lines_of, names_of

MINGW = "x86_64-w64-mingw32"
KERNEL = """
int vfs_write(int x) { return x * 3; }
int sys_write(int x) { return vfs_write(x) + 1; }
int __attribute__((weak)) arch_hook(int x) { return x + 1; }
int lkl_syscall(int x) { return sys_write(x) + arch_hook(x); }
asm(".p2align 4\\n.globl __init_begin\\n__init_begin:");
"""
HOST = """
int lkl_syscall(int);
static int sem_down(int x) { return x * 2; }
int lkl_bug(int x) { return sem_down(x) + 1; }
static int panic(int x) { return x - 1; }
int main(int argc, char **argv) { return lkl_bug(argc) + panic(argc) + lkl_syscall(argc); }
"""


@pytest.fixture
def places(tmp_path: Path) -> dict[str, int]:
    """Where functions of test.exe are; beside it are test.map and its kernel's System.map."""
    if shutil.which(f"{MINGW}-gcc") is None:
        pytest.skip(f"{MINGW}-gcc is missing: apt-get install gcc-mingw-w64-x86-64")

    def tool(name: str, *words: str) -> str:
        done = subprocess.run(
            [f"{MINGW}-{name}", *words], cwd=tmp_path, check=True, capture_output=True, text=True
        )
        return done.stdout

    flags = ("-O1", "-fno-inline", "-fno-ipa-cp", "-fno-toplevel-reorder", "-mcmodel=small", "-c")
    for name, source in (("kernel", KERNEL), ("host", HOST)):
        (tmp_path / f"{name}.c").write_text(source, encoding="ascii")
        tool("gcc", *flags, f"{name}.c")
    tool("objcopy", "-G", "lkl_syscall", "kernel.o")
    system_map = tool("nm", "-n", "kernel.o")
    assert " t .text\n" in system_map and " __init_begin\n" in system_map
    (tmp_path / "System.map").write_text(system_map, encoding="ascii")
    base = "-Wl,--image-base,0x10000000"
    words = (base, "-Wl,--export-all-symbols", "-Wl,-Map=test.map", "kernel.o", "host.o")
    tool("gcc", *words, "-o", "test.exe")
    table = (line.split() for line in tool("nm", "test.exe").splitlines())
    found = {words[2]: int(words[0], 16) - 0x10000000 for words in table if len(words) == 3}
    tool("strip", "test.exe")
    return found


def called(table: SymbolTable, place: int) -> str | None:
    found = table.find(place + 1)
    return found[0] if found else None


def test_a_function_without_a_name_is_not_the_one_before(
    places: dict[str, int], tmp_path: Path
) -> None:
    (tmp_path / "test.map").unlink()
    (tmp_path / "System.map").unlink()
    names = names_of(tmp_path / "test.exe")
    assert names.sources == ()
    wanted = {"lkl_syscall": "lkl_syscall", "lkl_bug": "lkl_bug", "panic": None, "vfs_write": None}
    assert {name: called(names.table, places[name]) for name in wanted} == wanted


def test_a_system_map_names_the_kernel_and_no_more(places: dict[str, int], tmp_path: Path) -> None:
    (tmp_path / "test.map").unlink()
    names = names_of(tmp_path / "test.exe")
    assert names.sources == (tmp_path / "System.map",)
    own = ("vfs_write", "sys_write", "lkl_syscall", "lkl_bug", "main")
    assert [called(names.table, places[name]) for name in own] == list(own)
    assert called(names.table, places[".weak.arch_hook.vfs_write"]) == "arch_hook"
    assert called(names.table, places["panic"]) is None
    assert called(names.table, places["sem_down"]) is None, "__init_begin is at its place"


def test_a_map_and_a_system_map_tell_more_than_one(places: dict[str, int], tmp_path: Path) -> None:
    names = names_of(tmp_path / "test.exe")
    assert names.sources == (tmp_path / "test.map", tmp_path / "System.map")
    assert called(names.table, places["vfs_write"]) == "vfs_write"
    assert called(names.table, places["panic"]) == "[host.o]"


def test_lines_are_told_from_the_folder_of_the_tree_on(tmp_path: Path) -> None:
    if shutil.which(f"{MINGW}-gcc") is None:
        pytest.skip(f"{MINGW}-gcc is missing: apt-get install gcc-mingw-w64-x86-64")
    inlined = (
        "static inline __attribute__((always_inline)) int g(int x)\n{ return *(int *)(long)x; }\n"
    )
    files = (
        ("fs/namei", f"{inlined}int f(int x)\n{{ return g(x); }}\n"),
        ("main", "int f(int);\nint main() { return f(0); }\n"),
    )
    for name, source in files:
        (tmp_path / name).with_suffix(".c").parent.mkdir(exist_ok=True)
        (tmp_path / name).with_suffix(".c").write_text(source, encoding="ascii")
    made = tmp_path / "test.exe"
    sources = [tmp_path / f"{name}.c" for name, _ in files]
    subprocess.run([f"{MINGW}-gcc", "-g", "-O1", "-o", made, *sources], check=True)
    symbols = names_of(made).table
    places = dict(zip(symbols.names, symbols.addresses, strict=True))
    asked = [0x140000000 + places["f"] + 2, 0x140000000 + places["main"]]
    found = lines_of(made, asked)
    assert found[asked[0]] == (Line("g", "fs/namei.c:2"), Line("f", "fs/namei.c:4"))
    assert found[asked[1]] == (Line("main", "main.c:2"),)
