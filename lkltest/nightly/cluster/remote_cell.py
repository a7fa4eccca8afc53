# SPDX-License-Identifier: GPL-2.0-only
"""One cell on a Dask worker: find its build, run it, hand the record back.

A worker takes a build by its path if what is there has the right content; else a copy by content
hash; else it asks for one, and the night puts it where the engine's scheduler keeps it.
"""

from __future__ import annotations

import functools
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lkltest.nightly.cluster.build_copy import BadCopy, build_files, content_hash, copy_of, unpack
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.nightly.run.runner import Quiet, run_cells
from lkltest.plain import from_plain, to_plain

WANTED = "build wanted"
"""The key of an answer that asks for a build, by its content hash."""
MACHINE = "lkltest_machine"
"""The attribute of a worker that says under which name its times are compared."""
CHUNK = 4 << 20
_SECONDS = 120.0


def variable_name(digest: str, part: int) -> str:
    """The name of the Dask variable that holds one part of an archive."""
    return f"lkltest-build-{digest}-{part}"


def run_remote(
    data: Mapping[str, Any], digest: str, sent: int, machine: str = ""
) -> dict[str, Any]:
    """Run one cell on this worker.

    Args:
        data: the cell, in plain types.
        digest: content hash of its build, "" for the default build of this machine's host.
        sent: in how many parts the scheduler holds the build, 0 when it does not.
        machine: the name under which times are compared, "" for the worker's own.

    Returns:
        The record in plain types, or `{WANTED: digest}`.
    """
    cell = from_plain(Cell, data)
    machine = machine or _machine()
    if not digest or cell.path is None:
        return to_plain(_run(cell, machine))
    try:
        path = _local(Path(cell.path), digest)
        if path is None and not sent:
            return {WANTED: digest}
        path = path or unpack(_fetch(digest, sent), digest, _copies())
    except (OSError, BadCopy) as error:
        message = f"build {cell.build} cannot be had on {machine}: {error}"
        return to_plain(CellRecord(cell, error=message, machine=machine))
    record = _run(replace(cell, path=str(path)), machine)
    # The record is the cell's as it was asked for: where a copy lies is nobody's business.
    return to_plain(replace(record, cell=cell))


class Withdrawn(Exception):
    """Nobody waits for this cell any more: its night was interrupted, or the scheduler has gone."""


class _Watch(Quiet):
    """Ends the cell once it is withdrawn; Dask itself leaves a thread that has begun alone."""

    def __init__(self) -> None:
        super().__init__()
        from distributed import get_worker

        self._worker = get_worker()
        self._task = self._worker.get_current_task()

    def waiting(self) -> None:
        state = self._worker.state.tasks.get(self._task)
        closing = self._worker.status.name in ("closing", "closed", "failed")
        if state is None or state.state == "cancelled" or closing:
            raise Withdrawn


def _run(cell: Cell, machine: str) -> CellRecord:
    watch = _Watch()
    run_cells([cell], 1, watch, machine)
    return watch.records[0]


def _machine() -> str:
    from distributed import get_worker

    return str(getattr(get_worker(), MACHINE, "") or get_worker().name)


def _local(path: Path, digest: str) -> Path | None:
    if _hash_here(path, _stamp(path)) == digest:
        return path
    return copy_of(digest, _copies())


@functools.lru_cache(maxsize=64)
def _hash_here(path: Path, stamp: tuple[int, ...]) -> str:
    """The hash of what is at `path` here; kept as long as it looks the same."""
    del stamp
    try:
        return content_hash(path)
    except OSError:
        return ""


def _stamp(path: Path) -> tuple[int, ...]:
    try:
        states = [file.stat() for file in build_files(path)]
    except OSError:
        return ()
    return tuple(number for state in states for number in (state.st_mtime_ns, state.st_size))


def _copies() -> Path:
    """Below the worker's own directory, which goes when it ends."""
    from distributed import get_worker

    return Path(get_worker().local_directory) / "builds"


def _fetch(digest: str, sent: int) -> bytes:
    from distributed import Variable, get_client

    client = get_client()
    names = [variable_name(digest, part) for part in range(sent)]
    try:
        return b"".join(Variable(name, client=client).get(timeout=_SECONDS) for name in names)
    except TimeoutError:
        raise BadCopy(f"build {digest[:12]} did not come within {_SECONDS:g} s") from None
