# SPDX-License-Identifier: GPL-2.0-only
"""The night's view of what a scheduler says of its workers."""

from dataclasses import replace
from typing import Any

from lkltest.nightly.cluster.worker import _facts
from lkltest.nightly.cluster.workers import (
    ANNOUNCED,
    SILENCE,
    Versions,
    Workers,
    resource,
    unfit,
)
from lkltest.plain import to_plain

OURS = Versions("1.2", "2026.8", "3.11.2")
NATIVE = resource("native", OURS, default_build=False)


def info(name: str, heard: float, versions: Versions = OURS) -> dict[str, Any]:
    said = {**to_plain(versions), "system": "Linux 6.1 x86_64", "hosts": "native"}
    places = {resource("native", versions, default_build=False): 2.0}
    return {
        "name": name,
        "nthreads": 2,
        "resources": places,
        "last_seen": heard,
        ANNOUNCED: said,
    }


def texts(workers: Workers, infos: dict[str, Any], now: float) -> list[str]:
    return [notice.text for notice in workers.look(infos, now)]


def test_a_worker_is_named_with_its_versions_and_counts() -> None:
    workers = Workers(OURS)
    said = "worker lab-1 is there: lkltest 1.2, Python 3.11.2, Linux 6.1 x86_64; native"
    assert texts(workers, {"a": info("lab-1", 1.0)}, 0.0) == [said]
    assert texts(workers, {"a": info("lab-1", 2.0)}, 1.0) == []
    assert workers.places == {NATIVE: 2} and workers.threads == 2


def test_another_python_is_fit() -> None:
    assert unfit(to_plain(replace(OURS, python="3.13.0")), OURS) == ""


def test_an_unfit_worker_is_named_and_has_no_place() -> None:
    older = info("old", 1.0, replace(OURS, lkltest="1.1"))
    fewer = info("older", 1.0)
    del fewer[ANNOUNCED]["dask"]
    other = {"name": "dask", "nthreads": 1, "resources": {}, "last_seen": 1.0}
    workers = Workers(OURS)
    assert texts(workers, {"a": older, "b": fewer, "c": other}, 0.0) == [
        "worker old gets no cell: it has lkltest 1.1, this night 1.2",
        "worker older gets no cell: it has dask an older version, this night 2026.8",
        "worker dask gets no cell: it is no lkltest worker, or an older one",
    ]
    assert texts(Workers(OURS), {"a": older}, 0.0)[0].startswith("worker old")
    workers = Workers(OURS)
    workers.look({"a": older}, 0.0)
    assert workers.places[NATIVE] == 0


def test_a_frozen_worker_is_named_once_and_has_no_place_until_it_answers() -> None:
    workers = Workers(OURS)
    workers.look({"a": info("lab-1", 1.0), "b": info("lab-2", 1.0)}, 0.0)
    assert texts(workers, {"a": info("lab-1", 1.0), "b": info("lab-2", 2.0)}, SILENCE / 2) == []
    frozen = {"a": info("lab-1", 1.0), "b": info("lab-2", 3.0)}
    (said,) = texts(workers, frozen, SILENCE + 1)
    assert said.startswith("worker lab-1 is frozen")
    assert texts(workers, {**frozen, "b": info("lab-2", 4.0)}, SILENCE + 2) == []
    assert workers.silent() == {"a": "lab-1"} and workers.places[NATIVE] == 2
    again = {"a": info("lab-1", 5.0), "b": info("lab-2", 5.0)}
    assert texts(workers, again, SILENCE + 3) == ["worker lab-1 answers again"]
    assert workers.places[NATIVE] == 4


def test_a_lost_worker_is_named_and_so_is_its_return() -> None:
    workers = Workers(OURS)
    workers.look({"a": info("lab-1", 1.0)}, 0.0)
    lost = workers.look({}, 1.0)
    assert [notice.text for notice in lost] == [
        "worker lab-1 is lost: what it ran runs once more elsewhere"
    ]
    (back,) = workers.look({"b": info("lab-1", 3.0)}, 2.0)
    assert back.text.startswith("worker lab-1 is back: ") and back.trouble


def test_a_worker_says_no_more_of_a_host_than_its_version() -> None:
    class Talker:
        def properties(self) -> dict[str, str]:
            return {"wine": "8.0", "PE32": "missing: apt-get install wine32"}

    assert _facts(Talker(), "wine") == "wine (8.0)"  # type: ignore[arg-type]
