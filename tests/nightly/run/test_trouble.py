# SPDX-License-Identifier: GPL-2.0-only
"""Messages for a cell, a suite, a worker or a file of a night that is not as it should be."""

from __future__ import annotations

import argparse
import signal
import sys
from pathlib import Path

import pytest

from lkltest.errors import BuildError, LaunchError, Missing
from lkltest.host.build import Build
from lkltest.hosts.native import NativeHost
from lkltest.nightly.cluster import worker
from lkltest.nightly.model.cell import Cell, CellOutcome
from lkltest.nightly.run import cell_process
from lkltest.nightly.run.runner import run_cell
from lkltest.plugin import discover, inner_pytest
from lkltest.report import tree
from lkltest.sandbox.scope import ScopeError


class TestCells:
    def test_one_that_cannot_be_started(self, monkeypatch: pytest.MonkeyPatch) -> None:
        def refuse(**_: object) -> None:
            raise ScopeError("no space for a run's folder")

        monkeypatch.setattr(cell_process, "Scope", refuse)
        record = run_cell(Cell("b", "native", "boot", "", None, 1.0, 1.0))
        assert record.outcome is CellOutcome.ERROR
        assert record.error == "cannot be started: no space for a run's folder"

    @pytest.mark.parametrize(
        ("status", "said"),
        [
            (3 << 8, "ended with status 3"),
            (signal.SIGKILL, "killed by SIGKILL"),
            (signal.SIGRTMIN + 3, f"killed by signal {signal.SIGRTMIN + 3}"),
        ],
    )
    def test_how_its_process_ended(self, status: int, said: str) -> None:
        assert cell_process._ending(status) == said

    @pytest.mark.parametrize("text", ["{}", "[]", '{"suite": 1, "points": 2}', "no JSON", ""])
    def test_a_file_that_is_no_tree(self, tmp_path: Path, text: str) -> None:
        (tmp_path / "x.json").write_text(text)
        with pytest.raises(ValueError):
            tree.read(tmp_path / "x.json")


class TestSuites:
    def found_in(self, folder: Path, monkeypatch: pytest.MonkeyPatch) -> list[discover.Variant]:
        words = [str(folder), "-c", "/dev/null", "--rootdir", str(folder), "-p", "no:cacheprovider"]
        words += ["-p", discover.__name__]
        monkeypatch.setattr(inner_pytest, "arguments", lambda _, plugin: words)
        return discover.variants()

    def test_one_that_cannot_be_imported(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        (tmp_path / "test_broken.py").write_text("import nothing_of_that_name\n")
        with pytest.raises(discover.NoSuites) as told:
            self.found_in(tmp_path, monkeypatch)
        assert str(told.value).startswith("suites that cannot be collected: test_broken.py E ")
        assert "nothing_of_that_name" in str(told.value) and "\n" not in str(told.value)

    def test_none_at_all(self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
        with pytest.raises(discover.NoSuites, match=r"no suites were found .*status 5"):
            self.found_in(tmp_path, monkeypatch)


class TestWorker:
    options = argparse.Namespace(
        scheduler="tcp://127.0.0.1:1", jobs=1, host=["native"], name="w", tls=None
    )

    def test_without_a_host(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        gone = Missing("the linker is missing", "apt-get install it")
        monkeypatch.setattr(NativeHost, "missing", lambda self: gone)
        assert worker.run(self.options) == 2
        said = capsys.readouterr()
        assert said.out == f"host native     no   {gone}\n"
        assert said.err.startswith("lkltest worker: no host can run here")

    def test_a_host_that_doctor_refuses(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def refuse(self: NativeHost) -> None:
            raise LaunchError("its options contradict each other")

        monkeypatch.setattr(NativeHost, "check", refuse)
        assert worker.usable(["native"], 3).resources == {}
        assert "no   its options contradict each other" in capsys.readouterr().out

    def test_a_default_build_of_another_host(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setattr(NativeHost, "open_build", lambda self, name: Build(Path("/b"), "x", {}))
        monkeypatch.setattr(NativeHost, "accepts", lambda self, build: False)
        assert len(worker.usable(["native"], 3).resources) == 1
        assert "yes  no default build: /b is not for it" in capsys.readouterr().out

    def test_without_dask(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        monkeypatch.setitem(sys.modules, "distributed", None)
        assert worker.run(self.options) == 2
        assert "pip install 'lkltest[cluster]'" in capsys.readouterr().err

    def test_a_host_without_a_default_build(
        self, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
    ) -> None:
        def refuse(self: NativeHost, name: str | None) -> Build:
            raise BuildError("nothing was built")

        monkeypatch.setattr(NativeHost, "open_build", refuse)
        found = worker.usable(["native"], 3).resources
        assert list(found.values()) == [3.0]
        assert "yes  no default build: nothing was built" in capsys.readouterr().out
