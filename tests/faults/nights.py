# SPDX-License-Identifier: GPL-2.0-only
"""Faults: a night whose history, or whose own folder, has no room."""

from __future__ import annotations

import shutil
import sys

from lkltest.nightly.run.store import nights
from lkltest.verdict.results import Outcome
from tests.faults.arena import PASSED, USED_WRONGLY, Arena, NotSurvived, Run
from tests.faults.surroundings import ROOT, broken

CONFIG = """
[night]
directory = "nightly"
history = "history/history.sqlite"
[builds.bundled]
[matrix]
builds = ["bundled"]
hosts = ["{host}"]
suites = [{suites}]
"""


def full_history(arena: Arena) -> None:
    """The history's disk is full, at once or later: the night says so and has all its records.

    The next night, with room, works and is told of the one that was not remembered.
    """
    room = arena.chance.choice([0, 4, 12, 20, 30])
    status, said = _night(arena, "history", room)
    folders = nights(arena.folder / "nightly")
    if len(folders) != 1 or not folders[0].head().get("finished"):
        raise NotSurvived(f"the night is not complete: {said}")
    _all_points(arena, folders[0].records())
    told = status == USED_WRONGLY and "the disk is full" in said
    enough = room > 12 and status == PASSED and "history" not in said
    if not told and not enough:
        raise NotSurvived(f"{room} pages, status {status}: {said}")
    status, said = _night(arena)
    if status != PASSED:
        raise NotSurvived(f"the next night: status {status}: {said}")


def full_night(arena: Arena) -> None:
    """The night's folder is full: it ends with a line that says so, and is not green."""
    room = arena.chance.choice([0, 3, 8, 12])
    status, said = _night(arena, "nightly", room)
    if status == PASSED or "No space left on device" not in said:
        raise NotSurvived(f"{room} pages, status {status}: {said}")


def _night(arena: Arena, full: str = "", room: int = 0) -> tuple[int, str]:
    """Run a night, its folder `full` with room for so many pages: (status, end of what it said)."""
    suites = ", ".join(f'"{suite}"' for suite in arena.suites)
    config = arena.folder / "night.toml"
    config.write_text(CONFIG.format(host=arena.host, suites=suites), encoding="utf-8")
    if full:
        for name in ("nightly", "history"):
            shutil.rmtree(arena.folder / name, ignore_errors=True)
            (arena.folder / name).mkdir()
    prefix = broken("tiny", str(arena.folder / full), str(room)) if full else ()
    command = [*prefix, sys.executable, "-m", "lkltest", "nightly", str(config)]
    run: Run = arena.launch(command, *arena.report_folders(), {"PYTHONPATH": ROOT})
    status = run.wait()
    text = "".join(run.output)
    if "Traceback" in text:
        raise NotSurvived(text[-600:])
    return status, text[-600:]


def _all_points(arena: Arena, records) -> None:  # type: ignore[no-untyped-def]
    results = [result for record in records for result in record.results]
    found = {result.id: [point.name for point in result.points] for result in results}
    wanted = {name: points for name, points in arena.reference.items() if "net[" not in name}
    if found != wanted or any(result.outcome is not Outcome.PASSED for result in results):
        raise NotSurvived(f"the records hold {found}")
