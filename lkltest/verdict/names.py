# SPDX-License-Identifier: GPL-2.0-only
"""Names kept apart: of two results with one name, most readers of a report show the first alone."""

from __future__ import annotations

from collections.abc import Iterable


class Names:
    """Keeps names apart: the second `readdir` becomes `readdir#2`.

    Memory is bounded: after `limit` distinct names every further one carries its ordinal
    (`name#20001`), which is unique without remembering it.
    """

    def __init__(self, taken: Iterable[str] = (), limit: int = 20_000) -> None:
        self._seen: dict[str, int] = {}
        self._limit = limit
        self._full = False
        self._ordinal = 0
        for name in taken:
            self.claim(name)

    def claim(self, name: str) -> str:
        """Return `name`, or the first `name#N` that nobody has claimed yet."""
        self._ordinal += 1
        seen = self._seen
        if self._full:
            suffix = f"#{self._ordinal}"
            if not name.endswith(suffix):  # claimed elsewhere already, at the same place
                name += suffix
            while name in seen:
                name += suffix
            return name
        if name not in seen:
            self._remember(name, 1)
            return name
        number = seen[name]
        unique = name
        while unique in seen:
            number += 1
            unique = f"{name}#{number}"
        seen[name] = number
        self._remember(unique, 1)
        return unique

    def _remember(self, name: str, number: int) -> None:
        self._seen[name] = number
        self._full = len(self._seen) >= self._limit
