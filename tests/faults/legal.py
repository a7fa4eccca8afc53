# SPDX-License-Identifier: GPL-2.0-only
"""The oracle: is a stream complete, legal and without a failing point? Shares no code with lkltest.

Written from what LKL's tests print and what the TAP specification asks for. The rules:

 1. The last line has its newline (terminal escapes after it do not count).
 2. There is a plan, `1..N` at the beginning of a line, and it comes before the points that it
    counts or after all of them, never between them.
 3. Under a plan come exactly N results, `ok` or `not ok` at the beginning of a line; a number, if
    there is one, is the next one. Another plan may follow once all of them came.
 4. No result is `not ok`, but for `not ok # TODO`.
 5. What is announced (`* N name`, N of nine digits at most) is what reports next.
 6. Nothing bails out.
 7. A YAML block, ` ---` after a result (and not after TAP of a subtest), ends with ` ...` before
    the next line that is TAP at the beginning of a line. Whatever is indented as the block is
    counts for nothing.
 8. The kernel says nowhere that it is broken: not in a log, and not in a message that stands in the
    midst of somebody else's line.
 9. A message of the kernel has not cut a `not ok` apart.

All other lines are somebody's output and mean nothing.
"""

from __future__ import annotations

import re

ESCAPE = re.compile(
    rb"\x1b(?:\[[0-?]*[ -/]*[@-~]|\][^\x07\x1b\n]*(?:\x07|\x1b\\)|[ -/]+[0-~]|[0-~])"
)
_RESULT = re.compile(rb"(not )?ok(?:[ \t\r\v\f]+(\d+)(?=[\s#]|$)|(?=[\s#]|$))(.*)", re.DOTALL)
_TODO = re.compile(rb"(?<!\\)#[ \t]*todo\b", re.IGNORECASE)
_EXPECTED = re.compile(rb"(?<!\\)#[ \t]*XFAIL\b")
_PLAN = re.compile(rb"1\.\.(\d+)(?=[\s#]|$)(.*)", re.DOTALL)
_ANNOUNCED = re.compile(rb"\* 0*(\d{1,9})(?=\s|$)")
_SUBTEST = re.compile(rb"\s+(?:1\.\.\d|K?TAP version|(?:not )?ok\b|\* \d|# Subtest)")
_STAMP = rb"\[ *\d+\.\d{6}\](?:\[ *[TC]\d+\])? "
_BROKEN = re.compile(
    _STAMP + rb"(?:watchdog: )?(?:Kernel panic - not syncing|BUG: |kernel BUG at |Oops: |WARNING: "
    rb"|UBSAN: |general protection fault|Unable to handle kernel)"
)
_CUT_NOT = re.compile(rb"not ?" + _STAMP)


def why_not(data: bytes) -> str:
    """Why a stream is not green, in a few words; empty for one that is."""
    if ESCAPE.sub(b"", data.rpartition(b"\n")[2]).strip(b"\r"):
        return "the last line has no newline"
    stream = _Stream()
    for line in data.split(b"\n")[:-1]:
        # Escapes are taken off first: they may stand before a carriage return, and within a word.
        reason = stream.take(ESCAPE.sub(b"", line).rstrip())
        if reason:
            return reason
    return stream.end()


class _Stream:
    def __init__(self) -> None:
        self.planned: int | None = None
        self.closed = False  # the plan came after its points
        self.seen = 0
        self.announced: int | None = None
        self.block: bytes | None = None  # the indentation of the one that is open
        self.after_result = False

    def take(self, line: bytes) -> str:
        """Take a line; returns what is wrong with it."""
        if _BROKEN.search(line):
            return "the kernel is broken"
        return "" if self._is_log(line) else self._line(line)

    def _is_log(self, line: bytes) -> bool:
        """Whether a line is of the block that is open, and so counts for nothing."""
        indent = self.block
        if indent is None:
            return False
        if line == indent + b"...":
            self.block = None
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
        if _SUBTEST.match(line):
            self.after_result = False
        if line.strip() == b"---" and line != b"---" and self.after_result:
            self.block = line[: -len(b"---")]
            self.after_result = False
        if line.startswith(b"Bail out!"):
            return "it bailed out"
        return "a failing point was cut apart" if _CUT_NOT.match(line) else ""

    def end(self) -> str:
        """What is missing at the end."""
        if self.block is not None:
            return "a block is open"
        if self.announced is not None:
            return "an announced point never reported"
        if self.planned is None:
            return "there is no plan"
        return "" if self.seen == self.planned else "the plan is not met"

    @staticmethod
    def _is_plan(plan: re.Match[bytes]) -> bool:
        """Whether nothing but a comment follows: `1..5 is a range` is prose."""
        return plan[2].lstrip()[:1] in (b"", b"#") or b"todo" in plan[2]

    def _result(self, result: re.Match[bytes]) -> str:
        negative, digits, rest = result.groups()
        self.after_result = True
        self.seen += 1
        number = int(digits) if digits else self.seen
        if negative and not (_TODO.search(rest) or _EXPECTED.search(rest)):
            return "a point failed"
        if number != self.seen:
            return "a number is not the next one"
        if self.planned is not None and (self.closed or self.seen > self.planned):
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
            return "the plan is not met" if self.closed and self.seen != count else ""
        if self.seen != self.planned:
            return "the plan is not met"
        self.planned, self.seen, self.closed = count, 0, False
        return ""

    def _announced(self, number: int) -> str:
        if self.announced is not None:
            return "an announced point never reported"
        self.announced = number
        self.after_result = False
        return ""
