# SPDX-License-Identifier: GPL-2.0-only
"""A TAP stream: bytes in, events out, as they come.

    parser = Parser()
    for chunk in chunks:
        for event in parser.feed(chunk): ...
    for event in parser.close(): ...

Any cutting of the stream into chunks gives the same events. No input makes it raise or recurse, and
it holds no more than one line (LINE_LIMIT) and one YAML block (LOG_LIMIT) at a time.

What is read: TAP 12, 13 and 14, KTAP, and the dialect of LKL's tests (grammar.py has the lines).

Which line is what:

- A YAML block belongs to the result line before it; only output that is no TAP, comments and
  `Bail out!` (LKL's shell half prints it there) may stand between. It opens with `---` indented
  deeper than the result (LKL by one space, TAP 13 and 14 by two) and ends with `...` at exactly
  the indentation of its `---`.
- Every line of a block that is indented at least as the block is text of the block, whatever it
  looks like: a log may hold `ok 3`, `1..5`, `...` or `--- ping statistics ---`, indented.
- A line in the midst of a block that is indented less cannot belong to it. If it is a result, a
  plan, an announcement or a version, the block was never closed: Diagnostic("yaml-open"), the point
  it belongs to, then that line. Anything else was written by someone else into the same terminal:
  it is reported by itself and the block goes on.
- An indented line is TAP only in an open subtest. A version line, a plan or `# Subtest` opens one
  at its indentation, and so does a result that is indented by four columns more (TAP 14) or by a
  tab (old KUnit); by eight, it opens two. A result, a plan, an announcement or a version indented
  less closes it.
- `[    0.1] ok 1 - name` in a kernel log is output: it may come from anywhere. Parser(printk=True)
  is for a stream that is a kernel log, and takes the time stamps off; Parser(printk=None) does so
  if the first line of TAP has one.
- A line of TAP that a kernel message tore apart is put together (torn_line.py), and `not` alone on
  a line belongs to the `ok` on the next one.
- A result whose line ends in `{` has its subtests behind it, up to a `}` (Perl's Test2, node-tap):
  it comes after them, as if it had been printed there. Indented TAP or a `}` must follow, else the
  brace is part of the name.
- A carriage return before a result ends the line that it stands in: `50 %\rok 1 copy`. Where that
  line says something itself, the console lost a newline: Diagnostic("line-torn").
- A last line without newline: a result and the end of a block come as a LastLine, a plan counts
  for nothing (Diagnostic), all else as if the newline were there.
"""

import re
from collections.abc import Callable

from lkltest.tap.braces import Braces
from lkltest.tap.grammar import (
    NUMBER_DIGITS,
    BailOut,
    Comment,
    Diagnostic,
    Event,
    LastLine,
    Output,
    Plan,
    Point,
    Pragma,
    Started,
    Version,
    decode,
    quote,
    recognise,
    says_something,
)
from lkltest.tap.indentation import Levels
from lkltest.tap.lines import LINE_LIMIT, Lines
from lkltest.tap.torn_line import (
    Torn,
    may_be_lost,
    mend,
    tear,
)
from lkltest.tap.yaml_block import LOG_LIMIT, Block, stray_finder

__all__ = [
    "LINE_LIMIT",
    "LOG_LIMIT",
    "NUMBER_DIGITS",
    "BailOut",
    "Comment",
    "Diagnostic",
    "Event",
    "LastLine",
    "Output",
    "Parser",
    "Plan",
    "Point",
    "Pragma",
    "Started",
    "Version",
    "decode",
]

# What nearly every line of LKL's is, so that it costs one match: a result without directive or
# escapes, together with the announcement of the same point and with the first line of its block.
_RESULT = rb"(ok|not ok) ([0-9]{1,9}+) (?:- |)"
_ANNOUNCED = rb"\* ([0-9]{1,9}+) "
_NAME = rb"([^\s#\\[-][^#\\\n\r[]*+(?<![\s{]))\n"
_USUAL_RESULT = re.compile(_RESULT + _NAME + rb"( {1,2}---\n|)").match
_USUAL_ANNOUNCED = re.compile(_ANNOUNCED + _NAME + rb"(ok|not ok) \1 \2\n( {1,2}---\n|)").match
_LINES = re.compile(
    _RESULT + _NAME + rb"|" + _ANNOUNCED + _NAME + rb"(?:(ok|not ok) \4 \5\n|)|([^\n]*+)\n"
).findall
# An opened block's end, up to its newline, and the search for lines that are not of the block.
_USUAL_BLOCK = {i + b"---\n": (b"\n" + i + b"...", stray_finder(i)) for i in (b" ", b"  ")}
_HELD_COMMENTS = 100
_SWEEP = 8 * 1024  # bytes; what _LINES makes of so many is gone before the garbage collector looks
_ASTERISK, _NEWLINE = b"*\n"
_new = tuple.__new__  # a NamedTuple's own constructor takes three times as long


