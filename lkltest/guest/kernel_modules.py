# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's modules: what it can load, in which order, and what it has built in.

Source: modules.dep, .builtin, .softdep and .alias as depmod(8) and the kernel's build write them.
"""

from __future__ import annotations

import lzma
import zlib
from collections.abc import Iterable, Iterator
from functools import cached_property
from pathlib import Path, PurePosixPath


class KernelModules:
    """The modules under `directory` (`/lib/modules/RELEASE`); None: nothing is known of any."""

    def __init__(self, directory: Path | None) -> None:
        self.directory = directory

    @cached_property
    def builtin(self) -> frozenset[str]:
        """Names of the modules that are part of the kernel."""
        return frozenset(_name(line) for line in self._lines("modules.builtin"))

    @cached_property
    def _dependencies(self) -> dict[str, tuple[str, list[str]]]:
        found = {}
        for line in self._lines("modules.dep"):
            path, _, rest = line.partition(":")
            found[_name(path)] = (path, rest.split())
        return found

    @cached_property
    def _asked_for(self) -> dict[str, list[str]]:
        """The modules that others ask for by name while they run, such as crc32c for ext4."""
        found: dict[str, list[str]] = {}
        for line in self._lines("modules.softdep"):
            match line.split():
                case ["softdep", name, "pre:", *wanted]:
                    wanted = wanted[: wanted.index("post:")] if "post:" in wanted else wanted
                    found.setdefault(_canonical(name), []).extend(map(_canonical, wanted))
        return found

    @cached_property
    def _aliases(self) -> dict[str, list[str]]:
        """Modules by what else they are called; patterns of devices are left out."""
        found: dict[str, list[str]] = {}
        for line in self._lines("modules.alias"):
            words = line.split()
            if len(words) == 3 and not set(words[1]) & set("*:?["):
                found.setdefault(_canonical(words[1]), []).append(_canonical(words[2]))
        return found

    def has(self, name: str) -> bool:
        """Whether the kernel has `name`, built in or as a module."""
        return _canonical(name) in self.builtin or _canonical(name) in self._dependencies

    def files(self, names: Iterable[str]) -> list[Path]:
        """The files to load for `names`, each after those it needs; built in ones need none.

        Names that the kernel does not have are left out. Included is what modules would have
        modprobe load, as there is none in a guest.
        """
        found: dict[str, None] = {}
        for name in names:
            self._add(_canonical(name), found, set())
        return [Path(self.directory or "", path) for path in found]

    def _add(self, name: str, found: dict[str, None], begun: set[str]) -> None:
        entry = self._dependencies.get(name)
        if entry is None or entry[0] in found or name in begun:
            return
        begun.add(name)
        # modules.dep lists all that a module needs, the deepest last.
        for needed in (*map(_name, reversed(entry[1])), *self._asked_for.get(name, ())):
            self._add(self._module(needed), found, begun)
        found.setdefault(entry[0])

    def _module(self, name: str) -> str:
        """The module behind a name; one for special processors is none, its like is built in."""
        if name in self._dependencies or name in self.builtin:
            return name
        return next((it for it in self._aliases.get(name, ()) if it.endswith("_generic")), name)

    def _lines(self, name: str) -> Iterator[str]:
        if self.directory is None:
            return
        try:
            text = (self.directory / name).read_text(encoding="utf-8", errors="replace")
        except OSError:
            return
        yield from (line for line in text.splitlines() if line.strip())


def read_module(path: Path) -> bytes:
    """A module's content as the kernel loads it: unpacked (.xz, .gz). Raises OSError."""
    data = path.read_bytes()
    try:
        if path.suffix == ".xz":
            return lzma.decompress(data)
        if path.suffix == ".gz":
            return zlib.decompress(data, wbits=31)
    except (lzma.LZMAError, zlib.error) as error:
        raise OSError(0, str(error), str(path)) from None
    return data


def _name(path: str) -> str:
    return _canonical(PurePosixPath(path).name.split(".ko")[0])


def _canonical(name: str) -> str:
    return name.replace("-", "_")
