# SPDX-License-Identifier: GPL-2.0-only
"""Names for the addresses of a Windows program, from wherever they can be had.

That is its own (COFF) symbol table, which Wine's debugger does not read, or that of an unstripped
copy, a linker's map, a kernel's System.map; its exports, at last. Lines are addr2line's to say: it
reads every version of DWARF, is there where a compiler is, and needs 0.1 s where a reader in Python
needs half a minute for a kernel.
"""

from __future__ import annotations

import os
import re
import shutil
import subprocess
from bisect import bisect_right
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

from lkltest.errors import LaunchError

from .pe import Pe, PeError, Symbol, SymbolTable, open_pe, own_name

_LINES_SECONDS = 10.0
_LIMIT = 256 << 20
_NM = re.compile(rb"^([0-9a-fA-F]{8,16}) ([A-Za-z]) (\S+)", re.MULTILINE)
_GNU = re.compile(rb"^ +0x([0-9a-f]{8,16}) +([A-Za-z_.$?@][^\s=]*)\r?$", re.MULTILINE)
_INPUT = re.compile(rb"^ \.text\S*\s+0x([0-9a-f]+)\s+0x([0-9a-f]+) (\S[^\r\n]*)", re.MULTILINE)
_MSVC = re.compile(
    rb"^ [0-9a-f]{4}:[0-9a-f]{8} +(\S+) +([0-9a-f]{16}) +f", re.MULTILINE | re.IGNORECASE
)
_LABEL = re.compile(
    r"_?[se]?text|_[se]inittext|__init_(?:begin|end)|__\w+_text_(?:start|end)|_[se]data|_?end"
)
"""Names that a kernel's linker script gives to places (asm-generic/sections.h)."""


@dataclass(frozen=True, slots=True)
class Names:
    """The names of a program's functions and variables, by address relative to its base.

    Attributes:
        table: of its functions.
        sources: the files that they are from; none where the program alone tells what it exports.
        lines: the file that addr2line is asked about, None where none is known to have lines.
        variables: what else has a name, from a PE file's own table alone.
        image_base: what addr2line adds to addresses.
    """

    table: SymbolTable
    sources: tuple[Path, ...]
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
        for file in (*extra, *([] if pe.stripped else [program]), *_copies(program, pe)):
            found = _read_program(file, pe)
            if found is not None and found.table.addresses:
                return found
        return _pieced_together([*extra, *_texts_beside(program)], pe)
    except (OSError, PeError):
        return Names(SymbolTable((), ()), ())


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


@dataclass(frozen=True, slots=True)
class Line:
    """A line of source code, `folder/file.c:12`, and the function that it is written in."""

    function: str
    place: str


def lines_of(file: Path, addresses: Sequence[int]) -> dict[int, tuple[Line, ...]]:
    """The lines of each address (with the image's base) that has any.

    More than one are of functions that the compiler has put into another one, the innermost first.
    Folders are told from where those of all files part: the kernel's tree, where it has been built.
    """
    tool = shutil.which("addr2line") or shutil.which("x86_64-w64-mingw32-addr2line")
    if tool is None or not addresses:
        return {}
    words = [f"{address:#x}" for address in addresses]
    try:
        done = subprocess.run(
            [tool, "--addresses", "--functions", "--inlines", "-e", file, *words],
            stdin=subprocess.DEVNULL, capture_output=True, timeout=_LINES_SECONDS, check=False,
        )  # fmt: skip
    except (OSError, subprocess.TimeoutExpired):
        return {}
    found = dict(_told_lines(done.stdout.decode("utf-8", "replace")))
    root = _common_folder([path for lines in found.values() for _, path, _ in lines])

    def below_root(path: Path) -> str:
        return str(path.relative_to(root)) if root in path.parents else path.name

    return {
        address: tuple(
            Line(function, f"{below_root(path)}:{number}") for function, path, number in lines
        )
        for address, lines in found.items()
    }


def _told_lines(text: str) -> Iterator[tuple[int, list[tuple[str, Path, str]]]]:
    """Yield what addr2line says of each address: functions, files and lines."""
    for part in re.split(r"^0x", text, flags=re.MULTILINE)[1:]:
        address, *rows = part.splitlines()
        lines = []
        for function, row in zip(rows[::2], rows[1::2], strict=False):
            name, _, line = row.rpartition(":")
            if name and not name.startswith("?") and line[:1].isdigit() and line[0] != "0":
                lines.append((function, Path(os.path.normpath(name)), line.split()[0]))
        if lines:
            yield int(address, 16), lines


