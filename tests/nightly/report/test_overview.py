# SPDX-License-Identifier: GPL-2.0-only
"""The page of all nights, and which part of a log the page of a night opens with."""

import json
from datetime import datetime, timedelta
from pathlib import Path

from lkltest.nightly.commands.overview import write_overview
from lkltest.nightly.history.store import History, RunRow
from lkltest.nightly.report.failed_points import FailedPoint

START = datetime(2025, 7, 15, 2, 0, 1)


def fill(history: History, directory: Path, nights: int, cells: int) -> list[str]:
    """Nights of cells of which one in 97 fails, with folders that have pages."""
    found = []
    for number in range(nights):
        when = START + timedelta(days=number)
        night = when.strftime("%Y-%m-%dT%H-%M-%S")
        history.begin_night(night, when.timestamp(), "lab", "0.1.0")
        rows = []
        for place in range(cells):
            bad = (number * cells + place) % 97 == 0
            outcome = "failed" if bad else "passed"
            cell = f"disk[v{place}]@native#<b>"
            row = RunRow(cell, "<b>", "native", "disk", f"v{place}", 0, outcome, 60.0, 0.0)
            rows.append(row)
        history.add(night, rows)
        folder = directory / "nights" / night
        folder.mkdir(parents=True)
        (folder / "index.html").touch()
        head = {"started": when.timestamp(), "verdict": "failing", "headline": "no news, 1 <b>"}
        (folder / "night.json").write_text(json.dumps(head))
        if number < nights - 1:
            history.finish_night(night, when.timestamp() + 60)
        found.append(night)
    return found


def test_five_hundred_nights_are_a_small_page(tmp_path: Path) -> None:
    with History(None) as history:
        nights = fill(history, tmp_path, 500, 100)
        file = write_overview(history, tmp_path, "lab")
    assert file is not None
    page = file.read_text()
    assert len(page) < 2_000_000
    assert page.count('class="failing" style=') == 499, "each day is in the calendar"
    assert page.count('class="unfinished" style=') == 1
    assert all(f'href="nights/{night}/index.html"' in page for night in nights)
    assert "<b>" not in page


def test_without_nights_and_with_odd_names(tmp_path: Path) -> None:
    with History(None) as history:
        file = write_overview(history, tmp_path, "lab")
        assert file is not None and "no nights yet" in file.read_text()
        for number, name in enumerate(("by hand", "2026-02-30T00-00-00", "2026-13-01")):
            history.begin_night(name, float(number), "lab", "0")
            history.finish_night(name, number + 0.5)
        file = write_overview(history, tmp_path, "lab")
        assert file is not None and "by hand" in file.read_text()


def test_a_log_opens_at_the_line_that_matters() -> None:
    quiet = [f"step {number}\n" for number in range(40)]
    told = "[ 1.2] Kernel panic - not syncing: dumptest\n"
    point = FailedPoint("a", "b", None, "kernel panic: dumptest", "".join([*quiet, told]), "x")
    assert point.matter.startswith("step 35\n") and point.matter.endswith(told)
    assert point.earlier + point.matter == point.log
    short = FailedPoint("a", "b", None, "x", f"{quiet[0]}{told}", "x")
    assert short.earlier == ""
