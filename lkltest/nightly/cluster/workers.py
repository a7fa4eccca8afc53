# SPDX-License-Identifier: GPL-2.0-only
"""The workers of a cluster as a night sees them: what they are, and what becomes of them.

What a worker announces is plain data, so that versions that differ can be told apart and named: a
pickle of ours would not even load. Pure; the scheduler's own words come in.
"""

from __future__ import annotations

import importlib.metadata
import platform
from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from lkltest.plain import from_plain

ANNOUNCED = "lkltest"
"""The key under which a worker announces its versions."""
SILENCE = 15.0
"""Seconds without a heartbeat, which come every second or two, after which a worker is frozen."""


@dataclass(frozen=True, slots=True)
class Versions:
    """The versions of a worker, or of a night. `hosts`: what each says of itself."""

    lkltest: str
    dask: str
    python: str
    system: str = ""
    hosts: str = ""

    def __str__(self) -> str:
        return f"lkltest {self.lkltest}, Python {self.python}, {self.system}; {self.hosts}"


def versions_here(hosts: str = "") -> Versions:
    """The versions of this process."""
    return Versions(
        importlib.metadata.version("lkltest"),
        importlib.metadata.version("distributed"),
        platform.python_version(),
        f"{platform.system()} {platform.release()} {platform.machine()}",
        hosts,
    )


def resource(host: str, ours: Versions, *, default_build: bool) -> str:
    """The Dask resource of a worker that runs `host`, or that also has its default build.

    It has the versions in it, so that Dask itself gives no cell to a worker of others.
    """
    fit = f"lkltest-{ours.lkltest}-dask-{ours.dask}-{host}"
    return f"{fit}-default" if default_build else fit


def unfit(announced: object, ours: Versions) -> str:
    """The reason why a worker cannot take a night's cells, "" where it can."""
    if not isinstance(announced, Mapping):
        return "it is no lkltest worker, or an older one"
    for name in ("lkltest", "dask"):
        theirs, wanted = announced.get(name, "an older version"), getattr(ours, name)
        if theirs != wanted:
            return f"it has {name} {theirs}, this night {wanted}"
    return ""


@dataclass(frozen=True, slots=True)
class Notice:
    """A line about a worker; `trouble` where a report has to tell it, too."""

    text: str
    trouble: bool = True


@dataclass(slots=True)
class _Worker:
    """A worker that the scheduler knows; `heard` is the moment of its last heartbeat, by its clock,
    and `since` when that was seen, by ours.
    """

    name: str
    heard: float
    since: float
    silent: bool = False


class Workers:
    """All workers of a scheduler, with the places that they have for cells."""

    def __init__(self, ours: Versions) -> None:
        self.places: Counter[str] = Counter()
        """The number of cells that fit on the workers that answer, by resource."""
        self.threads = 0
        self._ours = ours
        self._known: dict[str, _Worker] = {}
        self._lost: set[str] = set()

    def silent(self) -> dict[str, str]:
        """The names of the workers that do not answer, by address."""
        return {address: one.name for address, one in self._known.items() if one.silent}

    def look(self, infos: Mapping[str, Mapping[str, Any]], now: float) -> list[Notice]:
        """Take over what the scheduler says of its workers; returns what is new of them."""
        found: list[Notice] = []
        for address, info in infos.items():
            found += self._at(address, info, now)
        for address in [address for address in self._known if address not in infos]:
            name = self._known.pop(address).name
            self._lost.add(name)
            found.append(Notice(f"worker {name} is lost: what it ran runs once more elsewhere"))
        self._count(infos)
        return found

    def _at(self, address: str, info: Mapping[str, Any], now: float) -> Iterator[Notice]:
        known = self._known.get(address)
        heard = float(info.get("last_seen") or 0)
        if known is None:
            name = str(info.get("name") or address)
            self._known[address] = _Worker(name, heard, now)
            yield self._new(name, info.get(ANNOUNCED))
        elif heard != known.heard:
            known.heard, known.since = heard, now
            if known.silent:
                known.silent = False
                yield Notice(f"worker {known.name} answers again")
        elif now - known.since > SILENCE and not known.silent:
            known.silent = True
            yield Notice(f"worker {known.name} is frozen, or cut off: silent for {SILENCE:g} s")

    def _new(self, name: str, announced: object) -> Notice:
        why = unfit(announced, self._ours)
        if why:
            return Notice(f"worker {name} gets no cell: {why}")
        back = name in self._lost
        self._lost.discard(name)
        facts = dict(announced) if isinstance(announced, Mapping) else {}
        said = from_plain(Versions, {key: facts.get(key, "?") for key in Versions.__slots__})
        return Notice(f"worker {name} is {'back' if back else 'there'}: {said}", trouble=back)

    def _count(self, infos: Mapping[str, Mapping[str, Any]]) -> None:
        self.places.clear()
        self.threads = 0
        for address, info in infos.items():
            if not self._known[address].silent:
                self.threads += int(info.get("nthreads") or 0)
                for name, amount in (info.get("resources") or {}).items():
                    self.places[name] += int(amount)
