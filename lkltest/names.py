# SPDX-License-Identifier: GPL-2.0-only
"""Names kept apart: of two results with one name, most readers of a report show the first alone."""

from __future__ import annotations

from collections.abc import Iterable


class Names:
    """Keeps names apart: the second `readdir` becomes `readdir#2`.

    Memory is bounded: after `limit` distinct names every further one carries its ordinal
    (`name#100001`), which is unique without remembering it.
    """

    def __init__(self, taken: Iterable[str] = (), limit: int = 100_000) -> None:
        self._seen: dict[str, int] = {}
        self._limit = limit
        self._ordinal = 0
        for name in taken:
            self.claim(name)

    def claim(self, name: str) -> str:
        """Return `name`, or the first `name#N` that nobody has claimed yet."""
        self._ordinal += 1
        seen = self._seen
        if name not in seen and len(seen) < self._limit:
            seen[name] = 1
            return name
        if len(seen) >= self._limit:
            suffix = f"#{self._ordinal}"
            name = name if name.endswith(suffix) else name + suffix
        number = seen.get(name, 1)
        unique = name
        while unique in seen:
            number += 1
            unique = f"{name}#{number}"
        if len(seen) < self._limit:
            seen[name] = number
            seen[unique] = 1
        return unique
