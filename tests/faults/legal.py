# SPDX-License-Identifier: GPL-2.0-only
"""The oracle: is a stream complete, legal and without a failing point? Shares no code with lkltest.

Written from what LKL's tests print and what the TAP specification asks for. The rules:

 1. The last line needs no newline (the program ended with status 0), but for a plan.
 2. There is a plan, `1..N` at the beginning of a line, and it comes before the points that it
    counts or after all of them, never between them.
 3. Under a plan come exactly N results, `ok` or `not ok` at the beginning of a line; each number
    from 1 to N comes once, in any order. Another plan may follow once all of them came.
 4. No result is `not ok`, but for `not ok # TODO` and `not ok # SKIP`, where white space stands
    before the `#` and no other such `#` is there.
 5. What is announced (`* N name`, N of nine digits at most) is what reports next.
 6. Nothing bails out.
 7. A YAML block, ` ---` after a result (and not after TAP of a subtest), ends with ` ...` before
    the next line that is TAP at the beginning of a line. Whatever is indented as the block is
    counts for nothing, and neither does an announcement that a message cut apart in there.
 8. The kernel says nowhere that it is broken: not in a log, and not in a message that stands in the
    midst of somebody else's line.
 9. A line that a message of the kernel cut apart is whole again; if it cannot be, and was a
    failing result, nothing is green. `not` alone on a line belongs to the next one.

All other lines are somebody's output and mean nothing.
"""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator

ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-~])"
)
_RESULT = re.compile(rb"(not )?ok(?:[ \t\r\v\f]+(\d+)(?=[\s#]|$)|(?=[\s#]|$))(.*)", re.DOTALL)
_EXCUSED = re.compile(rb"(?<!\S)#[ \t]*(?:(?i:todo|skip(?:ped|ping)?)|XFAIL)\b")
_HASH = re.compile(rb"(?<!\S)#(?=\s|$|(?i:todo|skip)|XFAIL)")
_PLAN = re.compile(rb"1\.\.(\d+)(?=[\s#]|$)(.*)", re.DOTALL)
_ANNOUNCED = re.compile(rb"\* 0*(\d{1,9})(?=\s|$)")
_SUBTEST = re.compile(rb"\s+(?:1\.\.\d|K?TAP version|(?:not )?ok\b|\* \d|# Subtest)")
_STAMP = rb"\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? "
_BROKEN = re.compile(
    _STAMP + rb"(?:watchdog: )?(?:Kernel panic - not syncing|BUG: |kernel BUG at |Oops: |UBSAN: "
    rb"|WARNING: (?:CPU: \d+ PID: |possible )|general protection fault|Unable to handle kernel)"
)
_CUT = re.compile(rb"([^ \t\n][^\n]*?)(?:\[[ \d.]*)?" + _STAMP)  # by one that was cut itself, too
_REST_OF_STAMP = re.compile(rb"[ \d.]*\](?:\[ *[TC]\d+\])? ")
_TAP = re.compile(rb"(?:not )?ok(?=[\s#]|$)|1\.\.\d+(?=[\s#]|$)|\* \d+(?=\s|$)|(?i:bail out!)")
_BEGINS_TAP = re.compile(rb"n(ot?)?|not (o|ok)?|o|1\.{0,2}|\* ?|b(a(i(l( (o(ut?)?)?)?)?)?)?", re.I)
_CUT_END = re.compile(rb"([ \t]+)(\.{0,3})(?:<\d+>)?" + _STAMP)


def why_not(data: bytes) -> str:
    """The reason why a stream is not green, in a few words; empty for one that is."""
    # Escapes are taken off first: they may stand before a carriage return, and within a word.
    *lines, last = [ESCAPE.sub(b"", line).rstrip(b"\r") for line in data.split(b"\n")]
    if re.match(rb"1\.\.\d", last):
        return "the last line is a plan without newline"
    stream = _Stream()
    for line in mended([*lines, *filter(None, [last])]):
        reason = stream.take(line.rstrip(), isinstance(line, _Mended))
        if reason:
            return reason
    return stream.end()


def mended(lines: Iterable[bytes]) -> Iterator[bytes]:
    """Lines of TAP that messages of the kernel cut apart, whole again behind the messages."""
    held, was_cut = b"", False
    for part in (part for line in lines for part in _overwritten(line)):
        line = part
        if held and (re.match(rb"\s*" + _STAMP, line) or _REST_OF_STAMP.match(line)):
            yield line
            continue
        if held.strip() == b"not" and re.match(rb"\s*ok(?=[\s#]|$)", line):
            line, held = b"not " + line.lstrip(), b""
        elif held:
            cut = _CUT.match(line)
            is_whole = _TAP.match((cut[1] if cut else line).lstrip()) or line.strip() == b"---"
            if _TAP.match(held + line) and not is_whole:
                line = _Mended(held + line)
            else:
                yield b"not ok" if was_cut and held[:1] in b"nN" else held
            held = b""
        cut = _CUT.match(line)
        if cut and (_TAP.match(cut[1]) or _BEGINS_TAP.fullmatch(cut[1])):
            held, was_cut = cut[1], True
            yield line[cut.end(1) :]
        elif line.strip() == b"not":
            held, was_cut = line, False
        else:
            yield line
    if held:
        yield b"not ok" if was_cut and held[:1] in b"nN" else held


