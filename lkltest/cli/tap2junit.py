# SPDX-License-Identifier: GPL-2.0-only
"""A TAP stream into JUnit XML, in constant memory.

How the program ended is not known here, so it does not count; all else of the verdict does.
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import BinaryIO

from lkltest.command_line import FAILED, USED_WRONGLY
from lkltest.errors import LkltestError
from lkltest.report.junit_case import CaseMaker
from lkltest.report.junit_stream import JunitStream
from lkltest.report.terminal import echo_error, mute_stdout
from lkltest.tap.parser import Parser
from lkltest.verdict.recorder import Recorder
from lkltest.verdict.results import Exit, Outcome, PointResult, Problem, SuiteResult

_CHUNK = 256 * 1024


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    return main(options.file)


def main(file: str, out: BinaryIO | None = None) -> int:
    """Convert a file, or standard input for `-`, to standard output.

    Returns:
        The command's exit status: 0 all passed, 1 something failed, 2 it cannot be read.
    """
    out = out or sys.stdout.buffer
    try:
        if file == "-":
            return FAILED - convert(sys.stdin.buffer, out, "stdin")
        with _opened(file) as stream:
            return FAILED - convert(stream, out, Path(file).stem)
    except Unreadable as error:
        echo_error(f"{'standard input' if file == '-' else file}: {error}", "lkltest tap2junit")
        return USED_WRONGLY


class Unreadable(LkltestError):
    """A stream that cannot be read; the message says why, not which."""


def _opened(file: str) -> BinaryIO:
    try:
        return Path(file).open("rb")
    except OSError as error:
        raise Unreadable(error.strerror) from None


def _chunks(stream: BinaryIO) -> Iterator[bytes]:
    try:
        while chunk := stream.read(_CHUNK):
            yield chunk
    except OSError as error:
        raise Unreadable(error.strerror) from None


def convert(stream: BinaryIO, out: BinaryIO, name: str) -> bool:
    """Write the JUnit XML of one TAP stream.

    Args:
        stream: the bytes that a program printed.
        out: gets the document when the stream has ended.
        name: of the testsuite.

    Returns:
        Whether it passed.

    Raises:
        Unreadable: `stream` cannot be read.
        OSError: `out` cannot be written.
    """
    conversion = _Conversion(SuiteResult(name, "", ""))
    with conversion.document:
        parser = Parser(printk=None)
        add = conversion.recorder.add
        for chunk in _chunks(stream):
            for event in parser.feed(chunk):
                for point in add(event):
                    conversion.write(point)
        for event in parser.close():
            for point in add(event):
                conversion.write(point)
        return conversion.finish(out)


class _Conversion:
    """The state of one conversion."""

    def __init__(self, suite: SuiteResult) -> None:
        self.recorder = Recorder(
            exit_status_matters=False, is_file=True, keep=False, on_passed=self._write_passed
        )
        self.document = JunitStream(suite)
        self._suite = suite
        self._maker = CaseMaker()
        self._seconds = 0.0
        self._failed = False

    def _write_passed(self, name: str, seconds: float | None, log: str) -> None:
        if seconds:
            self._seconds += seconds
        self.document.add_one(self._maker.passed(name, seconds, log))

    def write(self, point: PointResult) -> None:
        self._seconds += point.seconds or 0.0
        problems: Sequence[Problem] = ()
        if point.outcome is Outcome.FAILED:
            self._failed = True
            problems = [p for p in self.recorder.problems if p.point == point.name]
        self.document.add(self._maker.of_point(point, problems))

    def finish(self, out: BinaryIO) -> bool:
        ending = self.recorder.finish(Exit(cause="ended"))
        for point in ending.points:
            self.write(point)
        result = SuiteResult(
            self._suite.suite,
            self._suite.variant,
            self._suite.host,
            problems=ending.problems,
            properties=ending.properties,
            seconds=self._seconds,
            output=ending.output_tail,
        )
        self.document.add(self._maker.of_rest(result, self.document.some))
        try:
            self.document.finish(result, out, self._maker.other_output(result))
        except BrokenPipeError:  # whoever read it has had enough; the verdict stands
            mute_stdout()
        return not self._failed and not ending.problems
