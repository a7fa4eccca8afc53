# SPDX-License-Identifier: GPL-2.0-only
"""The program's stream among those of a console, and the judgement of the others. Pure.

The stream of the program under test goes to the parser as it comes. Others that speak TAP too are
kept, and follow when the console has ended, as plans of their own that name their program.
"""

from __future__ import annotations

import re
from collections import Counter
from collections.abc import Iterable
from dataclasses import dataclass, field

from lkltest.tap.parser import Parser
from lkltest.verdict.recorder import Recorder

from .console import Piece

_MARK = re.compile(rb"^(.*?)TAP TEST (START|FINISH(?:ED)?)\s*$")
_BUNDLE_MARK = re.compile(rb"BUNDLE TEST (?:(START)|EXPECT TEST COUNT (\d{1,9})|(FINISH))")
_RUNNING = re.compile(rb"^Running \d+/\d+ (\S+)\s*$")
_SKIPPED = re.compile(rb"^ok\b.*#\s*SKIP\b")
_FAILED = re.compile(rb"^not ok\b")
_POINT = re.compile(rb"^(?:not )?ok(?: \d+)?(?: -)? *([^#\n]*)")
_PROPERTY = re.compile(rb"^#\s+([\w\[\]-]+): (\S.*)$")
_MOST_PROPERTIES = 4096
_BARE_PLAN = re.compile(rb"^(1\.\.\d+)\s*$")
_SIGHT = b" TEST "


@dataclass(slots=True)
class Bundle:
    """Several tests in one console: `BUNDLE TEST START`, how many are expected, then their blocks.

    `running` is the test that the last `Running 2/3 NAME` has announced, told apart from an earlier
    one of the same name.
    """

    expected: int | None = None
    finished: int = 0
    ended: bool = False
    running: bytes = b""
    runs: Counter[bytes] = field(default_factory=Counter)

    def announce(self, name: bytes) -> None:
        """A test begins."""
        self.runs[name] += 1
        run = self.runs[name]
        self.running = name if run == 1 else name + b" (run %d)" % run

    @property
    def complete(self) -> bool:
        """Whether no more tests will come."""
        return self.ended or (self.expected is not None and self.finished >= self.expected)

    @property
    def missing(self) -> str:
        """The announced tests that did not come, in words; empty when all did."""
        if self.expected is None:
            return "" if self.ended else "the bundle did not finish"
        if self.finished >= self.expected:
            return ""
        return f"the bundle's {self.expected} tests: {self.finished} finished"


