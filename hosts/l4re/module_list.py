# SPDX-License-Identifier: GPL-2.0-only
"""Module lists of L4Re: what bootstrap loads beside itself.

An entry of a `modules.list` names the kernel, sigma0, the root task and further modules, each with
its arguments. Source: L4Re's build system, tool/lib/L4/ModList.pm; tests/hosts/l4re compares them
rule by rule. Of two entries with one name the first counts, and nothing after it does. Lines of the
wanted entry that would run a program (`[shell]`, `[perl]`) are refused unless they are allowed.
"""

from __future__ import annotations

import os
import re
import subprocess
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import NamedTuple

from lkltest.errors import ExecutableError, LkltestError
from lkltest.host.executable import identify, needed_files

_LINE = re.compile(r"^([^\s\[]+)(?:\[\s*(.*?)\s*\])?(?:\s+(.*?))?\s*$")
_SLOTS = ("kernel", "sigma0", "roottask")
_SEARCH_PATH = "MODULE_SEARCH_PATH"
_ARCHITECTURES = {"x86_64": "amd64", "aarch64": "arm64", "i386": "x86"}
"""L4Re's names of processors, by those of `lkltest.host.executable`."""
_NARROW = ("arm", "mips", "riscv", "x86")
"""Processors that have 32 bits unless BITS says otherwise."""
_PLAIN = ("bin", "data", "bin-nostrip", "data-nostrip", "module")
_KINDS = (*_PLAIN, *_SLOTS, "bootstrap", "module-group", "moe", "initrd", "set")
_DEFAULTS = ("bootstrap", *_SLOTS)
_MODADDR = re.compile(r"-modaddr[\s=]+")
_COMMAND_SECONDS = 60


class ModulesError(LkltestError):
    """A module list that cannot be used; the message is one line."""


@dataclass(frozen=True, slots=True)
class Module:
    """A module: its file, the name that the guest knows it by, and its arguments.

    `uncompress` says that the guest gets the file as gzip has packed it, unpacked.
    """

    file: Path
    name: str
    arguments: str = ""
    uncompress: bool = False


@dataclass(frozen=True, slots=True)
class Entry:
    """An entry, all files found: bootstrap, the modules in order, bootstrap's own arguments.

    `search` is where libraries of further programs are looked for.
    """

    bootstrap: Path
    modules: tuple[Module, ...]
    append: str = ""
    search: tuple[Path, ...] = ()


class _Wanted(NamedTuple):
    """A module as a list asks for it: `FILE ARGUMENTS` and its options."""

    words: str
    name: str = ""
    uncompress: bool = False
    scanned: bool = True
    default: bool = False


def _default_slots() -> dict[str, _Wanted]:
    names = zip(_SLOTS, ("fiasco", "sigma0", "moe"), strict=True)
    return {slot: _Wanted(name, default=True) for slot, name in names}


@dataclass(slots=True)
class _Draft:
    """An entry while it is read: command lines whose files are not looked for yet."""

    bootstrap: str = "bootstrap"
    slots: dict[str, _Wanted] = field(default_factory=_default_slots)
    modules: list[_Wanted] = field(default_factory=list)
    modaddr: str = ""
    search: list[str] = field(default_factory=list)
    found: bool = False
    no_defaults: bool = False

    def in_order(self) -> list[_Wanted]:
        """Kernel, sigma0 and root task, then the others."""
        slots = [self.slots[slot] for slot in _SLOTS]
        return [
            *(wanted for wanted in slots if not (wanted.default and self.no_defaults)),
            *self.modules,
        ]

    def append(self) -> str:
        """Bootstrap's arguments; it is told where modules lie unless it says so itself."""
        words = self.bootstrap.partition(" ")[2].strip()
        if not self.modaddr:
            return words
        if _MODADDR.search(words):
            return re.sub(r"-modaddr[\s=]+%modaddr%", f"-modaddr={self.modaddr}", words)
        return f"{words} -modaddr={self.modaddr}".strip()


def find_modules(lines: Iterable[str], search: Sequence[Path]) -> tuple[Module, ...]:
    """Find the files of module command lines, `FILE ARGUMENTS`. Raises ModulesError."""
    modules = [_module(_Wanted(line), search) for line in lines]
    return (*modules, *libraries_of(modules, modules, search))


def search_path(environment: Mapping[str, str]) -> list[Path]:
    """The folders of MODULE_SEARCH_PATH."""
    folders = map(Path, re.split(r"[:\s]+", environment.get(_SEARCH_PATH, "").strip()))
    return [folder for folder in folders if folder != Path()]