def _common_folder(files: Sequence[Path]) -> Path:
    """The folder that holds some files, less those of a C library that was built elsewhere."""
    folders = [file.parent for file in files if file.is_absolute()]
    own = [folder for folder in folders if folder.parts[:2] == folders[0].parts[:2]]
    return Path(os.path.commonpath(own)) if own else Path("/")


def _texts_beside(program: Path) -> Iterator[Path]:
    """Places of maps of a program, or of its kernel's System.map."""
    folder = program.parent
    yield from (folder / f"{program.stem}.map", folder / f"{program.name}.map")
    for place in (folder, folder.parent, *folder.parents[2:3]):  # tools/lkl/tests of a kernel tree
        yield place / "System.map"


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


def _read_program(file: Path, pe: Pe) -> Names | None:
    """The names in a PE file for the program `pe`; None when it is not there or not for it."""
    try:
        if not file.is_file() or file.stat().st_size > _LIMIT << 2 or not _is_pe(file):
            return None
        other = open_pe(file)
        return _of_pe(file, other) if other is pe or _same_layout(pe, other) else None
    except (OSError, PeError):
        return None


def _pieced_together(texts: Sequence[Path], pe: Pe) -> Names:
    """The names of a stripped program: what it exports, then what each of some texts adds.

    A linker's map names the program's own functions, and of a kernel that was linked into it the
    entry points alone; a System.map names the kernel's. A function that none of them names is not
    the one before it: its object file is told, where a map tells that, or nothing.
    """
    names = {one.address: one.name for one in pe.exports if pe.is_code(one.address)}
    objects: dict[int, str] = {}
    sources: list[Path] = []
    for file in texts:
        try:
            text = _text(file) if file.is_file() and not _is_pe(file) else b""
        except OSError:
            continue
        found = dict(_of_linker_map(text, pe) or _of_system_map(text, pe))
        if found:
            sources.append(file)
            objects = {**_objects(text, pe), **objects}
            names = {**found, **names}
    ends = dict.fromkeys(pe.ends, "")
    unnamed = {begin: objects.get(begin, "") for begin in pe.functions}
    every = {**unnamed, **names, **ends}
    places = tuple(sorted(every))
    return Names(SymbolTable(places, tuple(every[place] for place in places)), tuple(sources))


def _of_pe(file: Path, pe: Pe) -> Names:
    lines = file if pe.section(".debug_line") else None
    variables = tuple(symbol for symbol in pe.symbols if not symbol.function)
    ends = [Symbol(place, "") for place in pe.ends]
    table = SymbolTable.of((*ends, *pe.symbols))
    return Names(table, (file,), lines, variables, pe.image_base)


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


def _of_linker_map(text: bytes, pe: Pe) -> dict[int, str]:
    """The functions of a map that ld, lld or MSVC's linker wrote; it leaves out what is static."""
    found = [(int(match[2], 16), match[1]) for match in _MSVC.finditer(text)]
    found = found or [(int(match[1], 16), match[2]) for match in _GNU.finditer(text)]
    names = {
        address - pe.image_base: own_name(name.decode("utf-8", "replace"))
        for address, name in found
        if pe.is_code(address - pe.image_base)
    }
    return names if names and _fits(names, pe) else {}


def _objects(text: bytes, pe: Pe) -> dict[int, str]:
    """The object file that each function of a program is from, as `[file.o]`, by a map of ld's."""
    parts = sorted(
        (int(match[1], 16) - pe.image_base, int(match[2], 16), match[3].decode("utf-8", "replace"))
        for match in _INPUT.finditer(text)
    )
    starts = [start for start, _, _ in parts]
    found = {}
    for begin in pe.functions:
        index = bisect_right(starts, begin) - 1
        if index >= 0 and begin < parts[index][0] + parts[index][1]:
            member = Path(parts[index][2]).name.rpartition("(")[2].rstrip(")")
            found[begin] = f"[{member}]"
    return found


def _fits(names: Mapping[int, str], pe: Pe) -> bool:
    """Whether a map can be of this program: functions begin where it says."""
    begins = set(pe.functions)
    return not begins or 2 * len(begins.intersection(names)) > len(names)


def _of_system_map(text: bytes, pe: Pe) -> dict[int, str]:
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
    shifts = {here[name] - address for address, name in found if name in here}
    if len(shifts) != 1:
        return {}
    (shift,) = shifts
    names: dict[int, str] = {}
    for address, name in sorted(found, key=lambda one: one[1].startswith(".")):
        own = own_name(name)
        if not own.startswith(".") and not _LABEL.fullmatch(own):
            names.setdefault(address + shift, own)
    return names


def _is_pe(file: Path) -> bool:
    with file.open("rb") as stream:
        return stream.read(2) == b"MZ"


def _text(file: Path) -> bytes:
    with file.open("rb") as stream:
        return stream.read(_LIMIT)
