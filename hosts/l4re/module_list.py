# SPDX-License-Identifier: GPL-2.0-only
"""Module lists of L4Re: what bootstrap loads beside itself.

An entry of a `modules.list` names the kernel, sigma0, the root task and further modules, each with
its arguments. Source: L4Re's build system, tool/lib/L4/ModList.pm; lines that would run a program
(`[shell]`, `[perl]`) are refused.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from lkltest.errors import LkltestError

_LINE = re.compile(r"^([^\s\[]+)(?:\[\s*(.*?)\s*\])?(?:\s+(.*?))?\s*$")
_DEFAULTS = ("fiasco", "sigma0", "moe")
_SLOTS = {"kernel": 0, "sigma0": 1, "roottask": 2, "rmgr": 2}
_PLAIN = ("bin", "data", "bin-nostrip", "data-nostrip", "module")


class ModulesError(LkltestError):
    """A module list that cannot be used; the message is one line."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module: its file, the name that the guest knows it by, and its arguments."""

    file: Path
    name: str
    arguments: str = ""


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry, all files found: bootstrap, the modules in order, bootstrap's own arguments."""

    bootstrap: Path
    modules: tuple[Module, ...]
    append: str = ""


@dataclass(slots=True)
class _Draft:
    """An entry while it is read: command lines whose files are not looked for yet."""

    bootstrap: str = "bootstrap"
    modules: list[str] = field(default_factory=lambda: list(_DEFAULTS))
    modaddr: str = ""
    found: bool = False


def find_modules(lines: Sequence[str], search: Sequence[Path]) -> tuple[Module, ...]:
    """Find the files of module command lines, `FILE ARGUMENTS`. Raises ModulesError."""
    return tuple(_module(line, search) for line in lines)


def read_entry(path: Path, name: str, search: Sequence[Path]) -> Entry:
    """Read entry `name` of the list `path`; its files are looked for in `search`.

    Raises ModulesError, one line, for an entry or a file that does not exist.
    """
    names: list[str] = []
    searched = list(search)
    draft = _read(path, name, names, searched)
    if not draft.found:
        known = ", ".join(names) or "none"
        raise ModulesError(f"{path}: has no entry {name!r}; there are: {known}")
    searched.append(path.parent)
    bootstrap = _module(draft.bootstrap, searched)
    append = bootstrap.arguments
    if draft.modaddr and "-modaddr" not in append:
        append = f"{append} -modaddr {draft.modaddr}".strip()
    return Entry(bootstrap.file, find_modules(draft.modules, searched), append)


def with_program(entry: Sequence[Module], program: Module, script: Module) -> tuple[Module, ...]:
    """The modules with a program added and a script that ned runs instead of the list's own.

    Raises ModulesError when the list has no ned to run it.
    """
    if not any(module.name == "ned" for module in entry):
        raise ModulesError("the module list has no ned, which starts programs")
    taken = {program.name, script.name}
    kept = [module for module in entry if module.name not in taken]
    roots = [place for place, module in enumerate(kept) if module.name == "moe"]
    if not roots:
        raise ModulesError("the module list has no moe")
    kept[roots[0]] = replace(kept[roots[0]], arguments=_root_arguments(kept[roots[0]], script))
    return (*kept, script, program)


def _root_arguments(moe: Module, script: Module) -> str:
    """moe's own options stay, the script's name is ours."""
    options = [word for word in moe.arguments.split() if word.startswith("-")]
    options = [word for word in options if not word.startswith("--init")]
    return " ".join([*options, f"rom/{script.name}"])


class _Line(NamedTuple):
    path: Path
    number: int
    kind: str
    options: str
    text: str

    def error(self, what: str) -> ModulesError:
        return ModulesError(f"{self.path}:{self.number}: {what}")

    def files(self) -> list[str]:
        if "glob" in self.options.split(","):
            return sorted(str(path) for path in self.path.parent.glob(self.text))
        return [self.text] if self.text else []


def _read(path: Path, wanted: str, names: list[str], search: list[Path]) -> _Draft:
    draft = _Draft()
    groups: dict[str, list[str]] = {}
    mode = group = ""
    for line in _lines(path, ()):
        kind, text = line.kind, line.text
        if kind in ("entry", "title"):
            names.append(text)
            mode = "entry" if text.lower() == wanted.lower() else "other"
            draft.found = draft.found or mode == "entry"
        elif kind == "group":
            mode, group = "group", text.partition(" ")[0]
            groups[group] = []
        elif kind == "searchpath":
            search.append(path.parent / text)
        elif kind == "modaddr":
            draft.modaddr = text if mode in ("", "entry") else draft.modaddr
        elif kind.startswith("default-"):
            _put(draft, line, kind.removeprefix("default-"))
        elif mode == "group":
            groups[group] += line.files()
        elif mode == "entry":
            _take(draft, line, groups)
    return draft


def _take(draft: _Draft, line: _Line, groups: dict[str, list[str]]) -> None:
    """Take a line of the entry that is wanted."""
    if line.kind == "module-group":
        for name in line.text.split():
            if name not in groups:
                raise line.error(f"unknown group {name!r}")
            draft.modules += groups[name]
    elif line.kind == "moe":
        name = line.text.partition(" ")[0].rpartition("/")[2]
        draft.modules[2] = f"moe rom/{name}"
        draft.modules.append(line.text)
    elif line.kind in _PLAIN:
        draft.modules += line.files()
    elif line.kind != "set":
        _put(draft, line, line.kind)


def _put(draft: _Draft, line: _Line, kind: str) -> None:
    if kind == "bootstrap":
        draft.bootstrap = line.text
    elif kind in _SLOTS:
        draft.modules[_SLOTS[kind]] = line.text
    else:
        raise line.error(f"{line.kind!r} is no kind of line that is known")


def _lines(path: Path, above: tuple[Path, ...]) -> Iterator[_Line]:
    """Yield the lines of a list, those of included ones in their place."""
    if path in above:
        return
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        raise ModulesError(f"{path}: {error.strerror}") from None
    for number, content in enumerate(text.splitlines(), 1):
        match = _LINE.match(content.partition("#")[0].strip())
        if match is None:
            continue
        line = _Line(path, number, match[1].lower(), match[2] or "", match[3] or "")
        for option in ("shell", "perl"):
            if option in re.split(r"\s*,\s*", line.options):
                raise line.error(f"[{option}] would run a program: name the modules instead")
        if line.kind == "include":
            included = sorted(path.parent.glob(line.text)) or [path.parent / line.text]
            for name in included:
                yield from _lines(name, (*above, path))
        else:
            yield line


def _module(line: str, search: Sequence[Path]) -> Module:
    name, _, arguments = line.strip().partition(" ")
    candidates = [Path(name)] if name.startswith("/") else [folder / name for folder in search]
    for path in candidates:
        if path.is_file():
            return Module(path.absolute(), path.name, arguments.strip())
    raise ModulesError(f"{name}: not found in {', '.join(dict.fromkeys(map(str, search)))}")