def read_entry(
    path: Path,
    name: str,
    search: Sequence[Path],
    *,
    allow_commands: bool = False,
    environment: Mapping[str, str] = os.environ,
) -> Entry:
    """Read entry `name` of the list `path`; its files are looked for in `search`.

    allow_commands: whether lines may run programs, which they do in the list's folder. Raises
    ModulesError, one line, for an entry or a file that does not exist.
    """
    given = [*search, *search_path(environment)]
    target = _target([*given, path.parent], environment)
    lines = list(_lines(path, (), target, environment))
    paths = [path.parent / line.text for line in lines if line.kind == "searchpath"]
    target = _target([*given, *paths, path.parent], environment)
    reader = _Reader(target, environment, allow_commands=allow_commands)
    draft = reader.read(lines, name)
    if not draft.found:
        names = [line.text for line in lines if line.kind in ("entry", "title")]
        raise ModulesError(
            f"{path}: has no entry {name!r}; there are: {', '.join(names) or 'none'}"
        )
    searched = (*given, *(path.parent / folder for folder in draft.search), path.parent)
    wanted = draft.in_order()
    found = [_module(each, searched) for each in wanted]
    scanned = [module for each, module in zip(wanted, found, strict=True) if each.scanned]
    modules = (*found, *libraries_of(scanned, found, searched))
    bootstrap = _module(_Wanted(draft.bootstrap), searched)
    return Entry(bootstrap.file, modules, draft.append(), searched)


def libraries_of(
    programs: Iterable[Module], present: Iterable[Module], search: Sequence[Path]
) -> tuple[Module, ...]:
    """The shared libraries and the loader that `programs` need, beside those that are `present`.

    In alphabetical order, as L4Re's tool adds them. Raises ModulesError for one that is missing.
    """
    search = [*search, *_library_folders(search)]
    needed: set[str] = set()
    found: dict[str, Module] = {}
    names = {module.name for module in present}
    files = [module.file for module in programs]
    while files:
        new = {name for file in files for name in needed_files(file)} - needed
        needed |= new
        at_hand = {module.name: module for module in present if module.name in new}
        for name in new - names:
            found[name] = _module(_Wanted(name), search)
        files = [(found.get(name) or at_hand[name]).file for name in new]
    return tuple(found[name] for name in sorted(found))


def _library_folders(search: Sequence[Path]) -> list[Path]:
    """The folders with the libraries of what lies in `bin/SYSTEM/ABI` of a build tree.

    That is `lib/SYSTEM/ABI`, in newer trees `lib/SYSTEM/std/ABI`.
    """
    folders = [
        folder.parents[2] / "lib" / folder.parent.name / variant / folder.name
        for folder in map(Path.absolute, search)
        if len(folder.parents) > 2 and folder.parent.parent.name == "bin"
        for variant in ("", "std")
    ]
    return [folder for folder in folders if folder.is_dir()]


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


class _Target(NamedTuple):
    """The processor that `[arch=]` and `[bits=]` are compared with."""

    architecture: str
    bits: str


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

    def is_for(self, target: _Target) -> bool:
        """Whether the line counts on this processor."""
        architecture, bits = self.option("arch"), self.option("bits")
        return (architecture is None or target.architecture in architecture.split("|")) and (
            bits is None or target.bits in bits.split("|")
        )

    def wanted(self, words: str) -> _Wanted:
        """A module with this line's options."""
        return _Wanted(
            words,
            self.option("fname") or "",
            self.option("uncompress") is not None,
            self.option("no-shlib-scan") is None,
        )