class BlockReader:
    """The blocks of one stream: portions in, (prefix, bytes) out.

    The prefix is None for what is outside of every block. `bundles` are the console's, to which
    each stream's blocks belong: who announces a bundle need not be who runs the tests.
    """

    def __init__(self, bundles: list[Bundle]) -> None:
        self.open: list[bytes] = []
        """Prefixes of the blocks that have started and not finished."""
        self.finished = 0
        """The number of blocks that have started and finished."""
        self.seen = False
        """Whether any block or bundle has started."""
        self.skipped = self.failed = False
        """Whether a point in a block was skipped, or has failed."""
        self.properties: dict[str, str] = {}
        """The properties that comments after a point give it, as `POINT: Test-uuid`."""
        self._point = ""
        self._bundles = bundles
        self._partial = b""

    def feed(self, data: bytes) -> list[tuple[bytes | None, bytes]]:
        """Take the next bytes; lines that are not complete are held back once a block was seen."""
        data = self._partial + data
        self._partial = b""
        if not self.seen and _SIGHT not in data:
            tail = len(data) - (data.rfind(b"\n") + 1)
            keep = tail if data[-tail:].find(b"T") >= 0 and 0 < tail < 200 else 0
            if keep:
                self._partial, data = data[-keep:], data[:-keep]
            return [(None, data)] if data else []
        *lines, self._partial = data.split(b"\n")
        sorted_lines: list[tuple[bytes | None, bytes]] = []
        for line in lines:
            self._line(line + b"\n", sorted_lines)
        return sorted_lines

    def close(self) -> list[tuple[bytes | None, bytes]]:
        """Return what is held back."""
        sorted_lines: list[tuple[bytes | None, bytes]] = []
        if self._partial:
            self._line(self._partial, sorted_lines)
            self._partial = b""
        return sorted_lines

    def _line(self, line: bytes, into: list[tuple[bytes | None, bytes]]) -> None:
        if _SIGHT in line and (bundle_mark := _BUNDLE_MARK.search(line)) is not None:
            self._take_bundle_mark(bundle_mark)
            return
        mark = _MARK.match(line) if _SIGHT in line else None
        if mark is not None:
            prefix = mark[1]
            if mark[2] == b"START":
                self.seen = True
                if prefix not in self.open:
                    self.open.append(prefix)
            elif prefix in self.open:
                self.open.remove(prefix)
                self.finished += 1
                if self._bundle is not None:
                    self._bundle.finished += 1
                into.append((prefix, b"\n"))  # nothing more belongs to the last result
            return
        for prefix in sorted(self.open, key=len, reverse=True):
            if line.startswith(prefix):
                self._take_line(prefix, line[len(prefix) :], into)
                return
        if self._bundle is not None and (running := _RUNNING.match(line)) is not None:
            self._bundle.announce(running[1])
        into.append((None, line))

    @property
    def _bundle(self) -> Bundle | None:
        return self._bundles[-1] if self._bundles else None

    def _take_bundle_mark(self, mark: re.Match[bytes]) -> None:
        self.seen = True
        if mark[1] or not self._bundles:
            self._bundles.append(Bundle())
        if mark[2]:
            self._bundles[-1].expected = int(mark[2])
        if mark[3]:
            self._bundles[-1].ended = True

    def _take_line(
        self, prefix: bytes, line: bytes, into: list[tuple[bytes | None, bytes]]
    ) -> None:
        """A bundle's test gives its plan its name, so that tests may have points of one name."""
        if point := _POINT.match(line):
            self._point = _text(point[1])
        elif (said := _PROPERTY.match(line)) and len(self.properties) < _MOST_PROPERTIES:
            test = _text(self._bundle.running) if self._bundle else ""
            name = ": ".join(filter(None, (test, self._point, _text(said[1]))))
            self.properties[name] = _text(said[2])
        self.skipped = self.skipped or _SKIPPED.match(line) is not None
        self.failed = self.failed or _FAILED.match(line) is not None
        if self._bundle is not None and self._bundle.running:
            line = _BARE_PLAN.sub(rb"\1 # " + self._bundle.running + b"\n", line)
        into.append((prefix, line))


def _text(data: bytes) -> str:
    return data.decode("utf-8", "backslashreplace").strip()


_TAP = re.compile(rb"(?mi)^(?:TAP version \d+|1\.\.\d)")
_RESULT = re.compile(rb"(?m)^(?:not )?ok\b")
_PLAN = re.compile(rb"(?m)^(1\.\.\d+)(?:[ \t]+#[ \t]*([^\n]*))?$")
_KEPT = 4 << 20
"""Bytes that are kept of a stream that is not the program's."""
_TAIL = 64


@dataclass(slots=True)
class _Stream:
    """One program's text, or one block of it; `recorder` follows what is kept, once it is TAP."""

    kept: bytearray = field(default_factory=bytearray)
    is_tap: bool = False
    has_results: bool = False
    parser: Parser | None = None
    recorder: Recorder | None = None


_Key = tuple[bytes | None, bytes | None]


