# SPDX-License-Identifier: GPL-2.0-only
"""Lines that a program without TAP is to bring."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkltest.errors import LaunchError
from lkltest.hosts.l4re.console import ConsoleReader
from lkltest.hosts.l4re.expected_output import OutputMatcher, read_expected

BOOT = b"before\r\nL4 Bootstrapper\r\n"
PASSED = b"1..1\n* 1 expected output\nok 1 expected output\n"


def matched(folder: Path, expected: str, console: bytes, **options: int) -> bytes:
    (folder / "expected").write_text(expected)
    matcher = OutputMatcher(read_expected(folder / "expected", **options))  # type: ignore[arg-type]
    reader = ConsoleReader()
    portions = [console[at : at + 7] for at in range(0, len(console), 7)]
    out = b"".join(matcher.feed(reader.feed(portion)) for portion in portions)
    out += matcher.feed(reader.close()) + matcher.close()
    return out + matcher.missing.encode()


@pytest.mark.parametrize(
    ("expected", "console"),
    [
        ("one\nthree\n", BOOT + b"one\r\ntwo\r\n  three \r\n"),
        ("[0-9]+ of .*\n", BOOT + b"none\r\n17 of 20\r\n"),
        ("hello | Hi, World\n", BOOT + b"\x1b[31mhello   | Hi, World!\x1b[0m\r\n"),
        (
            "a | x y\nb | z\n",
            BOOT
            + b"\x1b[31ma       | x \x1b[0m\x1b[32m\r\nb       | z\x1b[0m\r\n"
            + b"\x1b[31ma       : y\x1b[0m\r\n\x1b[32mb       | z\x1b[0m\r\n",
        ),
    ],
)
def test_lines_come_in_order(tmp_path: Path, expected: str, console: bytes) -> None:
    assert matched(tmp_path, expected, console) == PASSED


@pytest.mark.parametrize(
    ("expected", "console", "missing"),
    [
        ("one\ntwo\n", BOOT + b"two\r\none\r\n", b"line 2 of 2 did not come: two"),
        ("before\n", BOOT, b"line 1 of 1 did not come: before"),
        ("on\n", BOOT + b"one\r\n", b"line 1 of 1 did not come: on"),
        ("a | x\n", BOOT + b"\x1b[31mb       | x\x1b[0m\r\n", b"did not come: a | x"),
    ],
)
def test_what_is_missing_is_told(
    tmp_path: Path, expected: str, console: bytes, missing: bytes
) -> None:
    out = matched(tmp_path, expected, console)
    assert b"not ok 1 expected output" in out and missing in out


def test_runs_and_literal_lines(tmp_path: Path) -> None:
    assert matched(tmp_path, "a\n", BOOT + b"a\r\na\r\n", runs=2) == PASSED
    assert b"not ok" in matched(tmp_path, "a\n", BOOT + b"a\r\n", runs=2)
    assert matched(tmp_path, "a+ (b)\n", BOOT + b"a+ (b)\r\n", literal=1) == PASSED


@pytest.mark.parametrize(
    ("content", "message"),
    [("ok\n(\n", "expected:2: no regular expression"), ("", "expected: no line is expected")],
)
def test_a_bad_file_is_one_line(tmp_path: Path, content: str, message: str) -> None:
    (tmp_path / "expected").write_text(content)
    with pytest.raises(LaunchError, match=message) as caught:
        read_expected(tmp_path / "expected")
    assert "\n" not in str(caught.value)
