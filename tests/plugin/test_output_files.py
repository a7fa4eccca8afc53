# SPDX-License-Identifier: GPL-2.0-only
"""The files of a suite run: one that cannot be written costs no other."""

from pathlib import Path
from types import SimpleNamespace

import pytest

from lkltest.plugin.output_files import NotWritten, write_files
from lkltest.report.tree import read
from lkltest.verdict.results import Outcome, PointResult, SuiteResult

RESULT = SuiteResult("boot", "", "native", points=(PointResult("mutex", Outcome.PASSED),))


@pytest.mark.parametrize("bad", ["junit", "json"])
def test_the_other_is_written(tmp_path: Path, bad: str) -> None:
    tmp_path.joinpath(bad).touch()
    option = SimpleNamespace(lkl_junit_dir=tmp_path / "junit", lkl_json_dir=tmp_path / "json")
    with pytest.raises(NotWritten, match=rf"(?i)^{bad} directory {tmp_path}/{bad}: "):
        write_files(RESULT, option)
    if bad == "junit":
        assert read(tmp_path / "json" / "boot@native.json") == RESULT
    else:
        assert (tmp_path / "junit" / "boot@native.xml").exists()


def test_what_is_not_wanted_is_not_written(tmp_path: Path) -> None:
    write_files(RESULT, SimpleNamespace(lkl_junit_dir=None, lkl_json_dir=None))
    assert list(tmp_path.iterdir()) == []
