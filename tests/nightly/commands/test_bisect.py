# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest bisect`, alone and under `git bisect run` in a small tree that builds real programs."""

import os
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import pytest

from lkltest.nightly.commands.bisect import Answer, answer_for, verdict
from lkltest.nightly.history.store import History, RunRow
from lkltest.nightly.model.cell import Cell, CellRecord
from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind, SuiteResult
from tests.fake_build import environment, fake_build, lkltest

GOOD, BAD, SKIP = Answer.GOOD, Answer.BAD, Answer.SKIP
CELL = Cell("", "native", "boot")
POINTS = (
    PointResult("good", Outcome.PASSED),
    PointResult("bad", Outcome.FAILED, children=(PointResult("sub", Outcome.FAILED),)),
    PointResult("skipped", Outcome.SKIPPED),
    PointResult("todo", Outcome.TODO),
)


def record(*problems: Problem, points: tuple[PointResult, ...] = POINTS) -> CellRecord:
    return CellRecord(CELL, (SuiteResult("boot", "", "native", points, problems),))


class TestJudge:
    @pytest.mark.parametrize(
        ("point", "answer"),
        [("good", GOOD), ("bad", BAD), ("bad/sub", BAD), ("skipped", SKIP), ("todo", SKIP),
         ("absent", SKIP), ("", BAD), ("(kernel oops)", GOOD)],
    )  # fmt: skip
    def test_points(self, point: str, answer: Answer) -> None:
        assert answer_for(record(), point) is answer

    def test_problems_are_points_too(self) -> None:
        assert answer_for(record(Problem(ProblemKind.OOPS, "NULL")), "(kernel oops)") is BAD

    def test_a_suite_that_was_not_launched_tells_nothing(self) -> None:
        assert (
            answer_for(record(Problem(ProblemKind.LAUNCH, "no such file"), points=()), "") is SKIP
        )

    def test_no_result_tells_nothing(self) -> None:
        assert answer_for(CellRecord(CELL, error="killed after 5 s"), "good") is SKIP


class TestVerdict:
    @pytest.mark.parametrize(
        ("seen", "answer", "any_failure"),
        [
            ([GOOD], GOOD, GOOD),
            ([BAD], BAD, BAD),
            ([GOOD] * 3, GOOD, GOOD),
            ([BAD] * 3, BAD, BAD),
            ([GOOD, BAD, GOOD], SKIP, BAD),
            ([GOOD, SKIP], SKIP, SKIP),
            ([BAD, SKIP], SKIP, BAD),
            ([SKIP], SKIP, SKIP),
        ],
    )
    def test_runs_must_agree(self, seen: list[Answer], answer: Answer, any_failure: Answer) -> None:
        assert verdict(seen)[0] is answer
        assert verdict(seen, any_failure=True)[0] is any_failure