class _Reader:
    """Reads one entry from a list's lines."""

    def __init__(
        self, target: _Target, environment: Mapping[str, str], *, allow_commands: bool
    ) -> None:
        self._target = target
        self._environment = {
            **environment,
            "ARCH": target.architecture,
            "BITS": target.bits,
        }
        self._allow_commands = allow_commands
        self._draft = _Draft()
        self._groups: dict[str, list[_Line]] = {}
        self._group: list[_Line] | None = None
        self._in_entry = False
        self._before_entries = True

    def read(self, lines: Iterable[_Line], wanted: str) -> _Draft:
        draft = self._draft
        for line in lines:
            if line.kind in ("entry", "title"):
                if draft.found:
                    break
                self._group = None
                self._before_entries = False
                named = line.text.lower() == wanted.lower()
                self._in_entry = draft.found = named and line.is_for(self._target)
                draft.no_defaults = draft.found and line.option("no-defaults") is not None
            elif line.kind == "modaddr":
                if self._before_entries or self._in_entry or self._group is not None:
                    draft.modaddr = line.text.split()[0] if line.text else ""
            elif line.kind == "group":
                self._in_entry = False
                self._group = self._groups.setdefault(line.text.partition(" ")[0], [])
            elif self._set_default(line):
                continue
            elif self._group is not None:
                self._group.append(line)
            elif self._in_entry:
                self._take(line)
        return draft

    def _set_default(self, line: _Line) -> bool:
        """Take a line that counts wherever it stands; returns whether it was one."""
        slot = line.kind.removeprefix("default-")
        if line.kind == "searchpath":
            self._draft.search += self._words(line)
        elif slot == line.kind or slot not in _DEFAULTS:
            return False
        else:
            for words in self._words(line)[:1]:
                if slot == "bootstrap":
                    self._draft.bootstrap = words
                else:
                    self._draft.slots[slot] = line.wanted(words)._replace(default=True)
        return True

    def _take(self, line: _Line) -> None:
        """Take a line of the entry that is wanted."""
        if line.kind not in _KINDS:
            raise line.error(f"{line.kind!r} is no kind of line that is known")
        if line.kind == "initrd" or (line.kind, line.text.lower()) == ("set", "mode linux"):
            raise line.error("an entry that boots Linux: name its kernel as an image of its own")
        for words in self._words(line) if line.kind != "set" else ():
            if line.kind == "module-group":
                self._take_groups(line, words)
            elif line.kind == "bootstrap":
                self._draft.bootstrap = words
            elif line.kind in _SLOTS:
                self._draft.slots[line.kind] = line.wanted(words)
            else:
                if line.kind == "moe":
                    script = words.rpartition("/")[2]
                    self._draft.slots["roottask"] = line.wanted(f"moe rom/{script}")
                self._draft.modules.append(line.wanted(words))

    def _take_groups(self, line: _Line, names: str) -> None:
        for name in names.split():
            if name not in self._groups:
                raise line.error(f"unknown group {name!r}")
            for member in self._groups[name]:
                if member.kind not in _KINDS:
                    raise member.error(f"{member.kind!r} is no kind of line that is known")
                self._draft.modules += [member.wanted(words) for words in self._words(member)]

    def _words(self, line: _Line) -> list[str]:
        """The module command lines that a line is, finds or prints."""
        if not line.is_for(self._target):
            return []
        for option in ("perl", "shell"):
            if line.option(option) is not None:
                return self._printed(line, option)
        if line.option("glob") is not None:
            patterns = line.text.split()
            found = (sorted(line.path.parent.glob(pattern)) for pattern in patterns)
            return [str(path) for paths in found for path in paths]
        return [line.text] if line.text else []

    def _printed(self, line: _Line, option: str) -> list[str]:
        if not self._allow_commands:
            instead = "name the modules instead, or allow it with --lkl-qemu-allow-commands"
            raise line.error(f"[{option}] would run a program: {instead}")
        command = ["sh", "-c", line.text]
        if option == "perl":
            command = ["perl", "-e", 'print join("\\n", eval shift); die $@ if $@', line.text]
        try:
            done = subprocess.run(
                command,
                cwd=line.path.parent,
                env=self._environment,
                stdin=subprocess.DEVNULL,
                capture_output=True,
                text=True,
                errors="surrogateescape",
                timeout=_COMMAND_SECONDS,
                check=False,
            )
        except (OSError, subprocess.TimeoutExpired) as error:
            raise line.error(f"[{option}]: {error}") from None
        if done.returncode != 0:
            said = done.stderr.strip().splitlines()
            raise line.error(f"[{option}] failed: {said[-1] if said else done.returncode}")
        return [words for words in done.stdout.splitlines() if words]


def _lines(
    path: Path, above: tuple[Path, ...], target: _Target, environment: Mapping[str, str]
) -> Iterator[_Line]:
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
        if line.kind != "include":
            yield line
        elif line.is_for(target):
            for name in _included(path.parent, line.text, environment):
                yield from _lines(name, (*above, path), target, environment)


def _included(folder: Path, pattern: str, environment: Mapping[str, str]) -> list[Path]:
    """The files that an include line names: `${NAME}` is the environment's, empty without."""
    pattern = re.sub(r"\$\{(\w+)\}", lambda name: environment.get(name[1], ""), pattern)
    path = folder / Path(pattern).expanduser()
    if any(character in str(path) for character in "*?["):
        return sorted(Path("/").glob(str(path.absolute()).lstrip("/")))
    return [path]


def _target(search: Sequence[Path], environment: Mapping[str, str]) -> _Target:
    """The processor: the environment's, else that which bootstrap or the kernel is for."""
    architecture = environment.get("ARCH") or _architecture(search)
    bits = "32" if architecture in _NARROW else "64"
    return _Target(architecture, environment.get("BITS") or bits)


def _architecture(search: Sequence[Path]) -> str:
    """L4Re's name for the processor that the kernel is for: `amd64` where none is found."""
    for folder in search:
        for name in ("fiasco", "sigma0", "moe", "bootstrap"):
            try:
                machine = identify(folder / name).machine
            except ExecutableError:
                continue
            return _ARCHITECTURES.get(machine, machine)
    return "amd64"


def _module(wanted: _Wanted, search: Sequence[Path]) -> Module:
    name, _, arguments = wanted.words.strip().partition(" ")
    candidates = [Path(name)] if name.startswith("/") else [folder / name for folder in search]
    for path in candidates:
        if path.is_file():
            name = wanted.name or path.name
            return Module(path.absolute(), name, arguments.strip(), wanted.uncompress)
    if "://" in name:
        raise ModulesError(f"{name}: is not fetched: fetch it, and name the file")
    raise ModulesError(f"{name}: not found in {', '.join(dict.fromkeys(map(str, search)))}")
