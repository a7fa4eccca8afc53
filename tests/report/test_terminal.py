# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.report.terminal: what a person reads, and that no console drives their terminal."""

import io
import shlex
import unicodedata
from dataclasses import replace

import pytest
from hypothesis import given
from hypothesis import strategies as st

from lkltest.report.terminal import (
    failure_lines,
    printable,
    problem_lines,
    reproduce_line,
    suite_line,
    summary_line,
    wants_colour,
)
from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind, SuiteResult


def suite(*points: PointResult, **fields: object) -> SuiteResult:
    return SuiteResult("disk", "ext4", "native", points=points, **fields)  # type: ignore[arg-type]


PASSED = PointResult("mount", Outcome.PASSED)
FAILED = PointResult("write", Outcome.FAILED, reason="no space", log="1\n2\n3\n\n4\n5\n6\n")
SKIPPED = PointResult("sync", Outcome.SKIPPED, reason="no such call")
CRASH = Problem(ProblemKind.SIGNAL, "killed by SIGSEGV", point="write", detail="in main ()")


class TestPrintable:
    @given(st.text())
    def test_no_control_character_comes_through(self, text: str) -> None:
        shown = printable(text)
        assert not [c for c in shown if unicodedata.category(c) == "Cc" and c not in "\t\n"]
        assert not set(shown) & set("\u202a\u202b\u202c\u202d\u202e\u2066\u2067\u2068\u2069")

    @given(st.text(st.characters(exclude_categories=["Cc", "Cf", "Cs"])))
    def test_other_text_is_unchanged(self, text: str) -> None:
        assert printable(text) == text

    def test_what_is_escaped_can_be_read(self) -> None:
        assert printable("a\x1b[31mb\x00\x9b2J") == "a\\x1b[31mb\\x00\\x9b2J"
        assert printable("\u202eabc") == "\\u202eabc"
        assert printable("d\udcff\ud800") == "d\\xff\\ud800", "names that are not UTF-8"
        assert printable("tab\tand\nline") == "tab\tand\nline"


