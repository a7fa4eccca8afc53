# SPDX-License-Identifier: GPL-2.0-only
"""The lines with which hosts tell of tools and files that are not as they should be."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import pytest

from lkltest.errors import BuildError, LaunchError, Missing
from lkltest.hosts.l4re.module_list import Module
from lkltest.hosts.native import check_runnable
from lkltest.hosts.qemu.boot import Job, lay_out
from lkltest.hosts.qemu.image import Image, machine_for
from lkltest.hosts.wine.tools import WineTools, find_tools, program_environment
from tests.compiler import ROOT, compile_program

SAY = ROOT / "tests" / "programs" / "say.c"


class TestNative:
    def test_a_windows_program(self, tmp_path: Path) -> None:
        program = tmp_path / "boot.exe"
        header = b"MZ".ljust(0x3C, b"\0") + (64).to_bytes(4, "little") + b"PE\0\0\x64\x86"
        program.write_bytes(header.ljust(64 + 24, b"\0") + b"\x0b\x02".ljust(200, b"\0"))
        with pytest.raises(LaunchError, match=r"boot.exe: is PE 64 bit .*native host runs ELF"):
            check_runnable(program)

    def test_a_program_of_another_machine(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        program = tmp_path / "boot"
        data = bytearray(compile_program(SAY).read_bytes())
        data[18:20] = (22).to_bytes(2, "little")
        program.write_bytes(data)
        program.chmod(0o755)
        monkeypatch.setenv("PATH", str(tmp_path))
        with pytest.raises(LaunchError, match=r"bit for s390x; qemu-s390x is missing: apt-get"):
            check_runnable(program)

    def test_what_is_not_executable(self, tmp_path: Path) -> None:
        program = tmp_path / "boot"
        program.write_bytes(compile_program(SAY).read_bytes())
        with pytest.raises(LaunchError, match=r"boot: is not executable: chmod \+x it"):
            check_runnable(program)


class TestWine:
    @pytest.fixture(autouse=True)
    def afresh(self) -> Iterator[None]:
        """The answer is remembered for a process."""
        find_tools.cache_clear()
        yield
        find_tools.cache_clear()

    def script(self, path: Path, text: str) -> Path:
        path.write_text(f"#!/bin/sh\n{text}\n")
        path.chmod(0o755)
        return path

    @pytest.mark.parametrize(
        ("variable", "what"), [("WINELOADER", "wine"), ("WINESERVER", "wineserver")]
    )
    def test_not_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, variable: str, what: str
    ) -> None:
        for name in ("WINELOADER", "WINESERVER"):
            monkeypatch.setenv(name, str(self.script(tmp_path / name, "echo wine-8.0")))
        monkeypatch.setenv(variable, "/nonexistent")
        assert find_tools() == Missing(f"{what} is missing", "apt-get install wine64")

    @pytest.mark.parametrize(
        ("home", "mend"), [("/root", "apt-get install --reinstall wine64"), ("", "set HOME")]
    )
    def test_one_that_says_no_version(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, home: str, mend: str
    ) -> None:
        wine = self.script(tmp_path / "wine", "exit 1")
        monkeypatch.setenv("WINELOADER", str(wine))
        monkeypatch.setenv("WINESERVER", str(wine))
        monkeypatch.setenv("HOME", home)
        assert find_tools() == Missing(f"{wine} --version says no version", mend)

    def test_one_that_does_not_run(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        wine = self.script(tmp_path / "wine", "")
        wine.write_bytes(b"\x7fELF nothing of the kind")
        monkeypatch.setenv("WINELOADER", str(wine))
        monkeypatch.setenv("WINESERVER", str(wine))
        missing = find_tools()
        assert isinstance(missing, Missing)
        assert str(missing).startswith(f"{wine} does not run: ")

    def test_the_users_own_overrides_are_kept(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setenv("WINEDLLOVERRIDES", "d3d9=n")
        monkeypatch.setenv("DISPLAY", ":0")
        tools = WineTools(tmp_path, tmp_path, "8.0", False)
        environment = program_environment(tools, tmp_path)
        assert environment["WINEDLLOVERRIDES"].endswith(";d3d9=n")
        assert "winedbg.exe=d" in environment["WINEDLLOVERRIDES"]
        assert "DISPLAY" not in environment


class TestQemu:
    @pytest.mark.parametrize(
        ("names", "said"),
        [
            (("my rom",), "module 'my rom': a module's name can hold no blank"),
            (("rom", "rom"), "two modules are called rom"),
            (("kernel",), "two modules are called kernel"),
        ],
    )
    def test_modules_that_cannot_be_told_apart(
        self, tmp_path: Path, names: tuple[str, ...], said: str
    ) -> None:
        modules = tuple(Module(Path("/bin/true"), name) for name in names)
        image = Image("boot", kernel=Path("/bin/true"), modules=modules)
        with pytest.raises(LaunchError, match=f"image boot: {said}"):
            lay_out(image, Job(), tmp_path, None)

    def test_an_image_for_a_machine_that_there_is_not(self, tmp_path: Path) -> None:
        with pytest.raises(BuildError, match="image: is for s390x; there are machines for: x86_64"):
            machine_for("s390x", tmp_path / "image")