def _overwritten(line: bytes) -> list[bytes]:
    """The text before TAP that a carriage return parts from it."""
    parts = line.split(b"\r")
    return parts if any(_TAP.match(part) for part in parts[1:]) else [line]


class _Mended(bytes):
    """A line that was cut apart."""


class _Stream:
    def __init__(self) -> None:
        self.planned: int | None = None
        self.numbers: set[int] = set()
        self.last = 0
        self.closed = False  # the plan came after its points
        self.seen = 0
        self.announced: int | None = None
        self.block: bytes | None = None  # the indentation of the one that is open
        self.end_cut: bytes | None = None  # what of its `...` came before a message
        self.after_result = False

    def take(self, line: bytes, was_cut: bool = False) -> str:
        """Take a line; returns what is wrong with it."""
        if _BROKEN.search(line):
            return "the kernel is broken"
        if self._is_log(line) or (self.block is not None and was_cut and line[:1] == b"*"):
            return ""
        return self._line(line)

    def _is_log(self, line: bytes) -> bool:
        """Whether a line is of the block that is open, and so counts for nothing."""
        indent = self.block
        if indent is None:
            return False
        cut = _CUT_END.match(line)
        if line == indent + b"...":
            self.block = None
        elif cut is not None and cut[1] == indent:
            self.end_cut = cut[2]
        elif self.end_cut is not None and line and not re.match(_STAMP, line):
            if self.end_cut + line == b"..." or (self.end_cut == b"..." and line[:1] != b" "):
                self.block = None
                self.end_cut = None
                return line[:1] == b"."
            self.end_cut = None
        return not line or line.startswith(indent)

    def _line(self, line: bytes) -> str:
        result, plan, announced = (p.match(line) for p in (_RESULT, _PLAN, _ANNOUNCED))
        if plan is not None and int(plan[1]) and not self._is_plan(plan):
            plan = None
        if self.block is not None:
            return "a block is open" if result or plan or announced else ""
        if result:
            return self._result(result)
        if plan:
            return self._plan(int(plan[1]))
        return self._announced(int(announced[1])) if announced else self._other(line)

    def _other(self, line: bytes) -> str:
        if _SUBTEST.match(line) or re.match(rb"K?TAP version \d", line):
            self.after_result = False
        if line.strip() == b"---" and line != b"---" and self.after_result:
            self.block = line[: -len(b"---")]
            self.after_result = False
        if re.match(rb"#\s*Subtest", line):
            self.after_result = False
        if line.lower().startswith(b"bail out!"):
            return "it bailed out"
        return ""

    def end(self) -> str:
        """The lines that are missing at the end."""
        if self.block is not None:
            return "a block is open"
        if self.announced is not None:
            return "an announced point never reported"
        if self.planned is None:
            return "there is no plan"
        return "" if self._is_met() else "the plan is not met"

    @staticmethod
    def _is_plan(plan: re.Match[bytes]) -> bool:
        """Whether nothing but a comment follows: `1..5 is a range` is prose."""
        return plan[2].lstrip()[:1] in (b"", b"#") or b"todo" in plan[2]

    def _result(self, result: re.Match[bytes]) -> str:
        negative, digits, rest = result.groups()
        self.after_result = True
        self.seen += 1
        number = int(digits) if digits else self.last + 1
        self.last = number
        if negative and not (_EXCUSED.search(rest) and len(_HASH.findall(rest)) == 1):
            return "a point failed"
        if number in self.numbers:
            return "a number came twice"
        self.numbers.add(number)
        if self.planned is not None and (self.closed or not 0 < number <= self.planned):
            return "there are more points than planned"
        if self.announced not in (None, number):
            return "an announced point never reported"
        self.announced = None
        return ""

    def _plan(self, count: int) -> str:
        if self.announced is not None:
            return "an announced point never reported"
        self.after_result = False
        if self.planned is None:
            self.closed = self.seen > 0
            self.planned = count
            return "" if not self.closed or self._is_met() else "the plan is not met"
        if not self._is_met():
            return "the plan is not met"
        self.planned, self.seen, self.closed = count, 0, False
        self.numbers, self.last = set(), 0
        return ""

    def _is_met(self) -> bool:
        numbers = self.numbers
        return len(numbers) == self.planned and (not numbers or max(numbers) == self.planned)

    def _announced(self, number: int) -> str:
        if self.announced is not None:
            return "an announced point never reported"
        self.announced = number
        self.after_result = False
        return ""
