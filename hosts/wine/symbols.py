# SPDX-License-Identifier: GPL-2.0-only
"""Names for the addresses of a Windows program, from wherever they can be had.

That is its own (COFF) symbol table, which Wine's debugger does not read, or that of an unstripped
copy, a linker's map, a kernel's System.map; its exports, at last. Lines are addr2line's to say: it
reads every version of DWARF, is there where a compiler is, and needs 0.1 s where a reader in Python
needs half a minute for a kernel.
"""

from __future__ import annotations

import re
import shutil
import subprocess
from bisect import bisect_right
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lkltest.errors import LaunchError

from .pe import Pe, PeError, Symbol, SymbolTable, open_pe

_LINES_SECONDS = 10.0
_LIMIT = 256 << 20
_NM = re.compile(rb"^([0-9a-fA-F]{8,16}) ([A-Za-z]) (\S+)", re.MULTILINE)
_GNU = re.compile(rb"^ +0x([0-9a-f]{8,16}) +([A-Za-z_.$?@][^\s=]*)\r?$", re.MULTILINE)
_INPUT = re.compile(rb"^ \.text\S*\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S[^\r\n]*)", re.MULTILINE)
_MSVC = re.compile(
    rb"^ [0-9a-f]{4}:[0-9a-f]{8} +(\S+) +([0-9a-f]{16}) +f", re.MULTILINE | re.IGNORECASE
)


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a program's functions and variables, by address relative to its base.

    Attributes:
        table: of its functions.
        source: the file that they are from.
        lines: the file that addr2line is asked about, None where none is known to have lines.
        variables: what else has a name, from a PE file's own table alone.
        image_base: what addr2line adds to addresses.
    """

    table: SymbolTable
    source: Path | None
    lines: Path | None = None
    variables: tuple[Symbol, ...] = ()
    image_base: int = 0

    def variable(self, name: str, file: str) -> int | None:
        """The address of a variable that a source file defines."""
        return next(
            (s.address for s in self.variables if s.name == name and s.file.endswith(file)), None
        )


def names_of(program: Path, extra: Sequence[Path] = ()) -> Names:
    """Find the names of a program: in the first of `extra` that is for it, in itself, beside it.

    Never raises: a program whose names cannot be had has none.
    """
    try:
        pe = open_pe(program)
        for read in _sources(program, pe, extra):
            found = read()
            if found is not None and found.table.addresses:
                return found
        return Names(SymbolTable.of(pe.exports), None)
    except (OSError, PeError):
        return Names(SymbolTable((), ()), None)


def check_symbols(file: Path) -> None:
    """Raise LaunchError, one line, when a file that was named has no symbols to take."""
    try:
        if _is_pe(file):
            if open_pe(file).stripped:
                raise LaunchError(f"{file}: is stripped, it has no symbols")
        elif not any(pattern.search(_text(file)) for pattern in (_NM, _GNU, _MSVC)):
            raise LaunchError(f"{file}: is no PE program, no linker's map and no System.map")
    except OSError as error:
        raise LaunchError(f"{file}: {error.strerror}") from None
    except PeError as error:
        raise LaunchError(f"{file}: {error}") from None


def lines_of(file: Path, addresses: Sequence[int]) -> dict[int, str]:
    """`file.c:12` for each address (with the image's base) that has a line."""
    tool = shutil.which("addr2line") or shutil.which("x86_64-w64-mingw32-addr2line")
    if tool is None or not addresses:
        return {}
    words = [f"{address:#x}" for address in addresses]
    try:
        done = subprocess.run(
            [tool, "-e", file, *words],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_LINES_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return {}
    said = done.stdout.decode("utf-8", "replace").splitlines()
    return {
        address: f"{Path(name).name}:{line.split()[0]}"
        for address, text in zip(addresses, said, strict=False)
        for name, _, line in [text.rpartition(":")]
        if name and not name.startswith("?") and line[:1].isdigit() and line[0] != "0"
    }


def _sources(program: Path, pe: Pe, extra: Sequence[Path]) -> Iterator[Callable[[], Names | None]]:
    """The files that may hold names, the best first."""
    for named in extra:
        yield lambda named=named: _read_source(named, pe)  # type: ignore[misc]
    if not pe.stripped:
        yield lambda: _of_pe(program, pe)
    for copy in _copies(program, pe):
        yield lambda copy=copy: _read_source(copy, pe)  # type: ignore[misc]
    folder, stem = program.parent, program.stem
    for name in (f"{stem}.map", f"{program.name}.map"):
        yield lambda name=name: _read_source(folder / name, pe)  # type: ignore[misc]
    for place in (folder, folder.parent, *folder.parents[2:3]):  # tools/lkl/tests of a kernel tree
        yield lambda place=place: _read_source(place / "System.map", pe)  # type: ignore[misc]


def _copies(program: Path, pe: Pe) -> Iterator[Path]:
    """Files that may be the program before it was stripped, or what was stripped from it."""
    folder, stem = program.parent, program.stem
    linked = pe.section(".gnu_debuglink")
    names = [bytes(pe.read(linked.address, 256)).partition(b"\0")[0].decode()] if linked else []
    names += [f"{program.name}.debug", f"{stem}.debug", f"{program.name}.unstripped"]
    names += [f"{stem}.unstripped.exe", f"{stem}-unstripped.exe", f"{stem}.dbg"]
    for place in (folder, folder / ".debug"):
        yield from (place / name for name in names if "/" not in name)
    yield folder / ".debug" / program.name


def _read_source(file: Path, pe: Pe) -> Names | None:
    """The names in a file for the program `pe`; None when it is not there or not for it."""
    try:
        if not file.is_file() or file.stat().st_size > _LIMIT << 2:
            return None
        if _is_pe(file):
            other = open_pe(file)
            return _of_pe(file, other) if _same_layout(pe, other) else None
        text = _text(file)
    except (OSError, PeError):
        return None
    if symbols := list(_of_linker_map(text, pe)):
        return Names(SymbolTable.of(tuple(symbols)), file)
    if symbols := list(_of_system_map(text, pe)):
        return Names(SymbolTable.of(tuple(symbols)), file)
    return None


def _of_pe(file: Path, pe: Pe) -> Names:
    lines = file if pe.section(".debug_line") else None
    variables = tuple(symbol for symbol in pe.symbols if not symbol.function)
    return Names(SymbolTable.of(pe.symbols), file, lines, variables, pe.image_base)


def _same_layout(pe: Pe, other: Pe) -> bool:
    """Whether two files are one program, of which one may lack its names or its contents."""

    def layout(file: Pe) -> list[tuple[str, int, int]]:
        return [
            (section.name, section.address, section.size)
            for section in file.sections
            if not section.name.startswith((".debug", ".gnu_debug", "/"))
        ]

    first, second = pe.section(".text"), other.section(".text")
    if layout(pe) != layout(other) or pe.image_base != other.image_base:
        return False
    if first is None or second is None or not second.file_size:
        return True  # what `objcopy --only-keep-debug` leaves
    size = min(first.size, 1 << 16)
    return pe.read(first.address, size) == other.read(second.address, size)


def _of_linker_map(text: bytes, pe: Pe) -> Iterator[Symbol]:
    """The symbols of a map that ld, lld or MSVC's linker wrote.

    It leaves out what is static: such a function is called by its object file, as `[file.o]`.
    """
    found = [(int(match[2], 16), match[1]) for match in _MSVC.finditer(text)]
    found = found or [(int(match[1], 16), match[2]) for match in _GNU.finditer(text)]
    code = [section for section in pe.sections if section.code]
    names = {
        address - pe.image_base: name.decode("utf-8", "replace")
        for address, name in found
        if any(0 <= address - pe.image_base - s.address < s.size for s in code)
    }
    if not names or not _fits(names, pe):
        return
    objects = sorted(
        (int(match[1], 16) - pe.image_base, int(match[2], 16), Path(match[3].decode()).name)
        for match in _INPUT.finditer(text)
    )
    starts = [start for start, _, _ in objects]
    for begin in pe.functions:
        index = bisect_right(starts, begin) - 1
        if begin not in names and index >= 0 and begin < objects[index][0] + objects[index][1]:
            names[begin] = f"[{objects[index][2]}]"
    yield from (Symbol(address, names[address]) for address in sorted(names))


def _fits(names: Mapping[int, str], pe: Pe) -> bool:
    """Whether a map can be of this program: functions begin where it says."""
    begins = set(pe.functions)
    return not begins or 2 * len(begins.intersection(names)) > len(names)


def _of_system_map(text: bytes, pe: Pe) -> Iterator[Symbol]:
    """The functions of a kernel that was linked into the program, by what both have a name for.

    A System.map is of the kernel before it became part of a program: all of its addresses are off
    by the same distance, which what the program exports tells.
    """
    found = [
        (int(match[1], 16), match[3].decode("utf-8", "replace"))
        for match in _NM.finditer(text)
        if match[2] in b"tTwW"
    ]
    here = {symbol.name: symbol.address for symbol in pe.exports}
    shifts = [here[name] - address for address, name in found if name in here]
    if not shifts or len(set(shifts)) > 1:
        return
    for address, name in sorted(found):
        yield Symbol(address + shifts[0], name)


def _is_pe(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(2) == b"MZ"


def _text(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(_LIMIT)
