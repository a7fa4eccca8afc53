# SPDX-License-Identifier: GPL-2.0-only
"""The files of `write_all`, read back by what others read them with."""

import json
import os
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import hypothesis
import pytest
from hypothesis import strategies
from kcidb_io.schema import LATEST
from markdown_it import MarkdownIt

from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.report import html, json_report, kcidb, markdown
from lkltest.nightly.report.model import CellModel, NightModel
from lkltest.nightly.report.write_all import write_all
from lkltest.plain import from_plain
from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind, SuiteResult
from tests.nightly.report.views import COMMIT, HOSTILE, NIGHT, cell, example_night

HOSTILE_TEXT = strategies.text() | strategies.text("<>&'\"`|\\*_[]()#\x00\x1b\ud800\n\r\u202e")


def night_of(view: CellModel, **other: object) -> NightModel:
    return replace(NightModel(NIGHT, 0.0, None, "x", (view,)), **other)  # type: ignore[arg-type]


def hostile_cell(text: str) -> CellModel:
    """A cell all of whose texts are `text`."""
    points = (
        PointResult(text or "-", Outcome.FAILED, reason=text, log=text),
        PointResult("known", Outcome.FAILED, reason=text),
    )
    problems = (Problem(ProblemKind.OOPS, text, None, text), Problem(ProblemKind.BUG, text, text))
    result = SuiteResult("s", text, "h", points, problems, {"machine": text, "compiler": text})
    return cell(
        text, "h", result, commit=text, reproduce=text, known={"known": text, "(kernel oops)": text}
    )


