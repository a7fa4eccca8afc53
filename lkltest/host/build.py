# SPDX-License-Identifier: GPL-2.0-only
"""A build: the directory (or kernel) that the programs under test come from.

A `tools/lkl` or `tools/um` build directory of the kernel holds its test programs in `tests/`,
beside `autoconf.sh`, which lists what the build can do (`LKL_HOST_CONFIG_POSIX=y`), its tools in
itself, scripts in `bin/` and libraries in `lib/`. The bundled build has the same layout and adds
keys of its own (`LKLTEST_NET_TCP=y`).
"""

from __future__ import annotations

import mmap
import os
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import cache, cached_property
from pathlib import Path

from lkltest.errors import BuildError
from lkltest.host.executable import Executable, identify
from lkltest.places import build_places
from lkltest.tap.patterns import LINUX_VERSION

_PROGRAM_FOLDERS = ("tests", ".")
_FILE_FOLDERS = (*_PROGRAM_FOLDERS, "bin", "lib", "lib/hijack")
_MAGIC = (b"\x7fELF", b"MZ")

_BUILDS_OF_A_TREE = ("tools/lkl", "tools/um", "tools/testing/selftests/um")
"""The places of test programs in a kernel's tree, of LKL and of UML's library mode (v7, v8)."""
_SETTING = re.compile(r"^\s*(?:export\s+)?(\w+)=(.*?)\s*$")
_BANNER = re.compile(LINUX_VERSION + rb" \(")
_VERSION = re.compile(rb"([0-9]+)\.([0-9]+)")

_DRIVERS = {"btrfs": b"Btrfs loaded", "xfs": b"SGI XFS", "vfat": b"vfat", "ext4": b"EXT4-fs"}
"""Text that a kernel with the file system's driver holds somewhere in its image."""
KUNIT = b"# Subtest: %s"
"""Text that a kernel with CONFIG_KUNIT=y holds, since there is KUnit (Linux 5.5)."""
NO_KUNIT = "the kernel was built without CONFIG_KUNIT"


@dataclass(frozen=True)
class Build:
    """Programs that belong together: `directory`, `programs` (name to file), `features`, `kind`.

    `kind` is "bundled", "tools/lkl", "tools/um" or what a host calls builds of its own; `kernel` is
    the kernel's own file where it is not linked into the programs (UML, QEMU).
    """

    directory: Path
    kind: str
    programs: Mapping[str, Path]
    features: Mapping[str, str] = field(default_factory=dict)
    kernel: Path | None = None

    def has(self, feature: str) -> bool:
        """Whether `autoconf.sh` says `feature=y` (or 1, or yes)."""
        return self.features.get(feature, "").strip("\"'") in ("y", "1", "yes")

    def executable(self, program: str) -> Executable:
        """Identify `program`; raises KeyError when the build lacks it, ExecutableError when bad."""
        return identify(self.programs[program])

    @cached_property
    def kernel_version(self) -> tuple[int, int] | None:
        """Major and minor version from the banner inside the kernel or the first program."""
        return self._kernel_file[1]

    @cached_property
    def _kernel_file(self) -> tuple[Path | None, tuple[int, int] | None]:
        """The first file that holds a kernel, and the kernel's version."""
        for file in [self.kernel] if self.kernel else self.programs.values():
            version = _banner_version(file)
            if version is not None:
                return file, version
        return None, None

    def find(self, name: str) -> Path | None:
        """The program, script or library of this name; None where the build has none."""
        if name in self.programs:
            return self.programs[name]
        files = (self.directory / folder / name for folder in _FILE_FOLDERS)
        return next((file for file in files if file.is_file()), None)

    def unsupported_by_kernel(self, feature: str) -> str | None:
        """The reason why the kernel has no "kunit" or "filesystem:NAME"; None if it may have it."""
        kernel, _ = self._kernel_file
        kind, _, name = feature.partition(":")
        words = KUNIT if kind == "kunit" else _DRIVERS.get(name)
        if kernel is None or words is None or kind not in ("kunit", "filesystem"):
            return None
        if holds(kernel, words):
            return None
        return NO_KUNIT if kind == "kunit" else filesystem_reason(self, name)


@cache
def holds(file: Path, words: bytes) -> bool:
    """Whether the words are in a file, which is read once: 6 ms of a kernel with its symbols."""
    with file.open("rb") as opened, mmap.mmap(opened.fileno(), 0, access=mmap.ACCESS_READ) as m:
        return m.find(words) >= 0


def filesystem_reason(build: Build, filesystem: str) -> str:
    """The reason to skip what needs `filesystem`."""
    return f"the kernel of build {build.directory.name} has no {filesystem}"


