# SPDX-License-Identifier: GPL-2.0-only
"""The lines of a kernel that a night runs, held against another night's."""

from __future__ import annotations

import subprocess
from dataclasses import replace
from pathlib import Path

from lkltest.nightly.compare.coverage import by_top, changed, coverage_rows
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.nightly.report.html import page
from lkltest.nightly.report.markdown import document
from lkltest.nightly.report.text import coverage_lines
from tests.cli.test_coverage import CALLED, SOURCE, covered_build
from tests.fake_build import lkltest
from tests.nightly.config.matrices import nights
from tests.nightly.report.views import example_night

CELL = Cell("gcov", "native", "boot", coverage=True)
NOW = CellRecord(CELL, coverage={"fs/ext4": (100, 40), "fs/fat": (10, 5), "net/core": (20, 2)})
BEFORE = CellRecord(CELL, coverage={"fs/ext4": (99, 45), "net/core": (20, 2)})


def test_lines_gained_and_lost() -> None:
    rows = coverage_rows([NOW], [BEFORE])
    assert [(row.folder, row.change) for row in changed(rows)] == [("fs/ext4", -5)]
    assert coverage_lines(rows) == [
        "coverage       boot@native#gcov: fs/ext4: 5 lines lost, 40.0 % of 100"
    ]
    (fs, net) = by_top(rows)
    assert (fs.folder, fs.lines, fs.run, fs.change) == ("fs", 110, 45, 0)
    assert (net.folder, net.change) == ("net", 0)
    assert coverage_lines(coverage_rows([NOW], [])) == []


def test_the_reports_show_it() -> None:
    night = replace(example_night(), coverage=coverage_rows([NOW], [BEFORE]))
    for text in (document(night), page(night)):
        assert "Lines of the kernel that were run" in text
        assert "5 lines lost" in text
    assert "Lines of the kernel" not in document(example_night())


def test_a_night_tells_what_its_suites_run_no_more(tmp_path: Path) -> None:
    build = covered_build(tmp_path / "lkl")
    (tmp_path / "n.toml").write_text(
        f'[builds.gcov]\npath = "{build}"\ncoverage = true\n'
        '[matrix]\nbuilds = ["gcov"]\nhosts = ["native"]\nsuites = ["disk[ext4]"]\n'
    )
    first = lkltest("nightly", "n.toml", cwd=tmp_path)
    assert first.returncode == 0 and "coverage" not in first.stdout, first.stdout + first.stderr
    source = build / "fs" / "toy" / "covered.c"
    assert CALLED in source.read_text()
    source.write_text(SOURCE.read_text().replace("argc > 1", "argc > 99"))
    command = ["gcc", "--coverage", "-c", "fs/toy/covered.c", "-o", "fs/toy/covered.o"]
    subprocess.run(command, cwd=build, check=True)
    (build / "tests" / "disk").unlink()
    command = ["gcc", "--coverage", "fs/toy/covered.o", "-o", "tests/disk"]
    subprocess.run(command, cwd=build, check=True)
    second = lkltest("nightly", "n.toml", cwd=tmp_path)
    assert "disk[ext4]@native#gcov: fs/toy: " in second.stdout, second.stdout + second.stderr
    assert " lines lost" in second.stdout
    assert "lines lost" in (nights(tmp_path)[-1] / "report.md").read_text()
