# SPDX-License-Identifier: GPL-2.0-only
"""The answers of `lkltest history`, `compare` and `known`, and their errors."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from pathlib import Path

import pytest

from lkltest.cli.main import main
from lkltest.nightly.history.store import History, RunRow
from tests.nightly.config.matrices import config

DAY = 86_400.0
CELL = "disk[ext4]@native#b"
POINTS = (
    {"mount": "passed", "readdir": "passed", "gone": "passed"},
    {"mount": "passed", "readdir": "failed", "new": "passed"},
)

Ask = Callable[..., tuple[int, str, str]]


@pytest.fixture
def ask(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Ask:
    """Ask a command about a history of five nights, the last of which has not finished."""
    with History(tmp_path / "h.sqlite") as history:
        for number in range(5):
            night = f"2026-11-0{number + 1}"
            history.begin_night(night, number * DAY, "nightly", "0.1")
            results = [
                (name, outcome, 0.25 * place, "not empty" if outcome == "failed" else "")
                for place, (name, outcome) in enumerate(POINTS[number % 2].items())
            ]
            row = RunRow(
                *(CELL, "b", "native", "disk", "ext4", 0, "passed", 1.5, 1.0),
                *("6.12.0", "1234567", "gcc 12", "lab", "x86_64", "", results),
            )
            history.add(night, [row])
            if number < 4:
                history.finish_night(night, number * DAY + 1)

    def answered(command: str, *words: str) -> tuple[int, str, str]:
        status = main([command, f"--history={tmp_path / 'h.sqlite'}", *words])
        said = capsys.readouterr()
        return status, said.out, said.err

    return answered


class TestHistory:
    def test_the_nights(self, ask: Ask) -> None:
        status, out, _ = ask("history", "-n", "2")
        assert status == 0
        assert out.splitlines() == [
            "2026-11-05  nightly: 1 passed, 0 failed, 0 skipped, 0 errors  (not finished)",
            "2026-11-04  nightly: 1 passed, 0 failed, 0 skipped, 0 errors",
        ]

    def test_a_point(self, ask: Ask) -> None:
        status, out, _ = ask("history", "disk[*]@native/readdir", "-n", "1")
        assert status == 0
        assert out.splitlines()[0] == f"{CELL}/readdir"
        assert re.fullmatch(
            r"  2026-11-05  passed +0.250 s  6.12.0 1234567 lab", out.split("\n")[1]
        )
        said = "lkltest: nothing in the history fits 'boot@*'\n"
        assert ask("history", "boot@*") == (1, "", said)

    def test_flaky_ones(self, ask: Ask) -> None:
        status, out, _ = ask("history", "--flaky")
        assert status == 0
        assert f"4 flips,   2 of 5 failed  {CELL}/readdir" in out and "mount" not in out

    def test_slow_ones(self, ask: Ask) -> None:
        status, out, _ = ask("history", "--slowest")
        assert status == 0
        assert out.splitlines()[0].split() == ["0.500", "s", f"{CELL}/new"]
        _, out, _ = ask("history", "--slowest", "--night=2026-11-01", "-n1")
        assert out.split() == ["0.500", "s", f"{CELL}/gone"]
        status, out, err = ask("history", "--slowest", "--night=nix")
        assert (status, out) == (2, "") and err.startswith("lkltest: no night 'nix'")

    def test_what_came_and_went(self, ask: Ask) -> None:
        assert ask("history", "--added") == (0, f"{CELL}/new\n", "")
        assert ask("history", "--vanished") == (0, f"{CELL}/gone\n", "")
        words = ("--night=2026-11-03", "--baseline=2026-11-01")
        assert ask("history", "--added", *words) == (0, "", "")
        status, _, err = ask("history", "--added", "--night=2026-11-01")
        assert (status, err) == (2, "lkltest: the history has no night before 2026-11-01\n")

    def test_pruning(self, ask: Ask) -> None:
        status, _, err = ask("history", "--prune=soon")
        assert (status, err) == (2, "lkltest: 'soon' is no age such as 90d, 12w or 1y\n")
        assert ask("history", "--prune=1y")[:2] == (0, "5 nights forgotten\n")
        assert ask("history") == (0, "", "")

    def test_what_is_no_nights_folder(self, ask: Ask, tmp_path: Path) -> None:
        status, _, err = ask("history", "--import", str(tmp_path))
        assert status == 2
        assert err.startswith(f"lkltest: {tmp_path}: is no night's folder (")


class TestCompare:
    def test_as_json(self, ask: Ask) -> None:
        status, out, _ = ask("compare", "--json")
        assert status == 1
        told = json.loads(out)
        assert (told["format"], told["version"]) == ("lkltest-compare", 1)
        assert len(told["causes"]) == len(told["changes"])
        assert (told["night"], told["baseline"]) == ("2026-11-04", "2026-11-03")
        kinds = {change["id"]: change["kind"] for change in told["changes"]}
        assert kinds == {
            f"{CELL}/readdir": "flaky",
            f"{CELL}/gone": "vanished",
            f"{CELL}/new": "added",
        }

    def test_without_a_night(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        History(tmp_path / "empty.sqlite").close()
        assert main(["compare", f"--history={tmp_path / 'empty.sqlite'}"]) == 2
        assert capsys.readouterr().err.endswith("empty.sqlite: has no finished night\n")


BUILDS = {
    "stable": {"mount": "PPPPPP", "both": "FFFFFF", "odd": "PFPPFP", "old": "PPPPPP"},
    "mainline": {"mount": "PPPPFF", "both": "FFFFFF", "odd": "PPPPPF", "more": "PPPPPP"},
}
"""Outcomes of the points of two builds in six nights."""


class TestBuilds:
    """A failure of both builds is no news, a flaky point of one is no break of the other."""

    @pytest.fixture
    def file(self, tmp_path: Path) -> Path:
        file = tmp_path / "h.sqlite"
        with History(file) as history:
            for number in range(6):
                night = f"2026-11-0{number + 1}"
                history.begin_night(night, number * DAY, "nightly", "0.1")
                for build, points in BUILDS.items():
                    results = [
                        (name, "failed" if told[number] == "F" else "passed", 1.0, "")
                        for name, told in points.items()
                    ]
                    row = RunRow(
                        *(
                            f"disk@native#{build}",
                            build,
                            "native",
                            "disk",
                            "",
                            0,
                            "failed",
                            1.5,
                            1.0,
                        ),
                        *("6.12.0", build * 2, "gcc 12", "lab", "x86_64", "", results),
                    )
                    history.add(night, [row])
                history.finish_night(night, number * DAY + 1)
        return file

    def compare(
        self, file: Path, capsys: pytest.CaptureFixture[str], *words: str
    ) -> tuple[int, dict[str, str], str]:
        status = main(["compare", f"--history={file}", "--json", *words])
        said = capsys.readouterr()
        told = json.loads(said.out)["changes"] if said.out else []
        return status, {c["id"].partition("/")[2]: c["kind"] for c in told}, said.err

    def test_of_one_night(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        status, kinds, _ = self.compare(file, capsys, "--build=mainline", "--against=stable")
        assert status == 1
        assert kinds == {
            "mount": "new",
            "both": "still",
            "odd": "flaky",
            "old": "vanished",
            "more": "added",
        }
        _, kinds, _ = self.compare(file, capsys, "--build=stable", "--against=mainline")
        assert kinds == {
            "mount": "fixed",
            "both": "still",
            "odd": "fixed",
            "old": "added",
            "more": "vanished",
        }

    def test_of_two_nights(self, file: Path, capsys: pytest.CaptureFixture[str]) -> None:
        words = ("--build=mainline", "--against=stable", "--baseline=2026-11-05", "2026-11-04")
        _, kinds, _ = self.compare(file, capsys, *words)
        assert (kinds["odd"], "mount" in kinds) == ("flaky", False)

    @pytest.mark.parametrize(
        ("words", "said"),
        [
            (["--build=mainline"], "--build and --against need each other"),
            (["--build=stabel", "--against=mainline"], "did you mean 'stable'?"),
        ],
    )
    def test_mistakes(
        self, file: Path, capsys: pytest.CaptureFixture[str], words: list[str], said: str
    ) -> None:
        status, _, err = self.compare(file, capsys, *words)
        assert status == 2 and said in err


class TestKnown:
    def test_a_configuration_without_a_list(
        self, tmp_path: Path, capsys: pytest.CaptureFixture[str]
    ) -> None:
        assert main(["known", str(config(tmp_path))]) == 2
        assert "names no file of known failures (known in [night])" in capsys.readouterr().err

    def test_what_became_of_them(self, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
        entry = '[[known]]\nid = "boot@native#{}"\nreason = "r"\n'
        ids = ("bad/second", "good/first", "good/nothing", "silent/any")
        (tmp_path / "known.toml").write_text("".join(entry.format(one) for one in ids))
        file = config(tmp_path, 'known = "known.toml"', bad="fail", silent="silent")
        assert main(["known", "--verify", str(file)]) == 1
        words = {
            line.split(" boot@")[-1].partition(":")[0]: line.split(" boot@")[0].strip()
            for line in capsys.readouterr().out.splitlines()
            if line.endswith(": r")
        }
        assert words == {
            "native#bad/second": "fails",
            "native#good/first": "PASSES",
            "native#good/nothing": "MATCHES NOTHING",
            "native#silent/any": "DID NOT RUN",
        }