class TestCommand:
    @pytest.mark.parametrize(("mode", "status"), [("pass", 0), ("fail", 1), ("silent", 125)])
    def test_a_point(self, tmp_path: Path, mode: str, status: int) -> None:
        build = fake_build(tmp_path, boot=mode)
        done = lkltest("bisect", "boot@native/second", f"--build={build}", "--times=2")
        assert done.returncode == status, done.stdout + done.stderr
        assert done.stdout.splitlines()[-1].startswith(
            f"lkltest bisect: {Answer(status).name.lower()}: "
        )

    def test_a_build_that_fails(self, tmp_path: Path) -> None:
        done = lkltest("bisect", "boot@native", "--make", "false", cwd=tmp_path)
        assert done.returncode == 125
        assert done.stdout.endswith("lkltest bisect: skip: cannot be built\n")

    def test_no_shell_reads_the_command(self, tmp_path: Path) -> None:
        command = f"{sys.executable} -c 'import sys; sys.exit(len(sys.argv) - 3)' '; touch x' $HOME"
        build = fake_build(tmp_path / "build", boot="pass")
        words = ["bisect", "boot@native", "--make", command, f"--build={build}"]
        assert lkltest(*words, cwd=tmp_path).returncode == 0
        assert not (tmp_path / "x").exists()

    @pytest.mark.parametrize(
        "words",
        [
            ["nonsense"],
            ["boot@nohost"],
            ["boto@native/timer"],
            ["disk@native/readdir"],
            ["boot@native", "--make", "'open"],
            ["boot@native", "--make", ""],
            ["boot@native", "--make", "/no/such/command"],
            ["boot@native", "--times", "0"],
            ["boot@native", "--confidence", "1"],
            ["boot@native/second", "--confidence", "0.9"],
            ["boot@native/second", "--confidence", "0.9", "--history", "/nonexistent"],
            ["boot@native", "--nonsense"],
            [],
        ],
    )
    def test_a_mistake_ends_the_search(self, tmp_path: Path, words: list[str]) -> None:
        done = lkltest("bisect", *words, cwd=tmp_path)
        assert done.returncode == 255, "git would take anything else for a verdict on the commit"
        assert done.stderr and "Traceback" not in done.stderr

    @pytest.mark.skipif(not Path("/dev/full").exists(), reason="no /dev/full")
    def test_a_full_disk_ends_the_search(self, tmp_path: Path) -> None:
        build = fake_build(tmp_path, boot="pass")
        with open("/dev/full", "w") as full:
            done = subprocess.run(
                [sys.executable, "-m", "lkltest", "bisect", "boot@native", f"--build={build}"],
                stdout=full,
                stderr=subprocess.PIPE,
                text=True,
                env=environment(),
                check=False,
            )
        assert done.returncode == 255
        assert "No space left on device" in done.stderr and "Traceback" not in done.stderr


