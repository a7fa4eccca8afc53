# SPDX-License-Identifier: GPL-2.0-only
"""The names of addresses in a machine, from the files that it booted with."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path

from lkltest.host.elf_symbols import elf_symbols, holds

_FAR = 1 << 20
"""A symbol without a size that is further away than this says nothing."""
_CUT = 15
"""Characters that Fiasco keeps of a name."""
_MOST = 3


class Symbols:
    """The symbols of some files, read when an address is asked for.

    Args:
        files: the likeliest first.
        modules: files by the names that the guest knows them by.
        folders: where the files of modules are that nobody has named, as in an image of one file.
    """

    def __init__(
        self,
        files: Sequence[Path],
        modules: Mapping[str, Path] | None = None,
        folders: Sequence[Path] = (),
    ) -> None:
        self._files = files
        self._modules = modules or {}
        self._folders = folders

    def of(self, program: str, address: int = 0, code: bytes = b"") -> Symbols:
        """The symbols of one program: of this name, or with these bytes at this address.

        All of them where none is that.
        """
        path = self._module(program) if program else None
        if path is not None:
            return Symbols([path])
        if code:
            files = [path for path in self._files if holds(path, address, code)]
            return Symbols(files) if files else self
        return self

    def name(self, address: int) -> str:
        """`function+0x12 of file`, or empty when no file has a symbol for it.

        Programs lie at the same addresses: where several files have one, they are all named.
        """
        return self.function(address) or next(self._names(address, sized=False), "")

    def function(self, address: int) -> str:
        """As `name`, only of symbols that have a size."""
        return " or ".join(list(self._names(address, sized=True))[:_MOST])

    def _names(self, address: int, *, sized: bool) -> Iterator[str]:
        for path in self._files:
            around = (
                (address - start, size, name)
                for start, size, name in elf_symbols(path)
                if 0 <= address - start < (size if sized else _FAR) and bool(size) is sized
            )
            offset, _, name = min(around, default=(0, 0, ""))
            if name:
                yield f"{name}{f'+{offset:#x}' if offset else ''} of {path.name}"

    def _module(self, program: str) -> Path | None:
        for name, path in self._modules.items():
            if name == program or (len(program) >= _CUT and name.startswith(program)):
                return path
        return next(
            (folder / program for folder in self._folders if (folder / program).is_file()), None
        )
