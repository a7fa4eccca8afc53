# SPDX-License-Identifier: GPL-2.0-only
"""The tool chains that can build LKL for Windows here, and the marks they leave in files."""

from __future__ import annotations

import re
import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path

from lkltest.host.build import Build
from lkltest.tap.patterns import LINUX

from .pe import Pe, PeError, open_pe

TRIPLETS = ("x86_64-w64-mingw32", "x86_64-pc-cygwin", "x86_64-pc-msys", "i686-w64-mingw32")
_SECONDS = 20.0
_LONG = re.compile(r"__SIZEOF_LONG__ (\d)")
_COMPILER = re.compile(LINUX + rb"\S+ \([^()]*\) \(([\w.+-]*gcc|[^()]*clang)\b[^\n\0]{0,80}")
_ABI = {b"mingw": "LLP64", b"cygwin": "LP64", b"msys": "LP64"}
_LIBRARIES = ((b"cygwin1.dll", "LP64"), (b"msys-2.0.dll", "LP64"), (b"msvcrt.dll", "LLP64"))
_OBJECTS = ("lib/lkl.o", "lib/liblkl.o")
_SHOWN = 3
_MUCH = 0.5  # of the code of a program; 0.9 and more are usual
_FIRST = """
int __attribute__((weak)) first(int x) { return x + 1; }
int one(int x) { return first(x) * 3; }
"""
_SECOND = """
int two(int x) { return x * 5; }
int __attribute__((weak)) second(int x) { return x + 2; }
int three(int x) { return second(x) * 7; }
"""


def toolchains() -> dict[str, str]:
    """The cross tool chains for Windows that are installed: version, data model, what ld does."""
    found = {}
    for triplet in TRIPLETS:
        if shutil.which(f"{triplet}-gcc"):
            found[triplet] = "; ".join(_describe(triplet))
    return found


def _describe(triplet: str) -> Iterator[str]:
    version = _output(f"{triplet}-gcc", "-dumpversion").strip()
    macros = _output(f"{triplet}-gcc", "-dM", "-E", "-xc", "/dev/null")
    long = _LONG.search(macros)
    bits = int(long[1]) * 8 if long else 0
    yield f"gcc {version or 'that does not run'}"
    if bits == 32 and triplet.startswith("x86_64"):
        yield "long has 32 bits (LLP64), a 64 bit kernel needs one of 64"
    elif bits:
        yield f"long has {bits} bits"
    broken = _broken_by_ld(triplet)
    if broken:
        yield f"ld -r mixes up {' and '.join(broken)}, LKL needs a patched one"
    elif broken is not None:
        yield "ld is patched"


def _broken_by_ld(triplet: str) -> list[str] | None:
    """The parts of a file that `ld -r`, which links a kernel, breaks; None: not known."""
    with tempfile.TemporaryDirectory() as folder:
        place = Path(folder)
        for name, source in (("a", _FIRST), ("b", _SECOND)):
            (place / f"{name}.c").write_text(source, encoding="ascii")
            _output(f"{triplet}-gcc", "-O1", "-c", "-o", place / f"{name}.o", place / f"{name}.c")
        _output(f"{triplet}-ld", "-r", "-o", place / "r.o", place / "a.o", place / "b.o")
        try:
            linked = open_pe(place / "r.o")
            broken = ["weak symbols"] if any(s.stale for s in linked.weak_externals) else []
            return [*broken, ".pdata"] if linked.unwinding_sorted else broken
        except (OSError, PeError):
            return None


def _output(*words: str | Path) -> str:
    try:
        done = subprocess.run(
            words, stdin=subprocess.DEVNULL, capture_output=True, timeout=_SECONDS, check=False
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode("utf-8", "replace")


def build_remarks(build: Build) -> Iterator[str]:
    """The remarks on a build for Windows, a line each."""
    said: dict[str, list[str]] = {}
    for path in build.programs.values():
        if path.suffix == ".exe":
            if (stale := path.with_suffix("")).is_file():
                yield (
                    f"{stale.name} beside {path.name} is of another build: "
                    "LKL_HOST_CONFIG_NT=y, so the .exe is the program"
                )
            said.setdefault(_said_of(path), []).append(path.name)
    yield from (f"{' '.join(names)}: {text}" for text, names in said.items() if text)
    for name in _OBJECTS:
        yield from _weak_remarks(build.directory / name)


def _said_of(path: Path) -> str:
    try:
        pe = open_pe(path)
        parts = [f"image base {pe.image_base:#x}", _names(pe), *_data_model(pe)]
        return ", ".join(parts)
    except (OSError, PeError):
        return ""


def _names(pe: Pe) -> str:
    lines = ", lines" if pe.section(".debug_line") else ""
    names = f"symbols{lines}"
    if pe.stripped:
        names = "stripped: crashes are named by an unstripped copy, or a map and System.map"
    if pe.unwinding_mixed_up:
        return f"{names}, .pdata mixed up (by ld -r): stacks and longjmp() go wrong"
    share = pe.unwinding_share
    if share < _MUCH:
        return f"{names}, .pdata for {share:.0%} of the code: stacks may be wrong"
    return names


def _data_model(pe: Pe) -> Iterator[str]:
    """LP64 or LLP64, by the kernel's compiler, or else by the C library."""
    banner = _COMPILER.search(pe.data)
    if banner is not None:
        compiler = banner[1].decode("utf-8", "replace")
        for word, model in _ABI.items():
            if word in banner[1]:
                yield f"kernel by {compiler} ({model})"
                return
        yield f"kernel by {compiler}"
        return
    data = pe.data
    for library, model in _LIBRARIES:
        if data.find(library) >= 0:
            yield f"{model} ({library.decode()})"
            return


def _weak_remarks(path: Path) -> Iterator[str]:
    try:
        stale = [symbol for symbol in open_pe(path).weak_externals if symbol.stale]
    except (OSError, PeError):
        return
    if stale:
        shown = ", ".join(f"{s.name} to {s.default or 'nothing'}" for s in stale[:_SHOWN])
        more = f" and {len(stale) - _SHOWN} more" if len(stale) > _SHOWN else ""
        yield (
            f"{path.name}: {len(stale)} weak symbols point elsewhere ({shown}{more}): "
            "calls land in other functions; link it with a patched ld"
        )
