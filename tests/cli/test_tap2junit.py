# SPDX-License-Identifier: GPL-2.0-only
import io
import subprocess
import sys
from pathlib import Path

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from lxml import etree

from lkltest.cli.main import main
from lkltest.cli.tap2junit import convert
from lkltest.report.junit import suite_document
from lkltest.tap.parser import Parser
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit, SuiteResult
from tests.report.junit_schema import check
from tests.verdict.test_recorder_streams import FAILING, PASSING, name

GOOD = b"1..2 # boot\n* 1 a\nok 1 a\n ---\n time_us: 1500\n log: |\n  <&>\n ...\nok 2 b # SKIP no\n"


def converted(stream: bytes) -> tuple[bool, bytes]:
    out = io.BytesIO()
    passed = convert(io.BytesIO(stream), out, "x")
    return passed, out.getvalue()


def through_the_tree(stream: bytes) -> tuple[bool, bytes]:
    """The same by way of the tree, which holds all of it at once."""
    recorder, parser = Recorder(is_file=True), Parser(printk=None)
    for event in parser.feed(stream) + parser.close():
        recorder.add(event)
    program = recorder.finish(Exit(cause="ended"))
    seconds = sum(point.seconds or 0.0 for point in program.points)
    result = SuiteResult(
        "x",
        "",
        "",
        program.points,
        program.problems,
        program.properties,
        seconds,
        output=program.output_tail,
    )
    return program.passed, suite_document(result)


def canonical(document: bytes) -> bytes:
    root = etree.fromstring(document, etree.XMLParser(huge_tree=True, remove_blank_text=True))
    for element in root.iter():
        element.tail = None
    return etree.tostring(root, method="c14n")


def compare(stream: bytes) -> None:
    streamed, whole = converted(stream), through_the_tree(stream)
    assert streamed[0] is whole[0]
    assert canonical(streamed[1]) == canonical(whole[1])
    check(streamed[1])


@pytest.mark.parametrize("path", [*PASSING, *FAILING], ids=name)
def test_recorded_streams_as_from_the_tree(path: Path) -> None:
    compare(path.read_bytes())


PIECES = st.sampled_from(
    [
        b"1..2 # x\n", b"1..0 # y\n", b"ok 1 a\n", b"not ok 2 b\n", b"* 1 a\n", b"* 2 b\n",
        b" ---\n", b" time_us: 1234567\n", b" log: |\n", b"  <text> & \"more\"\n", b" ...\n",
        b"Bail out! <\n", b"    ok 1 s\n", b"    1..1\n", b"# Subtest: s\n", b"TAP version 14\n",
        b"WARNING: \x1b[31m w\n", b"\xff\x00\xef\xbf\xbe\n", b"ok 3 # TODO x\n", b"ok 4 # SKIP\n",
    ]
)  # fmt: skip


@given(st.lists(PIECES, max_size=25).map(b"".join) | st.binary(max_size=100))
@settings(max_examples=300)
@example(b"")
@example(b"* 2 b\nok 1 a\n")
@example(b"1..1\nok 1 a\nLinux version 6.1.0 (a) (gcc <1>) #1\n")
def test_any_stream_as_from_the_tree(stream: bytes) -> None:
    compare(stream)


def test_many_points_and_names() -> None:
    lines = [b"1..25000 # x\n"]
    lines += [b"ok %d point %d\n" % (number, number % 22_000) for number in range(1, 25_001)]
    compare(b"".join(lines))


def test_large_logs_stay_below_the_limit() -> None:
    log = b"  " + b"<" * 60_000 + b"\n"
    point = b"%sok %d a\n ---\n log: |\n" + log + b" ...\n"
    stream = b"1..120\n" + b"".join(
        point % (b"not " if number % 2 else b"", number) for number in range(1, 121)
    )
    compare(stream)


def write_stream(path: Path, points: int) -> None:
    log = b" ---\n log: |\n" + b"  kernel line\n" * 20 + b" ...\n"
    with path.open("wb") as file:
        file.write(b"1..%d # x\n" % points)
        for number in range(1, points + 1):
            file.write(b"* %d p%d\nok %d p%d\n%s" % (number, number, number, number, log))


MEASURED = """
import re, sys
from pathlib import Path
from lkltest.cli.main import main
status = main(["tap2junit", "-"])
print(re.search(r"VmHWM:\\s+(\\d+) kB", Path("/proc/self/status").read_text())[1], file=sys.stderr)
sys.exit(status)
"""


def peak(path: Path) -> int:
    """KiB that the command needs for a stream on its standard input.

    By its own word: the figure that wait4 gives counts what pytest needed as well.
    """
    with path.open("rb") as file:
        done = subprocess.run(
            [sys.executable, "-c", MEASURED],
            stdin=file,
            stdout=subprocess.DEVNULL,
            stderr=subprocess.PIPE,
            check=True,
        )
    return int(done.stderr)


def test_constant_memory(tmp_path: Path) -> None:
    # Names are remembered up to a limit, which the shorter stream passes too.
    for points in (24_000, 80_000):
        write_stream(tmp_path / f"{points}.tap", points)
    short, long = (peak(tmp_path / f"{points}.tap") for points in (24_000, 80_000))
    assert long < short + 4096
    assert long < 64 * 1024


def test_command(tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]) -> None:
    good = tmp_path / "good.tap"
    good.write_bytes(GOOD)
    assert main(["tap2junit", str(good)]) == 0
    (suite,) = check(capfdbinary.readouterr().out)
    assert suite.get("name") == "good"
    assert (suite.get("tests"), suite.get("skipped"), suite.get("time")) == ("2", "1", "0.002")
    bad = tmp_path / "bad.tap"
    bad.write_bytes(GOOD.replace(b"1..2", b"1..3"))
    assert main(["tap2junit", str(bad)]) == 1
    (suite,) = check(capfdbinary.readouterr().out)
    assert suite.get("errors") == "1"


@pytest.mark.parametrize("wrong", ["nowhere.tap", "."])
def test_command_used_wrongly(
    wrong: str, tmp_path: Path, capfdbinary: pytest.CaptureFixture[bytes]
) -> None:
    assert main(["tap2junit", str(tmp_path / wrong)]) == 2
    out, err = capfdbinary.readouterr()
    assert out == b""
    assert err.count(b"\n") == 1
    assert str(tmp_path).encode() in err
