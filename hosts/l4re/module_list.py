# SPDX-License-Identifier: GPL-2.0-only
"""Module lists of L4Re: what bootstrap loads beside itself.

An entry of a `modules.list` names the kernel, sigma0, the root task and further modules, each with
its arguments. Source: L4Re's build system, tool/lib/L4/ModList.pm. Of two entries with one name the
first counts. Lines of the wanted entry that would run a program (`[shell]`, `[perl]`) are refused.
"""

from __future__ import annotations

import os
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from lkltest.errors import ExecutableError, LkltestError
from lkltest.host.executable import identify

_LINE = re.compile(r"^([^\s\[]+)(?:\[\s*(.*?)\s*\])?(?:\s+(.*?))?\s*$")
_DEFAULTS = ("fiasco", "sigma0", "moe")
_SLOTS = {"kernel": 0, "sigma0": 1, "roottask": 2, "rmgr": 2}
_SEARCH_PATH = "MODULE_SEARCH_PATH"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i386": "x86"}
"""What L4Re calls a processor, by what `lkltest.host.executable` does."""
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
    renamed: dict[int, str] = field(default_factory=dict)
    modaddr: str = ""
    found: bool = False


def find_modules(lines: Sequence[str], search: Sequence[Path]) -> tuple[Module, ...]:
    """Find the files of module command lines, `FILE ARGUMENTS`. Raises ModulesError."""
    return tuple(_module(line, search) for line in lines)


def read_entry(path: Path, name: str, search: Sequence[Path]) -> Entry:
    """Read entry `name` of the list `path`; its files are looked for in `search`.

    Raises ModulesError, one line, for an entry or a file that does not exist.
    """
    lines = list(_lines(path, ()))
    searched = [*search, *map(Path, re.split(r"[:\s]+", os.environ.get(_SEARCH_PATH, "").strip()))]
    searched = [folder for folder in searched if folder != Path()]
    searched += [path.parent / line.text for line in lines if line.kind == "searchpath"]
    searched.append(path.parent)
    architecture = os.environ.get("ARCH") or _architecture(searched)
    draft = _read(lines, name, architecture)
    if not draft.found:
        names = [line.text for line in lines if line.kind in ("entry", "title")]
        raise ModulesError(
            f"{path}: has no entry {name!r}; there are: {', '.join(names) or 'none'}"
        )
    bootstrap = _module(draft.bootstrap, searched)
    append = bootstrap.arguments
    if draft.modaddr and "-modaddr" not in append:
        append = f"{append} -modaddr {draft.modaddr}".strip()
    found = find_modules(draft.modules, searched)
    modules = (
        replace(module, name=draft.renamed.get(place) or module.name)
        for place, module in enumerate(found)
    )
    return Entry(bootstrap.file, tuple(modules), append)


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

    def option(self, name: str) -> str | None:
        """The value of `[name=value]`, "" for `[name]`; None where it is not there."""
        for option in re.split(r"\s*,\s*", self.options):
            key, _, value = option.partition("=")
            if key.strip() == name:
                return value.strip()
        return None

    def files(self) -> list[str]:
        """The module command lines that this line stands for."""
        for option in ("shell", "perl"):
            if self.option(option) is not None:
                raise self.error(f"[{option}] would run a program: name the modules instead")
        if self.option("glob") is not None:
            return sorted(str(path) for path in self.path.parent.glob(self.text))
        return [self.text] if self.text else []


def _read(lines: Sequence[_Line], wanted: str, architecture: str) -> _Draft:
    draft = _Draft()
    groups: dict[str, list[_Line]] = {}
    mode = group = ""
    for line in lines:
        kind, text = line.kind, line.text
        wanted_by = line.option("arch")
        if kind in ("entry", "title"):
            first = text.lower() == wanted.lower() and not draft.found
            mode = "entry" if first else "other"
            draft.found = draft.found or first
        elif kind == "group":
            mode, group = "group", text.partition(" ")[0]
            groups[group] = []
        elif kind == "modaddr":
            draft.modaddr = text if mode in ("", "entry") else draft.modaddr
        elif wanted_by is not None and architecture not in wanted_by.split("|"):
            continue
        elif kind.startswith("default-"):
            _put(draft, line, kind.removeprefix("default-"))
        elif mode == "group":
            groups[group].append(line)
        elif mode == "entry":
            _take(draft, line, groups)
    return draft


def _take(draft: _Draft, line: _Line, groups: dict[str, list[_Line]]) -> None:
    """Take a line of the entry that is wanted."""
    if line.kind == "module-group":
        for name in line.text.split():
            if name not in groups:
                raise line.error(f"unknown group {name!r}")
            for member in groups[name]:
                _add(draft, member)
    elif line.kind == "moe":
        name = line.text.partition(" ")[0].rpartition("/")[2]
        draft.modules[2] = f"moe rom/{name}"
        draft.modules.append(line.text)
    elif line.kind in _PLAIN:
        _add(draft, line)
    elif line.kind != "set":
        _put(draft, line, line.kind)


def _add(draft: _Draft, line: _Line) -> None:
    for words in line.files():
        draft.renamed[len(draft.modules)] = line.option("fname") or ""
        draft.modules.append(words)


def _put(draft: _Draft, line: _Line, kind: str) -> None:
    if kind in ("bootstrap", *_SLOTS):
        line.files()  # refuses what would run a program
    if kind == "bootstrap":
        draft.bootstrap = line.text
    elif kind in _SLOTS:
        draft.modules[_SLOTS[kind]] = line.text
        draft.renamed[_SLOTS[kind]] = line.option("fname") or ""
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
        match = _LINE.match(_expanded(content.partition("#")[0].strip()))
        if match is None:
            continue
        line = _Line(path, number, match[1].lower(), match[2] or "", match[3] or "")
        if line.kind == "include":
            included = sorted(path.parent.glob(line.text)) or [path.parent / line.text]
            for name in included:
                yield from _lines(name, (*above, path))
        else:
            yield line


def _expanded(text: str) -> str:
    """`${NAME}` is the environment's; a name that is not there is empty."""
    return re.sub(r"\$\{(\w+)\}", lambda name: os.environ.get(name[1], ""), text)


def _architecture(search: Sequence[Path]) -> str:
    """L4Re's name for the processor that bootstrap is for: `amd64` where none is found."""
    for folder in search:
        try:
            machine = identify(folder / "bootstrap").machine
        except ExecutableError:
            continue
        return _ARCHITECTURES.get(machine, machine)
    return "amd64"


def _module(line: str, search: Sequence[Path]) -> Module:
    name, _, arguments = line.strip().partition(" ")
    candidates = [Path(name)] if name.startswith("/") else [folder / name for folder in search]
    for path in candidates:
        if path.is_file():
            return Module(path.absolute(), path.name, arguments.strip())
    raise ModulesError(f"{name}: not found in {', '.join(dict.fromkeys(map(str, search)))}")