class Streams:
    """Takes a console's pieces, gives the parser's bytes.

    Args:
        tag: the program's tag, where it is known; by default the first stream with a plan or a
            version line, or the first block, is the program's.
    """

    def __init__(self, tag: bytes | None = None) -> None:
        self._tag = tag
        self.bundles: list[Bundle] = []
        """The bundles that have started."""
        self._blocks: dict[bytes | None, BlockReader] = {}
        self._streams: dict[_Key, _Stream] = {}
        self._program: _Key | None = None

    @property
    def program_tag(self) -> bytes | None:
        """Tag of the program's stream; None while none is known, and for one without a tag."""
        return self._program[0] if self._program else self._tag

    @property
    def found(self) -> bool:
        """Whether the program has shown up."""
        return self._program is not None

    @property
    def blocks_open(self) -> bool:
        """Whether a block or a bundle has started and not finished."""
        return any(reader.open for reader in self._blocks.values()) or not all(
            bundle.complete for bundle in self.bundles
        )

    @property
    def blocks_finished(self) -> bool:
        """Whether there were blocks, and all have finished, those of a bundle included."""
        readers = self._blocks.values()
        return any(reader.finished for reader in readers) and not self.blocks_open

    @property
    def properties(self) -> dict[str, str]:
        """The properties of points in blocks."""
        return {
            name: value
            for reader in self._blocks.values()
            for name, value in reader.properties.items()
        }

    @property
    def skipped_only(self) -> bool:
        """Whether points in blocks were skipped, and none has failed."""
        readers = self._blocks.values()
        return any(each.skipped for each in readers) and not any(each.failed for each in readers)

    @property
    def others_done(self) -> bool:
        """Whether every other stream that speaks TAP has met its plan."""
        return all(
            stream.recorder.done
            for key, stream in self._streams.items()
            if key != self._program and stream.recorder is not None
        )

    def feed(self, pieces: Iterable[Piece]) -> bytes:
        """Take pieces; return what of them is the program's."""
        out = bytearray()
        for tag, data in pieces:
            reader = self._blocks.setdefault(tag, BlockReader(self.bundles))
            for prefix, text in reader.feed(data):
                out += self._take((tag, prefix), text, reader.seen)
        return bytes(out)

    def close(self) -> bytes:
        """Return the rest: the program's, then the other streams that speak TAP, one by one."""
        out = bytearray()
        for tag, reader in self._blocks.items():
            for prefix, text in reader.close():
                out += self._take((tag, prefix), text, reader.seen)
        if self._program is None:
            results = (key for key, stream in self._streams.items() if stream.has_results)
            fallback = next(results, (self._tag, None))
            self._program = fallback
            if fallback in self._streams:
                out += self._streams[fallback].kept
        for key, stream in self._streams.items():
            if key != self._program and stream.is_tap:
                if out and not out.endswith(b"\n"):
                    out += b"\n"
                out += _named(bytes(stream.kept), _title(key))
        return bytes(out)

    def settle(self) -> None:
        """Nothing has come for a while: results of the other streams are complete as they are."""
        for stream in self._streams.values():
            if stream.parser is not None and stream.recorder is not None:
                for event in stream.parser.settle():
                    stream.recorder.add(event)

    def _take(self, key: _Key, data: bytes, in_blocks: bool) -> bytes:
        if key == self._program:
            return data
        stream = self._streams.setdefault(key, _Stream())
        before = len(stream.kept)
        stream.kept += data[: max(0, _KEPT - before)]
        if in_blocks and key[1] is None:
            return b""  # outside of the blocks nothing counts
        self._look(stream, max(0, before - _TAIL))
        if self._program is None and self._is_program(key, stream):
            self._program = key
            kept, stream.kept = bytes(stream.kept), bytearray()
            stream.recorder = stream.parser = None
            return kept
        if stream.is_tap:
            self._follow(stream, data)
        return b""

    def _look(self, stream: _Stream, start: int) -> None:
        """See whether the stream speaks TAP. `start` may be in mid-line: go back to its start."""
        if not stream.is_tap or not stream.has_results:
            start = stream.kept.rfind(b"\n", 0, start) + 1
            stream.is_tap = stream.is_tap or _TAP.search(stream.kept, start) is not None
            stream.has_results = stream.has_results or bool(_RESULT.search(stream.kept, start))

    def _is_program(self, key: _Key, stream: _Stream) -> bool:
        if self._tag is not None and key[0] != self._tag:
            return False
        return key[1] is not None or stream.is_tap

    @staticmethod
    def _follow(stream: _Stream, data: bytes) -> None:
        if stream.recorder is None or stream.parser is None:
            stream.recorder, stream.parser = Recorder(keep=False), Parser()
            data = bytes(stream.kept)
        for event in stream.parser.feed(data):
            stream.recorder.add(event)


def _title(key: _Key) -> bytes:
    return (key[0] or key[1] or b"untagged").strip(b" |:")


def _named(data: bytes, title: bytes) -> bytes:
    """Name each plan after its program, so that points of one name are told apart."""

    def name(match: re.Match[bytes]) -> bytes:
        return match[1] + b" # " + b" ".join(filter(None, (match[2], b"(" + title + b")")))

    return _PLAN.sub(name, data)
