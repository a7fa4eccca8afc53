# SPDX-License-Identifier: GPL-2.0-only
"""One TAP parser reads one file in a process of its own: `python -m tests.bench.tap_contender`.

Arguments are the parser's name and the file. Prints, as JSON, the test points it found, the CPU
time of the parsing in seconds, and the peak memory of the process and the memory it had before,
in KiB.
"""

from __future__ import annotations

import json
import re
import sys
import time
from collections.abc import Callable, Iterator
from pathlib import Path

CHUNK = 32 * 1024


def _lkltest() -> Callable[[Path], int]:
    from lkltest.tap.parser import Parser, Point

    def read(file: Path) -> int:
        parser, found = Parser(), 0
        with file.open("rb", buffering=0) as stream:
            while chunk := stream.read(CHUNK):
                for event in parser.feed(chunk):
                    found += type(event) is Point
        return found + sum(type(event) is Point for event in parser.close())

    return read


def _tap_py() -> Callable[[Path], int]:
    from tap.parser import Parser

    def read(file: Path) -> int:
        return sum(line.category == "test" for line in Parser().parse(file.open()))

    return read


class _Result:
    def __init__(self, ok: bool, number: int, name: str, directive: str) -> None:
        self.ok, self.number, self.name, self.directive = ok, number, name, directive
        self.block: list[str] = []


def _regexes() -> Callable[[Path], int]:
    """A parser of the kind that LKL's own runner has: each line against one regex after another."""
    plan = re.compile(r"^1\.\.(?P<count>\d+)\s*(?:#\s*(?P<name>.*))?$")
    result = re.compile(
        r"^(?P<verdict>ok|not ok)\s+(?P<number>\d+)?\s*(?P<name>[^#]*)"
        r"(?:#\s*(?P<directive>SKIP|TODO)?\s*(?P<reason>.*))?$"
    )
    started = re.compile(r"^\*\s+(?P<number>\d+)\s*(?P<name>.*)$")
    comment = re.compile(r"^\s*#")
    bail_out = re.compile(r"^Bail out!\s*(?P<reason>.*)$")
    yaml_begins = re.compile(r"^\s+---\s*$")
    yaml_ends = re.compile(r"^\s+\.\.\.\s*$")

    def points(lines: Iterator[str]) -> Iterator[_Result]:
        last: _Result | None = None
        in_block = False
        for raw in lines:
            line = raw.rstrip("\n")
            if in_block:
                if yaml_ends.match(line):
                    in_block = False
                elif last is not None:
                    last.block.append(line)
            elif found := result.match(line):
                if last is not None:
                    yield last
                last = _Result(
                    found["verdict"] == "ok",
                    int(found["number"] or 0),
                    found["name"].strip(),
                    found["directive"] or "",
                )
            elif started.match(line) or plan.match(line) or bail_out.match(line):
                pass
            elif yaml_begins.match(line):
                in_block = True
            else:
                comment.match(line)
        if last is not None:
            yield last

    def read(file: Path) -> int:
        with file.open() as stream:
            return sum(1 for _ in points(iter(stream)))

    return read


CONTENDERS = {"lkltest": _lkltest, "tap.py": _tap_py, "line-by-line regexes": _regexes}


def _memory(field: str) -> int:
    # Not ru_maxrss: a new process inherits its parent's peak there.
    status = Path("/proc/self/status").read_text()
    return int(status.split(f"{field}:")[1].split()[0])


def main(name: str, file: str) -> None:
    """Read `file` with the parser called `name`."""
    read = CONTENDERS[name]()
    before = _memory("VmRSS")
    started = time.process_time()
    found = read(Path(file))
    cpu = time.process_time() - started
    print(json.dumps({"points": found, "cpu": cpu, "peak": _memory("VmHWM"), "before": before}))


if __name__ == "__main__":
    main(*sys.argv[1:])