def default_directory() -> Path | None:
    """The bundled build: a checkout's `build/`, else the one that `lkltest setup` has made."""
    return next((path for path in build_places() if (path / "tests").is_dir()), None)


def named_build(option: str | None) -> str | None:
    """The build that was asked for: the option, else LKL_BUILD, else None."""
    return option or os.environ.get("LKL_BUILD") or None


def open_build(name: str | None) -> Build:
    """Open the build directory `name`, or the bundled build when None.

    Raises BuildError when there is none or when it holds no program.
    """
    directory = Path(name).expanduser() if name else default_directory()
    if directory is None:
        raise BuildError(
            "no build: make the bundled one with `lkltest setup`, "
            "or name one with --lkl-build=DIR or LKL_BUILD"
        )
    if not directory.is_dir():
        what = "no such directory"
        if directory.exists():
            what = (
                "is not a directory; a kernel needs its host (--lkl-host), a program `lkltest exec`"
            )
        raise BuildError(f"build {directory}: {what}")
    directory = directory.resolve()
    programs = find_programs(directory)
    if not programs:
        where = directory / "tests"
        raise BuildError(f"build {directory}: found no programs in {where}{_hint(directory)}")
    features = read_autoconf(directory / "tests" / "autoconf.sh")
    return Build(directory, _kind(directory, features), programs, features)


def _hint(directory: Path) -> str:
    """The directory that was probably meant, tools/lkl or the one above tests/, or the host."""
    for name in _BUILDS_OF_A_TREE:
        for tree in (directory, *directory.parents):
            if not (tree / "Kbuild").is_file() or not (tree / name).is_dir():
                continue
            if find_programs(tree / name):
                return f"; there are some in --lkl-build={tree / name}"
            if name == _BUILDS_OF_A_TREE[0] and (tree / "arch" / "lkl").is_dir():
                return f"; make -C {tree / name} first, and name that as the build"
    if any((directory / kernel).is_file() for kernel in ("linux", "vmlinux")):
        return "; it holds a kernel, which needs its host: --lkl-host"
    return ""


def find_programs(directory: Path) -> dict[str, Path]:
    """The programs of `directory/tests`, then of `directory`.

    Where a name is there with and without `.exe`, the build says which one it has made; the other
    is of an earlier one. A directory without tests/ has none: what lies in it is a kernel, or
    anything. selftests/um alone, where UML's library mode (v8) puts its programs, is without one.
    """
    found: dict[str, Path] = {}
    if not (directory / "tests").is_dir() and not directory.match("selftests/um"):
        return found
    settings = read_autoconf(directory / "tests" / "autoconf.sh")
    first = ".exe" if settings.get("LKL_HOST_CONFIG_NT") == "y" else ""
    for folder in _PROGRAM_FOLDERS:
        files = (directory / folder).glob("*")
        for path in sorted(files, key=lambda path: (path.suffix != first, path.name)):
            if path.suffix in ("", ".exe") and path.stem not in found and _is_program(path):
                found[path.stem] = path
    return found


def _is_program(path: Path) -> bool:
    try:
        # A broken .exe is found, too: what is wrong with it is said when it is to run.
        return path.is_file() and (
            path.suffix == ".exe"
            or os.access(path, os.X_OK)
            or _first_bytes(path).startswith(_MAGIC)
        )
    except OSError:
        return False


def _first_bytes(path: Path) -> bytes:
    with path.open("rb") as file:
        return file.read(4)


def read_autoconf(path: Path) -> dict[str, str]:
    """Read `KEY=value` lines of a build's autoconf.sh; a missing file is an empty mapping."""
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError:
        return {}
    return {match[1]: match[2] for line in text.splitlines() if (match := _SETTING.match(line))}


def _kind(directory: Path, features: Mapping[str, str]) -> str:
    if "LKLTEST_BUNDLED" in features:
        return "bundled"
    # UML's library mode is built in tools/um, without an autoconf.sh; it makes liblinux.a there,
    # where tools/lkl has liblkl.a. Its tests take ubd images.
    library = (directory / "liblinux.a").exists() or directory.name == "um"
    if library or any(key.startswith("UML_") for key in features):
        return "tools/um"
    return "tools/lkl"


def _banner_version(file: Path) -> tuple[int, int] | None:
    try:
        with file.open("rb") as stream, mmap.mmap(stream.fileno(), 0, access=mmap.ACCESS_READ) as m:
            match = _BANNER.search(m)
            version = match and _VERSION.match(match[1])
            return (int(version[1]), int(version[2])) if version else None
    except (OSError, ValueError):
        return None
