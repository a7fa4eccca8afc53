# SPDX-License-Identifier: GPL-2.0-only
"""A TAP stream: bytes in, events out, as they come.

    parser = Parser()
    for chunk in chunks:
        for event in parser.feed(chunk): ...
    for event in parser.close(): ...

Any cutting of the stream into chunks gives the same events. No input makes it raise or recurse, and
it holds no more than one line (LINE_LIMIT) and one YAML block (LOG_LIMIT) at a time.

What is read: TAP 12, 13 and 14, KTAP, and the dialect of LKL's tests (tap_line.py has the lines).

Which line is what:

- A YAML block belongs to the result line before it; only output that is no TAP, and `Bail out!`
  (LKL's shell half prints it there), may stand between. It opens with `---` indented deeper than
  the result (LKL by one space, TAP 13 and 14 by two) and ends with `...` at exactly the
  indentation of its `---`.
- Every line of a block that is indented at least as the block is text of the block, whatever it
  looks like: a log may hold `ok 3`, `1..5`, `...` or `--- ping statistics ---`, indented.
- A line in the midst of a block that is indented less cannot belong to it. If it is a result, a
  plan, an announcement or a version, the block was never closed: Damage("yaml-open"), the point it
  belongs to, then that line. Anything else was written by someone else into the same terminal: it
  is reported by itself and the block goes on.
- An indented line is TAP only in an open subtest. A version line, a plan or `# Subtest` opens one
  at its indentation, and so does a result that is indented by four columns more (TAP 14) or by a
  tab (old KUnit). A result, a plan, an announcement or a version indented less closes it.
- `[    0.1] ok 1 - name` in a kernel log is output: it may come from anywhere. Parser(printk=True)
  is for a stream that is a kernel log, and takes the time stamps off.
- The last line counts only with its newline.
"""

import re
from bisect import bisect_left

from lkltest.tap_line import (
    NUMBER_DIGITS,
    BailOut,
    Comment,
    Damage,
    Event,
    Output,
    Plan,
    Point,
    Pragma,
    Started,
    Version,
    decode,
    quote,
    recognise,
)

__all__ = [
    "LINE_LIMIT",
    "LOG_LIMIT",
    "NUMBER_DIGITS",
    "BailOut",
    "Comment",
    "Damage",
    "Event",
    "Output",
    "Parser",
    "Plan",
    "Point",
    "Pragma",
    "Started",
    "Version",
    "decode",
]

LINE_LIMIT = 64 * 1024
"""Bytes of a line that are kept, its newline not counted; the rest is dropped (line-cut)."""

LOG_LIMIT = 4 * 1024 * 1024
"""Bytes of a YAML block that are kept; the rest is dropped (log-cut). Verbose boots print 2 MB."""

_ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*+[ -/]*+[@-~]"  # CSI: colours, cursor
    rb"|\][^\x07\x1b\n]*+(?:\x07|\x1b\\)"  # OSC: window titles
    rb"|[ -/]++[0-~]"  # character sets
    rb"|[0-Z\\^-~])"
)
_CARRIAGE_RETURNS = re.compile(rb"(?<!\r)\r++\n")
_PRINTK = re.compile(
    rb"\n(?:<[0-9]{1,4}>)?\[ *[0-9]{1,10}\.[0-9]{1,9}\](?:\[ *[TC][0-9]{1,10}\])? ?"
)
# What nearly every line of LKL's is, so that it costs one match: an announcement, if it is still to
# be read, its result without directive or escapes, and the first line of a block.
_USUAL = re.compile(
    rb"(?:\* ([0-9]{1,9}) ([^\s#\\](?:[^\n]*[^\s])?)\n)?"
    rb"(not )?ok ([0-9]{1,9}) (?:- )?([^\s#\\-](?:[^#\\\n]*[^\s#\\])?)\n"
    rb"( {1,2}---\n)?"
)
_TAB = 4  # columns
_new = tuple.__new__  # a NamedTuple's own constructor takes three times as long


