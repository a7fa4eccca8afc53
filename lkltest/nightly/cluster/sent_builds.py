# SPDX-License-Identifier: GPL-2.0-only
"""The builds of a night that workers asked for, kept by the scheduler as Dask variables.

Data that Dask scatters to workers is lost with the worker that has it; variables are not.
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

from lkltest.nightly.cluster.build_copy import content_hash, pack
from lkltest.nightly.cluster.remote_cell import CHUNK, variable_name


class SentBuilds:
    """Content hashes of a night's builds, and which of them the scheduler holds."""

    def __init__(self, client: Any) -> None:
        self._client = client
        self._digests: dict[str, str] = {}
        self._parts: dict[str, int] = {}

    def digest(self, path: str | None) -> str:
        """The content hash of the build at `path`, "" for None. Raises OSError."""
        if path is None:
            return ""
        if path not in self._digests:
            self._digests[path] = content_hash(Path(path).expanduser())
        return self._digests[path]

    def parts(self, digest: str) -> int:
        """In how many parts the scheduler holds a build; 0 when it does not."""
        return self._parts.get(digest, 0)

    def send(self, path: Path, digest: str) -> None:
        """Give the scheduler an archive of a build, once. Raises OSError."""
        if digest in self._parts:
            return
        if path.suffix == ".toml":
            raise OSError("the files that it names are not known; put them on each worker, too")
        from distributed import Variable

        archive = pack(path.expanduser())
        parts = [archive[start : start + CHUNK] for start in range(0, len(archive), CHUNK)]
        for number, part in enumerate(parts):
            Variable(variable_name(digest, number), client=self._client).set(part)
        self._parts[digest] = len(parts)

    def withdraw(self) -> None:
        """Take all of them away again. Raises OSError."""
        from distributed import Variable

        for digest, parts in self._parts.items():
            for number in range(parts):
                Variable(variable_name(digest, number), client=self._client).delete()
