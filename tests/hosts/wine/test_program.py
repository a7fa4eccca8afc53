# SPDX-License-Identifier: GPL-2.0-only
"""Files that Wine must not be given: one line each, exit 2, nothing launched."""

from __future__ import annotations

import shutil
import struct
from collections.abc import Callable
from pathlib import Path

import pytest

from lkltest.errors import LaunchError, NotInstalled
from lkltest.hosts.wine.host import WineHost
from lkltest.hosts.wine.program import check_program
from tests.hosts.wine.fixtures import lkltest, misbehave, require_wine

PE_OFFSET, MACHINE, FLAGS, SUBSYSTEM = 0x3C, 4, 22, 24 + 68


def patched(offset: int, value: int) -> Callable[[Path], None]:
    """Writes a copy of a real program with one 16 bit field of its PE header changed."""

    def write(target: Path) -> None:
        data = bytearray(misbehave().read_bytes())
        (start,) = struct.unpack_from("<I", data, PE_OFFSET)
        struct.pack_into("<H", data, start + offset, value)
        target.write_bytes(data)

    return write


def cut(size: int) -> Callable[[Path], None]:
    def write(target: Path) -> None:
        target.write_bytes(misbehave().read_bytes()[:size])

    return write


BAD: dict[str, tuple[Callable[[Path], object], str]] = {
    "missing": (lambda target: None, "no such file"),
    "directory": (lambda target: target.mkdir(), "is a directory"),
    "empty": (lambda target: target.touch(), "an empty file"),
    "text": (lambda target: target.write_text("hello\n"), "a text file"),
    "elf": (lambda target: shutil.copy("/bin/true", target), "is ELF 64 bit"),
    "tiny": (cut(30), "truncated PE file (30 bytes)"),
    "half": (cut(3000), "truncated PE file (3000 of"),
    "nearly": (cut(50_000), "truncated PE file (50000 of"),
    "dos": (patched(0, 0), "a DOS program"),
    "arm": (patched(MACHINE, 0xAA64), "for aarch64"),
    "dll": (patched(FLAGS, 0x2022), "is a DLL"),
    "efi": (patched(SUBSYSTEM, 10), "(efi)"),
}


@pytest.mark.parametrize("kind", BAD)
def test_a_bad_file_is_one_line(kind: str, tmp_path: Path) -> None:
    write, words = BAD[kind]
    target = tmp_path / f"{kind}.exe"
    write(target)
    with pytest.raises(LaunchError) as caught:
        check_program(target, bits32=True)
    assert str(target) in str(caught.value) and words in str(caught.value)
    assert "\n" not in str(caught.value)


def test_a_good_one_is_let_through() -> None:
    assert check_program(misbehave(), bits32=False).machine == "x86_64"


def test_pe32_without_wine32_names_the_package(tmp_path: Path) -> None:
    target = tmp_path / "boot.exe"
    patched(MACHINE, 0x14C)(target)
    with pytest.raises(NotInstalled, match="apt-get install wine32"):
        check_program(target, bits32=False)
    assert check_program(target, bits32=True).machine == "i386"


@pytest.mark.parametrize("kind", ["missing", "dll", "half", "directory"])
def test_exec_says_so_and_launches_nothing(kind: str, tmp_path: Path) -> None:
    require_wine()
    target = tmp_path / f"{kind}.exe"
    BAD[kind][0](target)
    cache = tmp_path / "cache"
    done = lkltest("exec", "--host", "wine", target, changes={"XDG_CACHE_HOME": str(cache)})
    assert (done.returncode, done.stdout) == (2, "")
    assert len(done.stderr.splitlines()) == 1 and str(target) in done.stderr
    assert not cache.exists(), "a prefix was made for a program that cannot run"


@pytest.mark.parametrize("kind", [kind for kind in BAD if kind not in ("missing", "directory")])
def test_a_build_with_nothing_else_is_a_usage_error(kind: str, tmp_path: Path) -> None:
    require_wine()
    (tmp_path / "tests").mkdir()
    write, words = BAD[kind]
    write(tmp_path / "tests" / "boot.exe")
    done = lkltest("run", "--host", "wine", "--build", tmp_path)
    said = [line for line in (done.stdout + done.stderr).splitlines() if line]
    assert done.returncode == 2 and len(said) == 1, said
    assert words in said[0] and "boot.exe" in said[0]


def test_one_bad_program_of_a_build_is_a_failed_suite(tmp_path: Path) -> None:
    (tmp_path / "tests").mkdir()
    shutil.copy(misbehave(), tmp_path / "tests" / "boot.exe")
    cut(3000)(tmp_path / "tests" / "disk.exe")
    build = WineHost().open_build(str(tmp_path))
    assert sorted(build.programs) == ["boot", "disk"]


def test_a_pe32_build_is_a_skip(tmp_path: Path) -> None:
    require_wine()
    (tmp_path / "build/tests").mkdir(parents=True)
    patched(MACHINE, 0x14C)(tmp_path / "build/tests/boot.exe")
    from lkltest.hosts.wine.tools import WineTools, find_tools

    tools = find_tools()
    if isinstance(tools, WineTools) and tools.bits32:
        pytest.skip("this Wine runs PE32")
    done = lkltest("run", "boot", "--build", tmp_path / "build")
    assert "skipped" in done.stdout and "wine32" in done.stdout
    assert done.returncode == 0
