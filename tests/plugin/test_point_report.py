# SPDX-License-Identifier: GPL-2.0-only
"""A suite with points that were skipped or failed as expected in other plugins' reports."""

import re
from pathlib import Path
from xml.etree import ElementTree

import pytest

from tests.fake_build import SUITE, fake_build
from tests.fake_build import pytest as run_pytest

SKIPPED = 'lkl.skip_point("ping", "no peer")'
ONE_SKIPPED = SUITE.format(body=SKIPPED)
ALL_SKIPPED = f"def test_toy(lkl):\n    {SKIPPED}\n    lkl.skip_point('pong', 'no peer')\n"
EXPECTED = SUITE.format(body="lkl.replay(b'1..1\\nnot ok 1 later # TODO not yet\\n')")
FAILED = SUITE.format(body=f"{SKIPPED}; lkl.point('tidy', False, 'left a file')")


@pytest.mark.parametrize(
    ("suite", "elements", "line"),
    [
        (ONE_SKIPPED, [], r"toy@native +ok .* 1 skipped"),
        (EXPECTED, [], r"toy@native +ok .* 1 todo"),
        (ALL_SKIPPED, [("skipped", "no peer")], r"toy@native +skipped .* 2 points: 2 skipped: no"),
        (
            FAILED,
            [("failure", "not ok tidy"), ("failure", "contains 1 failed subtest: tidy")],
            r"toy@native +FAILED .* 1 failed, 1 skipped",
        ),
    ],
    ids=["one skipped", "expected failure", "all skipped", "one failed"],
)
def test_pytests_own_junit_report(
    empty: Path,
    tmp_path: Path,
    suite: str,
    elements: list[tuple[str, str]],
    line: str,
) -> None:
    build = fake_build(tmp_path / "lkl", boot="pass")
    (empty / "pytest.ini").write_text("[pytest]\n")
    (empty / "test_toy.py").write_text(suite)
    options = ["--lkl-host=native", f"--lkl-build={build}", "--junitxml=own.xml", "-n2"]
    done = run_pytest(*options, cwd=empty)
    (case,) = ElementTree.parse(empty / "own.xml").getroot().iter("testcase")
    found = [(child.tag, str(child.get("message"))) for child in case]
    assert [tag for tag, _ in found] == [tag for tag, _ in elements], found
    for (_, message), (_, part) in zip(found, elements, strict=True):
        assert part in message
    assert re.search(line, done.stdout), done.stdout


def test_the_terminal_says_what_was_skipped(empty: Path, tmp_path: Path) -> None:
    build = fake_build(tmp_path / "lkl", boot="pass")
    (empty / "pytest.ini").write_text("[pytest]\n")
    (empty / "test_toy.py").write_text(ONE_SKIPPED)
    options = ["--lkl-host=native", f"--lkl-build={build}"]
    done = run_pytest(*options, "-v", "-rs", cwd=empty)
    assert "SUBSKIPPED[ping] (no peer)" in done.stdout
    assert "1 passed, 2 subtests passed, 1 subtests skipped in " in done.stdout
    (empty / "test_toy.py").write_text(EXPECTED)
    done = run_pytest(*options, "-v", "-rx", cwd=empty)
    assert "SUBXFAIL[later] (not yet)" in done.stdout