class TestWriteAll:
    def test_every_report_is_there(self, tmp_path: Path) -> None:
        written = write_all(example_night(), tmp_path / "reports")
        names = {path.relative_to(tmp_path / "reports").as_posix() for path in written}
        assert {"index.html", "report.json", "report.md", "kcidb.json"} <= names
        assert len([name for name in names if name.startswith("junit/")]) == 24
        assert not list(tmp_path.rglob("*.part"))

    def test_again_over_the_first(self, tmp_path: Path) -> None:
        first = write_all(example_night(), tmp_path)
        texts = [path.read_bytes() for path in first]
        assert write_all(example_night(), tmp_path) == first
        assert [path.read_bytes() for path in first] == texts

    def test_without_the_template_engine_all_else_is_there(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setitem(sys.modules, "jinja2", None)
        names = {path.name for path in write_all(example_night(), tmp_path)}
        assert "report.json" in names and "index.html" not in names
        assert "pip install 'lkltest[nightly]'" in (tmp_path / "report.md").read_text()

    def test_what_cannot_be_written_is_named(self, tmp_path: Path) -> None:
        (tmp_path / "report.md").mkdir()
        with pytest.raises(OSError, match="directory") as caught:
            write_all(example_night(), tmp_path)
        assert "report.md" in str(caught.value.filename)
        assert json.loads((tmp_path / "report.json").read_text())["night_id"] == NIGHT

    def test_a_cell_without_a_result_is_an_error_in_junit(self, tmp_path: Path) -> None:
        write_all(example_night(), tmp_path)
        root = ElementTree.parse(tmp_path / "junit" / "net-tap@wine%23next.xml").getroot()[0]
        assert root.get("errors") == "1"

    def test_a_known_failure_is_skipped_in_junit(self, tmp_path: Path) -> None:
        write_all(example_night(), tmp_path)
        root = ElementTree.parse(tmp_path / "junit" / "boot@qemu%23next.xml").getroot()[0]
        assert root.get("failures") == "0"
        case = next(case for case in root.iter("testcase") if case.get("name") == "clock")
        skipped = case.find("skipped")
        assert skipped is not None and "QEMU's clock" in (skipped.get("message") or "")

    @hypothesis.settings(max_examples=10)
    @hypothesis.given(text=HOSTILE_TEXT)
    def test_no_text_breaks_a_report(
        self, tmp_path_factory: pytest.TempPathFactory, text: str
    ) -> None:
        directory = tmp_path_factory.mktemp("reports")
        written = write_all(night_of(hostile_cell(text)), directory)
        assert {path.suffix for path in written} >= {".json", ".xml", ".html", ".md"}
        for path in written:
            data = path.read_bytes().decode()
            if path.suffix == ".json":
                json.loads(data)
            elif path.suffix == ".xml":
                ElementTree.fromstring(data)
            assert "\x1b" not in data and "\x00" not in data


class TestJson:
    def test_it_holds_the_night(self) -> None:
        night = example_night()
        data = json.loads(json_report.document(night))
        assert data["format"] == "lkltest-night" and data["version"] == 1
        assert len(data["changes"]) == len(night.changes)
        assert from_plain(SuiteResult, data["cells"][0]["result"]) == night.cells[0].result
        assert data["changes"][0]["kind"] == "new"
        assert data["suite_trends"][2]["nights"][20]["regressed"] is True

    def test_it_is_ascii(self) -> None:
        assert json_report.document(night_of(hostile_cell("\ud800 ü"))).isascii()


class TestKcidb:
    def validated(self, night: NightModel) -> dict[str, Any]:
        data: dict[str, Any] = json.loads(kcidb.document(night))
        LATEST.validate_exactly(data)
        return data

    def test_the_schema_takes_it(self) -> None:
        data = self.validated(example_night())
        assert len(data["checkouts"]) == 2 and len(data["builds"]) == 6
        statuses = {test["status"] for test in data["tests"]}
        assert statuses == {"PASS", "FAIL", "SKIP", "MISS", "DONE"}
        assert {checkout.get("git_commit_hash") for checkout in data["checkouts"]} == {COMMIT, None}

    def test_ids_are_unique_and_link(self) -> None:
        data = self.validated(example_night())
        for objects in ("checkouts", "builds", "tests", "issues", "incidents"):
            ids = [item["id"] for item in data[objects]]
            assert len(ids) == len(set(ids)), objects
        tests = {test["id"] for test in data["tests"]}
        builds = {build["id"] for build in data["builds"]}
        assert {test["build_id"] for test in data["tests"]} <= builds
        assert {incident["test_id"] for incident in data["incidents"]} <= tests
        assert data["issues"][0]["comment"] == "QEMU's clock without KVM"

    @hypothesis.settings(max_examples=50)
    @hypothesis.given(text=HOSTILE_TEXT)
    def test_the_schema_takes_any_text(self, text: str) -> None:
        self.validated(night_of(hostile_cell(text)))

    def test_a_long_log_is_cut_to_its_end(self) -> None:
        point = PointResult("p", Outcome.FAILED, log="x" * 100_000 + "the end")
        data = self.validated(night_of(cell("b", "h", SuiteResult("s", "", "h", (point,)))))
        assert data["tests"][0]["log_excerpt"].endswith("the end")


class TestMarkdown:
    def test_it_says_what_changed_first(self) -> None:
        text = markdown.document(example_night())
        assert text.startswith("# FAILED: 1 new failure, 1 vanished, 1 error")
        assert text.index("## What changed") < text.index("## Matrix") < text.index("## Failures")
        assert "`disk[ext4]@native#next/readdir`" in text
        assert text.count("commits fedcba987654..0123456789ab") == 1, "not of what is slow for long"
        assert "lkltest run 'disk' --host native --build builds/next" in text

    def test_a_hostile_console_stays_text(self) -> None:
        page = MarkdownIt("gfm-like", {"html": True, "linkify": False}).render(
            markdown.document(example_night())
        )
        assert "<script" not in page and "<img" not in page
        assert page.count("<table>") == 3

    @hypothesis.settings(max_examples=50)
    @hypothesis.given(text=HOSTILE_TEXT)
    def test_nothing_a_console_says_is_markup(self, text: str) -> None:
        night = night_of(hostile_cell(text), notes=(text,))
        tokens = MarkdownIt("gfm-like", {"html": True, "linkify": False}).parse(
            markdown.document(night)
        )
        inline = [child for token in tokens for child in token.children or ()]
        kinds = {token.type for token in (*tokens, *inline)}
        assert not kinds & {"html_block", "html_inline", "link_open", "image", "hr", "em_open"}

    def test_a_mail_stays_short(self) -> None:
        view = cell("b", "h", None, error="lost", log="x" * 1_000_000)
        cells = tuple(replace(view, suite=f"s{number}") for number in range(1000))
        text = markdown.document(replace(night_of(view), cells=cells))
        assert len(text) < 200_000 and "… and 980 more failures" in text


class TestHtml:
    def test_nothing_hostile_is_markup(self) -> None:
        page = html.page(example_night())
        assert "<script" not in page and "<img" not in page and "\x1b" not in page
        assert "nightly &lt;b&gt;example&lt;/b&gt;" in page
        assert HOSTILE not in page

    def test_nothing_is_fetched(self) -> None:
        page = html.page(example_night())
        assert "src=" not in page.replace("src=x", "") and "@import" not in page
        assert "<link" not in page and "url(http" not in page

    def test_it_is_small(self) -> None:
        assert len(html.page(example_night())) < 300_000

    def test_logs_have_a_limit(self) -> None:
        view = cell("b", "h", None, error="lost", log="<" * 1_000_000)
        cells = tuple(replace(view, suite=f"s{number}") for number in range(1000))
        page = html.page(replace(night_of(view), cells=cells))
        assert len(page) < 2_000_000 and "more failures are in the JUnit files" in page

    def test_an_empty_night(self) -> None:
        page = html.page(NightModel(NIGHT, 0.0, None, "x", ()))
        assert "Nothing changed." in page and "Nothing failed." in page

    def test_without_plots_it_says_why(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setitem(sys.modules, "matplotlib", None)
        assert "matplotlib is not installed" in html.page(example_night())

    def test_every_link_has_a_target(self) -> None:
        import re

        page = html.page(example_night())
        ids = re.findall(r'\bid="([^"]*)"', page)
        assert len(ids) == len(set(ids))
        assert set(re.findall(r'href="#([^"]*)"', page)) <= set(ids)

    def test_the_same_night_is_the_same_page(self) -> None:
        assert html.page(example_night()) == html.page(example_night())

    def test_an_error_outranks_a_result(self) -> None:
        result = SuiteResult("s", "", "h", (PointResult("p", Outcome.PASSED),))
        view = cell("b", "h", result, outcome=CellOutcome.ERROR, error="killed after 5 s")
        assert "killed after 5 s" in html.page(night_of(view))


def test_no_report_is_left_half_written(tmp_path: Path) -> None:
    (tmp_path / "index.html").mkdir()
    with pytest.raises(OSError, match="directory"):
        write_all(example_night(), tmp_path)
    assert not list(tmp_path.glob("*.part"))
    assert os.path.getsize(tmp_path / "report.json") > 0  # noqa: PTH202