class TestColour:
    class Terminal(io.StringIO):
        def isatty(self) -> bool:
            return True

    @pytest.fixture(autouse=True)
    def no_environment(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.delenv("NO_COLOR", raising=False)
        monkeypatch.setenv("TERM", "xterm")

    def test_on_a_terminal_that_has_them(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TERM", "dumb")
        assert not wants_colour(self.Terminal())

    def test_on_a_terminal_only(self) -> None:
        assert wants_colour(self.Terminal())
        assert not wants_colour(io.StringIO())

    def test_no_color_wins(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("NO_COLOR", "1")
        assert not wants_colour(self.Terminal())
        monkeypatch.setenv("NO_COLOR", "")  # no-color.org: only when it is not empty
        assert wants_colour(self.Terminal())

    def test_colour_changes_nothing_else(self) -> None:
        coloured = suite_line(suite(PASSED), colour=True)
        assert coloured.count("\x1b[") == 2
        plain = coloured.replace("\x1b[32m", "").replace("\x1b[0m", "")
        assert plain == suite_line(suite(PASSED))


class TestSuiteLine:
    def test_counts(self) -> None:
        line = suite_line(suite(PASSED, SKIPPED, seconds=1.234))
        assert " ".join(line.split()) == "disk[ext4]@native ok 1.23 s 2 points: 1 ok, 1 skipped"

    def test_failure(self) -> None:
        assert suite_line(suite(PASSED, FAILED)).split()[1] == "FAILED"
        assert "1 ok, 1 failed" in suite_line(suite(PASSED, FAILED))

    def test_a_suite_without_a_point_is_no_success(self) -> None:
        assert suite_line(suite()).split()[1] == "FAILED"

    def test_a_skip_shows_its_reason(self) -> None:
        line = suite_line(suite(skip="mkfs.ext4 is missing: apt-get install e2fsprogs"))
        assert line.split()[1] == "skipped"
        assert line.endswith("mkfs.ext4 is missing: apt-get install e2fsprogs")

    def test_all_points_skipped_is_a_skip_with_their_reasons(self) -> None:
        line = suite_line(suite(SKIPPED, replace(SKIPPED, name="b", reason="no\nlive network")))
        assert line.split()[1] == "skipped"
        assert line.endswith(f"2 points: 2 skipped: {SKIPPED.reason}; no live network")

    def test_a_skip_after_points_that_passed_shows_its_reason(self) -> None:
        line = suite_line(suite(PASSED, skip="run as root"))
        assert line.endswith("1 point: 1 ok: run as root")

    @given(st.text(), st.text())
    def test_it_is_one_line(self, name: str, reason: str) -> None:
        result = SuiteResult("disk", name, "native", skip=reason)
        assert "\x1b" not in suite_line(result)


class TestFailures:
    def test_a_failed_point_shows_the_end_of_its_log(self) -> None:
        assert failure_lines(suite(PASSED, FAILED)) == [
            "not ok write: no space",
            *(f"    {number}" for number in range(2, 7)),
        ]

    def test_each_subtest_that_failed_is_shown_with_its_own_log(self) -> None:
        cases = (
            PointResult("init", Outcome.PASSED, log="fine"),
            PointResult("add", Outcome.FAILED, reason="Expected 1 == 2", log="in add"),
            PointResult("del", Outcome.FAILED),
        )
        listed = PointResult("list", Outcome.FAILED, log="# Totals: pass:1", children=cases)
        whole = PointResult("lib", Outcome.FAILED, children=(listed,))
        assert failure_lines(suite(whole)) == [
            "not ok lib/list/add: Expected 1 == 2",
            "    in add",
            "not ok lib/list/del",
        ]

    def test_a_point_that_crashed_is_shown_as_the_crash_alone(self) -> None:
        lines = failure_lines(suite(FAILED, problems=(CRASH,)))
        assert lines == ["signal: killed by SIGSEGV (at write)", "    in main ()"]

    def test_a_long_detail_is_cut_and_says_so(self) -> None:
        detail = "\n".join(f"frame {number}" for number in range(1000))
        lines = problem_lines([Problem(ProblemKind.STALL, "60 s", detail=detail)])
        assert len(lines) < 20
        assert lines[1] == "    frame 0"
        assert lines[-1].endswith("more lines in the JUnit file")
        whole = problem_lines([Problem(ProblemKind.STALL, "60 s", detail=detail)], whole=True)
        assert whole[-1] == "    frame 999"

    @given(st.text(), st.text(), st.text())
    def test_no_text_drives_the_terminal(self, name: str, reason: str, log: str) -> None:
        point = PointResult(name, Outcome.FAILED, reason=reason, log=log)
        problem = Problem(ProblemKind.PANIC, reason, detail=log)
        shown = "".join(failure_lines(suite(point, problems=(problem,))))
        assert not [c for c in shown if unicodedata.category(c) == "Cc" and c not in "\t\n"]


class TestReproduce:
    def test_a_suite_with_a_variant(self) -> None:
        assert reproduce_line(suite()) == "lkltest run 'disk[ext4]' --host native"

    def test_options_come_last(self) -> None:
        line = reproduce_line(suite(), None, ["--timeout", "3", "--lkl-native-x=a b"])
        assert line.endswith(" --host native --timeout 3 '--lkl-native-x=a b'")

    @given(st.text(min_size=1), st.text(min_size=1))
    def test_a_shell_reads_the_words_back(self, variant: str, build: str) -> None:
        line = reproduce_line(SuiteResult("boot", variant, "native"), build)
        wanted = ["lkltest", "run", f"boot[{variant}]", "--host", "native", "--build", build]
        assert shlex.split(line) == wanted


class TestSummary:
    def test_of_nothing(self) -> None:
        assert summary_line([], 0.04, None) == "0 suites: none; 0 points: none; 0.0 s"

    def test_of_much(self) -> None:
        results = [suite(PASSED), suite(PASSED, FAILED), suite(SKIPPED), suite(skip="no")]
        assert summary_line(results, 6.06, "junit/") == (
            "4 suites: 1 ok, 1 failed, 2 skipped; "
            "4 points: 2 ok, 1 failed, 1 skipped; 6.1 s; JUnit in junit/"
        )

    def test_one_is_singular(self) -> None:
        assert summary_line([suite(PASSED)], 1, None).startswith("1 suite: 1 ok; 1 point: 1 ok;")