def _reader(text: bytes) -> "Callable[[bytes], str]":
    """The quickest way to decode parts of this text."""
    return bytes.decode if text.isascii() else decode


class Parser:
    """Turns the bytes of one stream into events; see the module.

    printk: the stream is a kernel log. Time stamps (`[    0.123456] `, with `[T1]` or `<6>` too)
    are taken off each line, and the indentation of the first version line counts as none. None:
    find out.
    """

    def __init__(self, *, printk: bool | None = False) -> None:
        self._lines = Lines(printk)
        self._held: Point | None = None  # a result that may still get a block
        self._held_indent = b""
        self._comments: list[Event] = []  # and output, that came after it
        self._block: Block | None = None
        self._torn: Torn | None = None  # a line whose rest is to come
        self._levels = Levels()
        self._braces = Braces()

    def feed(self, data: bytes) -> list[Event]:
        """The events that end in these bytes."""
        out: list[Event] = []
        for text in self._lines.feed(data, out):
            self._levels.find_base |= self._lines.switched_on()
            self._text(text, out)
        return out

    def settle(self) -> list[Event]:
        """For a console that stays silent without ending: gives up waiting for a YAML block.

        Returns the point that was held for its block, if none has begun.
        """
        out: list[Event] = []
        if self._block is None and not (self._braces.expected or self._lines.has_begun()):
            self._release(out)
        return out

    def close(self) -> list[Event]:
        """The stream has ended."""
        out: list[Event] = []
        tail = self._lines.rest(out)
        self._levels.find_base |= self._lines.switched_on()
        if self._torn is not None and self._is_message(self._torn, tail, out):
            tail = b""
        tail = self._rest_of_torn(tail, out)
        if tail:
            self._last_line(tail, out)
        if self._torn is not None and (tail := self._rest_of_torn(b"", out)):
            self._last_line(tail, out)  # it was torn itself
        if self._block is not None:
            self._abandon(self._block, out)
        self._release(out)
        out += self._braces.abandon(b"")
        return out

    def _last_line(self, tail: bytes, out: list[Event]) -> None:
        reason = f"the last line has no newline: {quote(tail)}"
        cut: list[Event] = [Diagnostic("line-incomplete", reason)]
        if self._block is not None:
            block = self._block
            if self._ends_block(tail) or not block.is_end(tail):
                block.add(tail)
                return
            whole: list[Event] = []
            block.finish(whole)
            whole += self._comments
            self._abandon(block, cut)
            out.append(LastLine(tuple(whole), tuple(cut)))
            return
        if tail.strip() != b"---":
            self._release(out)
        events: list[Event] = []
        self._line(tail, events)
        if self._held is not None:
            self._release(events)
            out.append(LastLine(tuple(events), (*cut, Output(tail + b"\n"))))
        elif any(isinstance(event, Plan) for event in events):
            out += [*cut, Output(tail + b"\n")]
        else:
            out += events

    # What is usual is read in one of two quick ways, all else line by line, to the same effect.

    def _text(self, text: bytes, out: list[Event]) -> None:
        pos, size, blocks = 1, len(text), b"---" in text
        while pos < size:
            if self._block is not None:
                pos = self._in_block(self._block, text, pos, out)
            elif not blocks:
                end = text.rfind(b"\n", pos, pos + _SWEEP) + 1 or text.index(b"\n", pos) + 1
                self._sweep(text, pos, end, out)
                pos = end
            elif (usual := self._usual(text, pos, out)) != pos:
                pos = usual
            else:
                end = text.index(b"\n", pos)
                self._line(text[pos:end], out)
                pos = end + 1

    def _sweep(self, text: bytes, pos: int, end: int, out: list[Event]) -> None:
        """Reads lines among which no block begins, in one sweep of the pattern."""
        add, read, usual = out.append, _reader(text), False
        for verdict1, digits1, title1, digits2, title2, verdict2, other in _LINES(text, pos, end):
            if not usual and (digits1 or digits2):
                if self._torn is not None:
                    first = verdict1 or b"*", digits1 or digits2, title1 or title2
                    self._line(b"%b %b %b" % first, out)
                    if verdict2:
                        self._line(b"%b %b %b" % (verdict2, digits2, title2), out)
                    continue
                usual = True
                self._begin_usual(out)
            if digits1:
                number, name = int(digits1), read(title1)
                add(_new(Point, (verdict1 == b"ok", number, name, "", "", b"", 0, None)))
            elif digits2:
                number, name = int(digits2), read(title2)
                add(_new(Started, (number, name, 0)))
                if verdict2:
                    add(_new(Point, (verdict2 == b"ok", number, name, "", "", b"", 0, None)))
            else:
                if usual:
                    usual = False
                    self._end_usual(out)
                self._line(other, out)
        if usual:
            self._end_usual(out)

    def _usual(self, text: bytes, pos: int, out: list[Event]) -> int:
        """Reads on as long as the lines are usual ones; returns where they are not."""
        size, add, read, begin = len(text), out.append, _reader(text), pos
        while pos < size and self._torn is None:
            first = text[pos]
            if first == _ASTERISK and (usual := _USUAL_ANNOUNCED(text, pos)):
                digits, title, verdict, opener = usual.groups()
            elif first in b"on" and (usual := _USUAL_RESULT(text, pos)):
                verdict, digits, title, opener = usual.groups()
            else:
                break
            if pos == begin:
                self._begin_usual(out)
            ok, number, name = verdict == b"ok", int(digits), read(title)
            if first == _ASTERISK:
                add(_new(Started, (number, name, 0)))
            pos = usual.end()
            if not opener:
                add(_new(Point, (ok, number, name, "", "", b"", 0, None)))
                continue
            # Most blocks are closed in the same text and before any line that is indented less.
            end, find_stray = _USUAL_BLOCK[opener]
            stray = find_stray(text, pos - 1, size)
            stop = text.find(end, pos - 1, stray.start() + 1 if stray else size) + 1
            after = stop + len(end)
            if stop <= pos or text[after - 1] != _NEWLINE:
                self._block = Block(Point(ok, number, name, "", "", b"", 0), opener[:-4])
                return pos
            add(_new(Point, (ok, number, name, "", "", text[pos:stop], 0, None)))
            pos = after
        if pos != begin:
            self._end_usual(out)
        return pos

    def _begin_usual(self, out: list[Event]) -> None:
        self._release(out)
        out += self._braces.abandon(b"")
        self._held_indent = b""
        out += self._levels.close_all()

    def _end_usual(self, out: list[Event]) -> None:
        """The last point may still get its block."""
        last = out[-1]
        if isinstance(last, Point) and not last.block:
            del out[-1]
            self._held = last

    def _line(self, line: bytes, out: list[Event]) -> None:
        """One line outside of a block."""
        if b"\r" in line and any(map(says_something, line.split(b"\r")[1:])):
            self._overwritten(line, out)
        elif self._torn is None or not self._is_message(self._torn, line, out):
            self._whole_line(self._rest_of_torn(line, out), out)

    def _overwritten(self, line: bytes, out: list[Event]) -> None:
        """A line that was begun again. It says two things only where a newline was lost."""
        parts = [part for part in line.split(b"\r") if part]
        if sum(map(says_something, parts)) > 1:
            what = f"a carriage return ran two lines together: {quote(line)}"
            out.append(Diagnostic("line-torn", what))
        for part in parts:
            self._line(part, out)

    def _whole_line(self, line: bytes, out: list[Event]) -> None:
        body = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        if body == b"not":
            self._torn = Torn(line, by_message=False)
            return
        if b"[" in line and (torn := tear(line)) is not None:
            self._torn = torn
            out.append(Output(line[len(torn.before) + len(torn.stamp) :] + b"\n"))
            return
        if body == b"---" and self._held is not None and self._is_deeper(indent):
            self._block = Block(self._held, indent)
            self._held = self._braces.expected = None
            return
        if self._braces.pending and body and self._in_braces(indent, body, out):
            return
        events = self._levels.recognise(indent, body) if body else ()
        if not events:
            if body and any(isinstance(event, Comment) for event in self._comments):
                self._release(out)  # KUnit's: what is expected, after where
            self._other(line, out)
            return
        self._take(events, indent, body, out)

    def _in_braces(self, indent: bytes, body: bytes, out: list[Event]) -> bool:
        """Open and close results with subtests in braces; return whether the line is done."""
        if self._braces.begins(indent, body):
            self._held = None
            self._release_comments(out)
            self._levels.open(self._held_indent, indent)
        if body == b"}" and (closed := self._braces.close(indent)):
            self._release(out)
            self._levels.close(indent)
            out += closed
            return True
        return False

    def _other(self, line: bytes, out: list[Event]) -> None:
        """Output. It came after the point that is held, which may get its block all the same."""
        if len(self._comments) >= _HELD_COMMENTS:
            self._release(out)
        (out if self._held is None else self._comments).append(Output(line + b"\n"))

    def _is_message(self, torn: Torn, line: bytes, out: list[Event]) -> bool:
        """Whether a line is a message, or what of one came behind the line that is torn."""
        message = torn.message(line)
        if message is None:
            return False
        out.append(Output(message + b"\n"))
        if len(message) != len(line):
            self._torn = torn._replace(stamp=b"")
        return True

    def _rest_of_torn(self, line: bytes, out: list[Event]) -> bytes:
        """The line that a torn one and this one are, or this one where they are two."""
        torn = self._torn
        if torn is None:
            return line
        self._torn = None
        whole = mend(torn.before, line)
        if whole is not None:
            indent = whole[: len(whole) - len(whole.lstrip())]
            lost = not self._levels.may_hold(indent) and says_something(line)
            return whole.lstrip() if lost else whole
        if torn.by_message and may_be_lost(torn.before):
            what = f"a kernel message tore a line, its rest is missing: {quote(torn.before)}"
            out.append(Diagnostic("line-torn", what))
        if says_something(torn.before):
            self._whole_line(torn.before, out)
        else:
            out.append(Output(torn.before + b"\n"))
        return line

    def _take(
        self, events: tuple[Event, ...], indent: bytes, body: bytes, out: list[Event]
    ) -> None:
        last = events[-1]
        if isinstance(last, Comment) and self._holds(last):
            self._comments.append(last)
            return
        if not isinstance(last, BailOut):
            self._release(out)
        if self._braces.pending and not isinstance(last, Comment | BailOut | Pragma):
            out += self._braces.abandon(indent)
        if isinstance(last, Point):
            out.extend(events[:-1])
            self._held = last
            self._held_indent = indent
            self._braces.expect(last, indent, body)
        else:
            out.extend(events)

    def _holds(self, comment: Comment) -> bool:
        """Whether a comment may stand between a point and its block."""
        return (
            self._held is not None
            and len(self._comments) < _HELD_COMMENTS
            and not comment.text.startswith("Subtest")
        )

    def _is_deeper(self, indent: bytes) -> bool:
        return len(indent) > len(self._held_indent) and indent.startswith(self._held_indent)

    def _release(self, out: list[Event]) -> None:
        if self._held is not None:
            out.append(self._held)
            self._held = self._braces.expected = None
        self._release_comments(out)

    def _release_comments(self, out: list[Event]) -> None:
        if self._comments:
            out += self._comments
            self._comments.clear()

    # YAML blocks

    def _in_block(self, block: Block, text: bytes, pos: int, out: list[Event]) -> int:
        """Reads on in a block; returns where reading goes on."""
        while True:
            stray = block.find_stray(text, pos - 1, len(text))
            start = len(text) if stray is None else stray.start() + 1
            stop, after = block.find_end(text, pos - 1, start)
            if stop >= 0:
                block.add(text[pos:stop])
                self._close_block(block, out)
                return after
            block.add(text[pos:start])
            if stray is None:
                return start
            pos = text.index(b"\n", start) + 1
            line = text[start:pos]
            if not line.strip():
                block.add(line)
            elif (message := block.torn_end(line)) is not None:
                out.append(Output(message))
                self._close_block(block, out)
                return pos
            elif self._ends_block(line):
                if (message := block.torn_end(b"")) is not None:
                    out.append(Output(message))
                    self._close_block(block, out)
                else:
                    self._abandon(block, out)
                return start
            else:
                self._aside(line, out)

    def _ends_block(self, line: bytes) -> bool:
        body = line.strip()
        indent = line[: len(line) - len(line.lstrip())]
        if not self._levels.may_hold(indent):
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

    def _abandon(self, block: Block, out: list[Event]) -> None:
        out.append(Diagnostic("yaml-open", f"the block of {block.label()} was not closed"))
        self._close_block(block, out)

    def _close_block(self, block: Block, out: list[Event]) -> None:
        self._block = None
        block.finish(out)
        self._release_comments(out)