class TestGit:
    """Ten commits of a program; which one breaks it is known."""

    def git(self, tree: Path, *words: str) -> str:
        settings = {
            f"GIT_{who}_{what}": "x@example.org"
            for who in ("AUTHOR", "COMMITTER")
            for what in ("NAME", "EMAIL")
        }
        plain = environment(GIT_CONFIG_GLOBAL=os.devnull, GIT_CONFIG_SYSTEM=os.devnull, **settings)
        done = subprocess.run(
            ["git", "-C", str(tree), *words], capture_output=True, text=True, env=plain, check=False
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def commit(self, tree: Path, subject: str, second: str) -> str:
        """A program whose second point is `second` (`x % 2`: flaky); one that does not compile."""
        source = (
            "#include <stdio.h>\n#include <unistd.h>\n"
            f"/* {subject} */\n"
            "int main(void)\n{\n"
            '\tint runs = 0, ok;\n\tFILE *f = fopen("COUNT", "r");\n'
            '\tif (f) { if (fscanf(f, "%d", &runs) != 1) runs = 0; fclose(f); }\n'
            '\tf = fopen("COUNT", "w"); fprintf(f, "%d", runs + 1); fclose(f);\n'
            f"\tok = {second};\n"
            '\tprintf("1..2\\nok 1 - first\\n%s 2 - second\\n", ok ? "ok" : "not ok");\n'
            "\treturn !ok;\n}\n"
        ).replace("COUNT", str(tree.parent / "count"))
        (tree / "boot.c").write_text(source)
        self.git(tree, "add", "-A")
        self.git(tree, "commit", "-q", "-m", subject)
        return self.git(tree, "rev-parse", "HEAD").strip()

    def search(self, tmp_path: Path, seconds: list[str], *words: str) -> tuple[str, list[str]]:
        """The output of `git bisect run`, and the commits."""
        tree = tmp_path / "tree"
        (tree / "tests").mkdir(parents=True)
        (tree / ".gitignore").write_text("/tests/boot\n")
        (tree / "tests" / "keep").touch()
        self.git(tree, "init", "-q")
        commits = [
            self.commit(tree, f"commit {number}", second) for number, second in enumerate(seconds)
        ]
        self.git(tree, "bisect", "start", commits[-1], commits[0])
        command = [sys.executable, "-m", "lkltest", "bisect", "boot@native/second"]
        command += ["--make", "cc -o tests/boot boot.c", "--build", ".", *words]
        return self.git(tree, "bisect", "run", *command), commits

    def test_it_finds_the_commit(self, tmp_path: Path) -> None:
        said, commits = self.search(tmp_path, ["1"] * 6 + ["0"] * 4)
        assert f"{commits[6]} is the first bad commit" in said

    def test_a_commit_that_cannot_be_built_is_skipped(self, tmp_path: Path) -> None:
        said, commits = self.search(tmp_path, ["1", "1", "nonsense", "1", "1", "0", "0"])
        assert f"{commits[5]} is the first bad commit" in said

    def test_a_flaky_commit_does_not_mislead(self, tmp_path: Path) -> None:
        # The middle is looked at first: taken for bad, it would hide the commit that broke it.
        flaky = ["1", "1", "1", "1", "runs % 2", "1", "1", "0", "0"]
        said, commits = self.search(tmp_path, flaky, "--times=2")
        assert f"{commits[7]} is the first bad commit" in said
        assert "cannot be told: passed 1, failed 1 of 2 times" in said

    def test_it_finds_what_made_it_flaky(self, tmp_path: Path) -> None:
        seconds = ["1"] * 4 + ["runs % 2"] * 3
        said, commits = self.search(tmp_path, seconds, "--times=2", "--any")
        assert f"{commits[4]} is the first bad commit" in said

    def test_a_night_searches_for_its_new_failures(self, tmp_path: Path) -> None:
        """A range that cannot be built, beside the one that broke it, does not widen the answer."""
        tree = tmp_path / "tree"
        tree.mkdir()
        (tree / ".gitignore").write_text("/tests/boot\n")
        for name in ("Kbuild", "MAINTAINERS"):
            (tree / name).touch()
        (tree / "Makefile").write_text("all:\n\tmkdir -p tests && cc -o tests/boot boot.c\n")
        self.git(tree, "init", "-q")
        seconds = ["1", "1", "bad", "bad", "bad", "1", "0", "0", "0"]
        commits = [self.commit(tree, f"commit {n}", second) for n, second in enumerate(seconds)]
        file = tmp_path / "nightly.toml"
        file.write_text(
            "[night]\nrepeat = 5\n[builds.next]\n"
            f'path = "{tree}"\nmake = "make"\n'
            '[matrix]\nbuilds = ["next"]\nhosts = ["native"]\nsuites = ["boot"]\n'
        )
        for commit, status in ((commits[0], 0), (commits[-1], 1)):
            self.git(tree, "checkout", "-q", commit)
            subprocess.run(["make", "-s", "-C", str(tree)], check=True)
            done = lkltest("nightly", str(file), "--bisect", "5", cwd=tmp_path)
            assert done.returncode == status, done.stdout + done.stderr
        found = f"broken by {commits[6][:7]} commit 6"
        assert f"boot@native#next/second: {found}" in done.stdout
        (line,) = (line for line in done.stdout.splitlines() if line.startswith("NEW FAILURE"))
        assert line.endswith(f"; {found}")
        report = max((tmp_path / "nightly" / "nights").iterdir()) / "report.md"
        assert found in report.read_text()
        assert self.git(tree, "worktree", "list").count("\n") == 1, "the work tree is gone"
        assert self.git(tree, "rev-parse", "HEAD").strip() == commits[-1], "and the tree as it was"

    def test_it_runs_a_commit_until_it_is_sure(self, tmp_path: Path) -> None:
        seconds = ["1"] * 4 + ["runs % 3"] * 3
        with History(tmp_path / "h.sqlite") as history:
            for number, outcome in enumerate(["passed"] * 30 + ["failed", "passed", "passed"] * 5):
                night = f"n{number:02}"
                history.begin_night(night, float(number), "x", "0")
                row = RunRow("boot@native#b", "b", "native", "boot", "", 0, outcome, 1.0, 1.0)
                results = [("second", outcome, None, "")]
                history.add(night, [replace(row, results=results)])
        words = ("--confidence=0.95", f"--history={tmp_path / 'h.sqlite'}")
        said, commits = self.search(tmp_path, seconds, *words)
        assert f"{commits[4]} is the first bad commit" in said
        assert "good commits fail 1.6% of the time, bad ones 1" in said
        assert "cannot be told" not in said
