# SPDX-License-Identifier: GPL-2.0-only
"""The means of the QEMU host's tests: the player guest, consoles to play, skips."""

from __future__ import annotations

import hashlib
import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Mapping
from pathlib import Path

import pytest

from lkltest.deadline import Deadlines
from lkltest.host.api import Launch
from lkltest.host.execution import Execution
from lkltest.hosts.qemu.host import QemuHost
from lkltest.sandbox.scope import Scope
from lkltest.verdict.results import ProgramResult
from tests.compiler import ROOT

STREAMS = ROOT / "tests" / "streams"
SOURCES = Path(__file__).parents[1] / "player"
KERNEL = ROOT / "build" / "linux"
GENERIC = ROOT / "build" / "linux-generic"
"""Debian's kernel with all drivers."""
_FLAGS = (
    *("-m32", "-std=gnu11", "-O2", "-Wall", "-Wextra", "-ffreestanding", "-fno-pic", "-no-pie"),
    *("-fno-stack-protector", "-mno-sse", "-mno-mmx", "-nostdlib", "-static"),
    *("-Wl,-Ttext=0x100000", "-Wl,--build-id=none", "-Wl,-n", "-Wl,--no-warn-rwx-segments"),
)
PLAYED = (
    b"1..2 # played\r\n* 1 first\r\nok 1 first\r\n ---\r\n time_us: 5\r\n ...\r\n"
    b"* 2 second\r\nok 2 second\r\n ---\r\n time_us: 6\r\n ...\r\n"
)
"""A console that passes."""
HALF = PLAYED[: PLAYED.index(b"ok 2")]
"""A console that stops in the second point."""


def require_qemu() -> None:
    """Skip, naming the package, where QEMU is missing."""
    missing = QemuHost().missing()
    if missing is not None:
        pytest.skip(str(missing))


def require_kernel(folder: Path = KERNEL) -> None:
    """Skip where one of Debian's kernels for guests was not fetched."""
    require_qemu()
    if not folder.is_dir():
        pytest.skip(f"{folder} is missing: make {folder.name}")


def player() -> Path:
    """The guest that plays consoles, compiled once per content."""
    require_qemu()
    if shutil.which("gcc") is None:
        pytest.skip("gcc is missing: apt-get install gcc")
    sources = [SOURCES / "start.S", SOURCES / "player.c"]
    content = b"".join(source.read_bytes() for source in sources) + repr(_FLAGS).encode()
    program = (
        ROOT / "build" / "test-programs" / f"player-{hashlib.sha256(content).hexdigest()[:16]}"
    )
    if not program.exists():
        program.parent.mkdir(parents=True, exist_ok=True)
        part = program.with_name(f"{program.name}.{os.getpid()}.part")
        subprocess.run(["gcc", *_FLAGS, "-o", part, *sources], check=True, timeout=60)
        part.rename(program)
    return program


def image(folder: Path, console: bytes | Path, how: str = "end=idle", **table: object) -> Path:
    """A table whose image `x` plays `console`; returns the name that `exec` takes, `FILE:x`.

    table: further keys of the image, as TOML writes them.
    """
    if isinstance(console, bytes):
        (folder / "console").write_bytes(console)
    else:
        (folder / "console").symlink_to(console)
    if "deadlines_of_image" in table:
        table["deadlines"] = table.pop("deadlines_of_image")
    keys = {"kernel": str(player()), "modules": [f"console {how}"], **table}
    lines = [f"{key} = {_toml(value)}" for key, value in keys.items()]
    (folder / "images.toml").write_text("[images.x]\n" + "\n".join(lines) + "\n")
    return folder / "images.toml:x"


_GRUB = Path("/usr/lib/grub/i386-pc")
_GRUB_NEEDS = {
    "grub-mkrescue": "grub-common",
    f"{_GRUB}/multiboot.mod": "grub-pc-bin",
    "xorriso": "xorriso",
    "mformat": "mtools",
}


def iso(file: Path, console: Path, how: str = "end=idle") -> Path:
    """Make a CD on which GRUB boots the player, as `make grub2iso` of L4Re makes them."""
    kernel = player()
    needed = {name: package for name, package in _GRUB_NEEDS.items() if shutil.which(name) is None}
    missing = [package for name, package in needed.items() if not Path(name).is_file()]
    if missing:
        pytest.skip(f"no CD can be made: apt-get install {' '.join(missing)}")
    with tempfile.TemporaryDirectory() as name:
        tree = Path(name)
        (tree / "boot" / "grub").mkdir(parents=True)
        shutil.copy(kernel, tree / "boot" / "player")
        shutil.copy(console, tree / "boot" / "console")
        (tree / "boot" / "grub" / "grub.cfg").write_text(
            "set timeout=0\nmenuentry player {\n  multiboot /boot/player\n"
            f"  module /boot/console console {how}\n}}\n"
        )
        command = ["grub-mkrescue", f"--directory={_GRUB}", "--fonts=", "--locales=", "--themes="]
        command += ["--install-modules=biosdisk iso9660 normal multiboot", "-o", str(file), name]
        made = subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)
        assert made.returncode == 0, made.stderr
    return file


def play(
    folder: Path,
    console: bytes | Path,
    how: str = "end=idle",
    deadlines: Deadlines | None = None,
    options: Mapping[str, object] | None = None,
    **table: object,
) -> ProgramResult:
    """Play a console through a real machine; returns the verdict."""
    name = image(folder, console, how, **table)
    host = QemuHost(options)
    with Scope() as scope:
        launch = Launch(name, (), {}, deadlines or Deadlines(30, 10, 10, 10))
        return Execution(host, host.launch(launch, scope)).run()


def lkltest(*words: str | Path, **options: object) -> subprocess.CompletedProcess[str]:
    """Run an lkltest command to its end."""
    return subprocess.run(
        [sys.executable, "-m", "lkltest", *map(str, words)],
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="backslashreplace",
        timeout=600,
        check=False,
        **options,  # type: ignore[call-overload]
    )


def _toml(value: object) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    if isinstance(value, list):
        return "[" + ", ".join(map(_toml, value)) + "]"
    if isinstance(value, dict):
        return "{" + ", ".join(f"{key} = {_toml(item)}" for key, item in value.items()) + "}"
    return f"{value}" if isinstance(value, int | float) else f"'{value}'"
