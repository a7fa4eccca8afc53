# SPDX-License-Identifier: GPL-2.0-only
"""A night on disk: one JSON file a cell, there whole or not at all, whatever happens to the rest.

It is what `--resume` goes on from, and what a lost history can be made of again.
"""

from __future__ import annotations

import hashlib
import json
import shutil
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any
from urllib.parse import quote

from lkltest.errors import LkltestError
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.plain import from_plain, to_plain
from lkltest.whole_file import write_whole

_NAME_LIMIT = 200


class NoNight(LkltestError):
    """A night that is not there; the message is one line."""


@dataclass(frozen=True, slots=True)
class NightFolder:
    """`path` holds `night.json`, `cells/`, `junit/` and the reports."""

    path: Path

    @property
    def id(self) -> str:
        """`2026-11-21T02-00-00`."""
        return self.path.name

    def head(self) -> dict[str, Any]:
        """`started`, `name`, `harness`, and `finished` once it is. Raises OSError, ValueError."""
        head = json.loads((self.path / "night.json").read_text(encoding="utf-8"))
        if not isinstance(head, dict) or not isinstance(head.get("started"), (int, float)):
            raise ValueError(f"{self.path / 'night.json'}: is no night's")
        return head

    def finish(
        self, moment: float, verdict: str = "", headline: str = "", notes: Sequence[str] = ()
    ) -> None:
        """Mark it as complete, with its verdict in a word and in words. Raises OSError."""
        said = {"verdict": verdict, "headline": headline, "notes": list(notes)}
        head = {**self.head(), "finished": moment, **said}
        write_whole(self.path / "night.json", json.dumps(head), durable=True)

    def write(self, record: CellRecord) -> Path:
        """Keep what came of a cell. Raises OSError."""
        path = self.path / "cells" / _file_name(record.cell)
        write_whole(path, json.dumps(to_plain(record)), durable=True)
        return path

    def records(self) -> Iterator[CellRecord]:
        """The records of cells that have ended, in no order; files that are damaged are not."""
        for path in sorted((self.path / "cells").glob("*.json")):
            try:
                yield from_plain(CellRecord, json.loads(path.read_text(encoding="ascii")))
            except (OSError, ValueError, KeyError, TypeError, AttributeError):
                continue

    def finished(self, cells: Sequence[Cell]) -> dict[str, CellRecord]:
        """The records of those of `cells` that have ended and were run as they would be now."""
        wanted = {cell.id: replace(cell, commit="") for cell in cells}
        return {
            record.cell.id: record
            for record in self.records()
            if wanted.get(record.cell.id) == replace(record.cell, commit="")
        }


def new_night(directory: Path, name: str, harness: str, started: float) -> NightFolder:
    """Make the folder of a night that begins now. Raises OSError."""
    base = time.strftime("%Y-%m-%dT%H-%M-%S", time.localtime(started))
    number = 1
    while True:
        path = directory / "nights" / (base if number == 1 else f"{base}.{number}")
        try:
            path.mkdir(parents=True)
            break
        except FileExistsError:
            number += 1
    (path / "cells").mkdir()
    head = {"started": started, "name": name, "harness": harness}
    write_whole(path / "night.json", json.dumps(head), durable=True)
    return NightFolder(path)


def nights(directory: Path) -> list[NightFolder]:
    """All nights, oldest first."""
    found = []
    for path in (directory / "nights").glob("*/night.json"):
        folder = NightFolder(path.parent)
        try:
            found.append((folder.head()["started"], folder.id, folder))
        except (OSError, ValueError):
            continue
    return [folder for *_, folder in sorted(found, key=lambda item: item[:2])]


def notes_before(folder: NightFolder) -> tuple[str, ...]:
    """The notes of the last complete night before this one."""
    directory = folder.path.parent.parent
    heads = [n.head() for n in nights(directory) if n.id != folder.id]
    complete = [head for head in heads if head.get("finished")]
    return tuple(complete[-1].get("notes", ())) if complete else ()


def remove_nights(directory: Path, older_than: float) -> int:
    """Remove the folders of nights that began before a moment; returns how many. Raises OSError."""
    gone = [folder for folder in nights(directory) if folder.head()["started"] < older_than]
    for folder in gone:
        shutil.rmtree(folder.path)
    return len(gone)


def unfinished(directory: Path, night_id: str | None = None) -> NightFolder:
    """The night to go on with: the last one, or `night_id`. Raises NoNight."""
    folders = [f for f in nights(directory) if night_id in (None, f.id)]
    if not folders:
        what = "no night" if night_id is None else f"no night {night_id}"
        raise NoNight(f"{directory}: has {what} to resume")
    folder = folders[-1]
    if folder.head().get("finished"):
        raise NoNight(f"{folder.path}: is complete, there is nothing to resume")
    return folder


def _file_name(cell: Cell) -> str:
    name = quote(cell.id, safe="[]@")
    if len(name) > _NAME_LIMIT:
        name = f"{name[:_NAME_LIMIT]}%{hashlib.sha256(name.encode()).hexdigest()[:32]}"
    return f"{name}.json"