class _Block:
    """A YAML block that is open: the point it belongs to and what came so far."""

    def __init__(self, point: Point, indent: bytes) -> None:
        self.point = point
        self.end = b"\n" + indent + b"..."
        self.stray = re.compile(rb"\n(?!" + re.escape(indent) + rb")[^\n]").search
        self._parts: list[bytes] = []
        self._kept = 0
        self._size = 0

    def add(self, part: bytes) -> None:
        self._size += len(part)
        part = part[: LOG_LIMIT - self._kept]
        if part:
            self._parts.append(part)
            self._kept += len(part)

    def finish(self, out: list[Event]) -> None:
        if self._size > self._kept:
            what = f"the block of {_label(self.point)} has {self._size} bytes"
            out.append(Damage("log-cut", f"{what}, the first {self._kept} are kept"))
        out.append(self.point._replace(block=b"".join(self._parts)))

    def find_end(self, text: bytes, pos: int) -> tuple[int, int]:
        """Where the newline before the `...` line is and where the next line begins, or -1, -1."""
        while (stop := text.find(self.end, pos)) >= 0:
            rest = stop + len(self.end)
            after = text.index(b"\n", rest)
            if after == rest or not text[rest:after].strip():
                return stop, after + 1
            pos = after
        return -1, -1


class Parser:
    """Turns the bytes of one stream into events; see the module.

    printk: the stream is a kernel log. Time stamps (`[    0.123456] `, with `[T1]` or `<6>` too)
    are taken off each line, and the indentation of the first version line counts as none.
    """

    def __init__(self, *, printk: bool = False) -> None:
        self._printk = printk
        self._find_base = printk
        self._partial = bytearray()  # the line that has begun
        self._dropped = 0  # bytes of it beyond LINE_LIMIT
        self._held: Point | None = None  # a result that may still get a block
        self._held_indent = b""
        self._block: _Block | None = None
        self._levels = [0]  # the columns at which subtests are open

    def feed(self, data: bytes) -> list[Event]:
        """The events that end in these bytes."""
        out: list[Event] = []
        start, size = 0, len(data)
        while start < size:
            # A window as long as the longest line that is allowed: a newline in it means that no
            # line before that newline is too long.
            end = data.rfind(b"\n", start, start + LINE_LIMIT + 1)
            if end >= 0 and not self._partial:
                self._text(data[start : end + 1], out)
            else:
                end = data.find(b"\n", start)
                if end < 0:
                    self._keep(data[start:])
                    break
                self._keep(data[start:end])
                self._end_of_line(out)
            start = end + 1
        return out

    def settle(self) -> list[Event]:
        """For a console that stays silent without ending: gives up waiting for a YAML block.

        Returns the point that was held for its block, if none has begun.
        """
        out: list[Event] = []
        if self._block is None and not self._partial:
            self._release(out)
        return out

    def close(self) -> list[Event]:
        """The stream has ended. A last line without newline was not written to its end."""
        out: list[Event] = []
        tail = self._cleaned(bytes(self._partial))[1:].rstrip(b"\r")
        if tail:
            self._say_cut(out)
            out.append(Damage("line-incomplete", f"the last line has no newline: {quote(tail)}"))
            if self._block is None:
                out.append(Output(tail))
            else:
                self._block.add(tail)
        self._partial.clear()
        self._dropped = 0
        if self._block is not None:
            self._abandon(self._block, out)
        self._release(out)
        return out

    # Lines

    def _keep(self, data: bytes) -> None:
        room = LINE_LIMIT - len(self._partial)
        self._partial += data[:room]
        self._dropped += max(0, len(data) - room)

    def _end_of_line(self, out: list[Event]) -> None:
        self._say_cut(out)
        line = bytes(self._partial) + b"\n"
        self._partial.clear()
        self._dropped = 0
        self._text(line, out)

    def _say_cut(self, out: list[Event]) -> None:
        if self._dropped:
            size = len(self._partial) + self._dropped
            what = f"a line of {size} bytes, the first {LINE_LIMIT} are kept"
            out.append(Damage("line-cut", what))

    def _cleaned(self, raw: bytes) -> bytes:
        """The text after a newline, so that every line in it begins after one; see Output."""
        text = b"\n" + raw
        if b"\x1b" in text:
            text = _ESCAPE.sub(b"", text)
        if b"\r" in text:
            text = text.replace(b"\r\n", b"\n")
            if b"\r\n" in text:
                text = _CARRIAGE_RETURNS.sub(b"\n", text)
        if self._printk:
            text = _PRINTK.sub(b"\n", text)
        return text

    def _text(self, raw: bytes, out: list[Event]) -> None:
        """Whole lines. What is usual is read here, all else line by line, to the same effect."""
        text = self._cleaned(raw)
        pos, size = 1, len(text)
        while pos < size:
            if self._block is not None:
                pos = self._in_block(self._block, text, pos, out)
                continue
            usual = _USUAL.match(text, pos) if len(self._levels) == 1 else None
            if usual is None:
                end = text.index(b"\n", pos)
                self._line(text[pos:end], out)
                pos = end + 1
                continue
            self._usual(usual, out)
            pos = usual.end()

    def _usual(self, usual: "re.Match[bytes]", out: list[Event]) -> None:
        announced, title, negative, number, name, opener = usual.groups()
        if self._held is not None:
            out.append(self._held)
        if announced is not None:
            out.append(_new(Started, (int(announced), decode(title), 0)))
        point = _new(Point, (negative is None, int(number), decode(name), "", "", b"", 0))
        if opener is not None:
            self._held = None
            self._block = _Block(point, opener[:-4])
        else:
            self._held = point
            self._held_indent = b""

    def _line(self, line: bytes, out: list[Event]) -> None:
        """One line outside of a block."""
        body = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        if body == b"---" and self._held is not None and self._is_deeper(indent):
            self._block = _Block(self._held, indent)
            self._held = None
            return
        events = self._recognise(indent, body) if body else ()
        if not events:
            out.append(Output(line + b"\n"))
            return
        if not isinstance(events[-1], BailOut):
            self._release(out)
        self._take(events, indent, out)

    def _take(self, events: tuple[Event, ...], indent: bytes, out: list[Event]) -> None:
        last = events[-1]
        if isinstance(last, Point):
            out.extend(events[:-1])
            self._held = last
            self._held_indent = indent
        else:
            out.extend(events)

    def _is_deeper(self, indent: bytes) -> bool:
        return len(indent) > len(self._held_indent) and indent.startswith(self._held_indent)

    def _release(self, out: list[Event]) -> None:
        if self._held is not None:
            out.append(self._held)
            self._held = None

    # Subtests

    def _recognise(self, indent: bytes, body: bytes) -> tuple[Event, ...]:
        """The events of a line at its depth; () where it is no TAP there. Keeps the levels."""
        column = len(indent.expandtabs(_TAB))
        if self._find_base and body.startswith((b"TAP version", b"KTAP version")):
            self._find_base = False
            self._levels = [column]
        depth = bisect_left(self._levels, column)
        is_new = depth == len(self._levels) or (self._levels[depth] != column and depth > 0)
        events = recognise(body, depth)
        if not events or isinstance(events[-1], BailOut | Pragma):
            return events
        last = events[-1]
        if is_new and not self._opens(last, indent, column, depth):
            return ()
        if is_new or not isinstance(last, Comment):
            del self._levels[depth + (0 if is_new else 1) :]
        if is_new:
            self._levels.append(column)
        return events

    def _opens(self, event: Event, indent: bytes, column: int, depth: int) -> bool:
        if isinstance(event, Comment):
            return event.text.startswith("Subtest")
        if isinstance(event, Point):
            return column - self._levels[depth - 1] == _TAB
        return isinstance(event, Version | Plan)

    # YAML blocks

    def _in_block(self, block: _Block, text: bytes, pos: int, out: list[Event]) -> int:
        """Reads on in a block; returns where reading goes on."""
        stop, after = block.find_end(text, pos - 1)
        end = stop + 1 if stop >= 0 else len(text)
        while (stray := block.stray(text, pos - 1, end)) is not None:
            start = stray.start() + 1
            block.add(text[pos:start])
            pos = text.index(b"\n", start) + 1
            line = text[start:pos]
            if not line.strip():
                block.add(line)
            elif self._ends_block(line):
                self._abandon(block, out)
                return start
            else:
                self._aside(line, out)
        block.add(text[pos:end])
        if stop < 0:
            return len(text)
        self._block = None
        block.finish(out)
        return after

    def _ends_block(self, line: bytes) -> bool:
        body = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        if len(indent.expandtabs(_TAB)) not in (0, *self._levels):
            return False
        events = recognise(body, 0)
        return bool(events) and not isinstance(events[-1], Comment | BailOut | Pragma)

    def _aside(self, line: bytes, out: list[Event]) -> None:
        """A line that somebody else wrote into the midst of a block."""
        events = recognise(line.strip(), 0)
        if events and isinstance(events[-1], BailOut | Pragma | Comment):
            out.extend(events)
        else:
            out.append(Output(line))

    def _abandon(self, block: _Block, out: list[Event]) -> None:
        self._block = None
        out.append(Damage("yaml-open", f"the block of {_label(block.point)} was not closed"))
        block.finish(out)


def _label(point: Point) -> str:
    return " ".join(part for part in (str(point.number or ""), point.name) if part) or "a point"
