# SPDX-License-Identifier: GPL-2.0-only
"""The events of a TAP stream, and the grammar of one line: bytes ▶ events.

Sources: the TAP 13 and TAP 14 specifications, the kernel's Documentation/dev-tools/ktap.rst, and
LKL's tests/test.c for what it adds: `* N name` announces a test point, and the comment of a plan is
the name of the suite that the plan belongs to.

Nothing here raises, whatever the bytes are: what is no TAP gives no event.
"""

import re
from typing import NamedTuple, TypeAlias

NUMBER_DIGITS = 9
"""Numbers of more digits are no numbers (a Diagnostic says so): a program that prints garbage must
not make anyone count to it. 999,999,999 points are more than any suite has."""

_DETAIL_LIMIT = 200  # characters of a damaged line that a Diagnostic quotes


def decode(data: bytes) -> str:
    """Text of console bytes: UTF-8, and every byte that is not as `\\xNN`."""
    return str(data, "utf-8", "backslashreplace")


class Version(NamedTuple):
    """`TAP version 13`, or `KTAP version 1` (ktap)."""

    number: int
    ktap: bool
    depth: int


class Plan(NamedTuple):
    """`1..N`. LKL's comment is the suite's name.

    skip is None unless the count is 0; then it is the reason given on the line, "" without one
    (LKL's reason is plain text on the next line: an Output).
    """

    count: int  # type: ignore[assignment]  # hides tuple.count, which no one needs of a plan
    name: str
    skip: str | None
    depth: int


class Started(NamedTuple):
    """`* 6 readdir`: LKL announces that a test point has begun."""

    number: int
    name: str
    depth: int


class Point(NamedTuple):
    """A test point: `ok 6 readdir # SKIP why` and the YAML block that follows it.

    number is None where the line has none (or one too large to be one). directive is "", "SKIP" or
    "TODO" (KTAP's XFAIL is a TODO); reason is the text after it, or KTAP's `TIMEOUT ...`,
    `ERROR ...` and kselftest's `exit=N`, which say why without being a directive.
    block is the body of the YAML block as it came, indented, without its `---` and `...` lines.
    took is node-tap's `# time=12.5ms` in seconds, or None.
    """

    ok: bool
    number: int | None
    name: str
    directive: str
    reason: str
    block: bytes
    depth: int
    took: float | None = None

    @property
    def log(self) -> str:
        """The text under `log: |`, dedented; of a block without it, the block except its times.

        Taken by hand, not by a YAML loader: loaders raise on control characters and on a first
        line that is indented deeper than the next, and a console log holds both.
        """
        key = _LOG_KEY.search(self.block)
        if key is None:
            return decode(_dedent(_TIME_KEY.sub(b"", self.block)))
        body = self.block[key.end() :]
        indent = key[1]
        # Another key at the indentation of `log` ends the text.
        after = re.search(rb"^(?!" + indent + rb"[ \t])[^\n]*\S", body, re.MULTILINE)
        if after is not None:
            body = body[: after.start()]
        if len(indent) == 1:  # LKL puts exactly two spaces before each line of its log
            lines = b"\n" + body
            return decode(lines.replace(b"\n  ", b"\n")[1:].rstrip(b"\n"))
        return decode(_dedent(body))

    @property
    def message(self) -> str:
        """The first line of what the block says went wrong.

        That is `message:`, node's `error:`, vitest's `message:` in its `error:`, or else what was
        expected and what came in its place (tape).
        """
        margin = self.block[: len(self.block) - len(self.block.lstrip(b" \t"))]
        if not margin:
            return ""
        found = re.search(rb"^" + margin + rb"(?:message|error)" + _TEXT, self.block, re.MULTILINE)
        if found and not found[2]:
            found = re.search(
                rb"^" + margin + rb"[ \t]+message" + _TEXT, self.block[found.end() :], re.MULTILINE
            )
        if found:
            return decode(found[2].strip())
        told = {
            name: re.search(rb"^" + margin + keys + rb":[ \t]*([^\s|>][^\n]*)", self.block, re.M)
            for name, keys in _COMPARED.items()
        }
        return ", ".join(
            f"{name} {decode(value[1].strip())}" for name, value in told.items() if value
        )

    @property
    def seconds(self) -> float | None:
        """LKL's `time_us` (CPU time, from clock()) or node's `duration_ms`, in seconds."""
        if not self.block:
            return self.took
        log = _LOG_KEY.search(self.block)
        time = _TIME_KEY.search(self.block, 0, log.start() if log else len(self.block))
        if time is None:
            return self.took
        return float(time[2]) / (1e6 if time[1] == b"time_us" else 1e3)


class BailOut(NamedTuple):
    """`Bail out! reason`, in capitals or not: the program gave up."""

    reason: str


class Pragma(NamedTuple):
    """`pragma +strict`: text is what follows the word."""

    text: str


class Comment(NamedTuple):
    """`# text`."""

    text: str
    depth: int


class Output(NamedTuple):
    """One line that is no TAP, outside of a YAML block, with its newline.

    A last line that never got its newline has none here either. Terminal escapes and the carriage
    returns before the newline are gone, and in a kernel log the time stamp.
    """

    data: bytes


class Diagnostic(NamedTuple):
    """Something that the stream should not hold, for which it does not pass.

    what: "yaml-open" (a block that was not closed), "line-cut" and "log-cut" (longer than the
    limits), "line-torn" (a line was cut, and its rest was not found, or two were run together),
    "line-incomplete" (the last line has no newline), "line-lost" (the beginning of a nested stream
    is missing), "number" and "version" (more digits than NUMBER_DIGITS). detail is for people. It
    comes before the event it is about.
    """

    what: str
    detail: str


class LastLine(NamedTuple):
    """A result, or the end of a block, as a last line that has no newline: was all of it written?

    whole and cut are the events that it comes to, if it was and if it was not. Whoever knows how
    the program ended has the answer.
    """

    whole: "tuple[Event, ...]"
    cut: "tuple[Event, ...]"


Event: TypeAlias = (
    Version | Plan | Started | Point | BailOut | Pragma | Comment | Output | Diagnostic | LastLine
)

_LOG_KEY = re.compile(rb"^([ \t]+)log:[ \t]*[|>][-+0-9]*[ \t]*(?:\n|\Z)", re.MULTILINE)
_TIME_KEY = re.compile(
    rb"^[ \t]+(time_us|duration_ms):[ \t]*([0-9]{1,18}(?:\.[0-9]{1,18})?)[ \t]*(?:\n|\Z)",
    re.MULTILINE,
)


# A value, or the first line of one that begins below its key.
_TEXT = rb":[ \t]*+(?:[|>][-+0-9]*[ \t]*\n\s*+)?([\"']?)([^\n]*?)\1[ \t]*(?:\n|\Z)"
_COMPARED = {"expected": rb"(?:expected|wanted)", "got": rb"(?:actual|found|got|received)"}


def _dedent(text: bytes) -> bytes:
    """A text without the indentation that all its lines share, and without the last newline."""
    lines = text.rstrip(b"\n").split(b"\n")
    margin = min((len(line) - len(line.lstrip(b" ")) for line in lines if line.strip()), default=0)
    return b"\n".join(line[margin:] for line in lines)


# `ok` must stand alone: "okay" and "ok, next" are no results. The same goes for the number.
_RESULT = re.compile(
    rb"(not )?ok(?=[\s#]|\Z)\s*(?:([0-9]+)(?=[\s#]|\Z))?\s*(?:-(?=\s|\Z)\s*)?(.*)", re.DOTALL
)
# What can end a name: a `#` after white space, with white space or a keyword behind it. Not one
# that is escaped or quoted, nor one within a word: a URL's, or that of `bug #12`.
_HASH = re.compile(
    rb"\\.|(?<![^\s(])([\"'`])[^\n]*?\1(?!\w)"
    rb"|(?<!\S)(?P<hash>#)[ \t]*(?:(?P<keyword>(?i:skip(?:ped|ping)?|todo)(?!\w)"
    rb"|(?:XFAIL|TIMEOUT|ERROR)(?!\w)|exit=[0-9])|(?<=\s)|\Z)",
    re.DOTALL,
)
_TIME = re.compile(rb"(?:\A|\s)#[ \t]*time=([0-9]{1,12}(?:\.[0-9]{1,12})?)(ms|s|m|)\s*\Z")
_SECONDS = {b"ms": 1e-3, b"": 1e-3, b"s": 1.0, b"m": 60.0}
_VERDICTS = {b"SKIP": "SKIP", b"TODO": "TODO", b"XFAI": "TODO"}
_ESCAPED = re.compile(rb"\\([\\#])")
_PLAN = re.compile(rb"1\.\.([0-9]+)(?=[\s#]|\Z)\s*(.*)", re.DOTALL)
_PLAN_TODO = re.compile(rb"todo(?:\s+[0-9]+)+\s*;?\Z")  # Test.pm's, before TAP had a number
_PLAN_SKIP = re.compile(r"(?i:skip(?:ped|ping)?)(?:[:\s]+(.*)|\Z)", re.DOTALL)
_STARTED = re.compile(rb"\* ([0-9]+)(?:\s+(.*)|\Z)", re.DOTALL)
_VERSION = re.compile(rb"(K?)TAP [Vv]ersion ([0-9]+)\Z")
_PRAGMA = re.compile(rb"pragma\s+([+-]\w.*)", re.DOTALL)


def _number(digits: bytes) -> int | None:
    digits = digits.lstrip(b"0") or b"0"
    return int(digits) if len(digits) <= NUMBER_DIGITS else None


def quote(line: bytes) -> str:
    """The beginning of a line, for a Diagnostic."""
    text = decode(line[:_DETAIL_LIMIT])
    return text + "..." if len(line) > _DETAIL_LIMIT else text


def _result(line: bytes, depth: int) -> tuple[Event, ...]:
    result = _RESULT.match(line)
    if result is None:
        return ()
    negative, digits, name = result.groups()
    ok, number = negative is None, None if digits is None else _number(digits)
    directive, reason, took = "", b"", None
    if b"#" in name or b"\\" in name:
        time = _TIME.search(line, result.start(3) - 1)
        if time is not None:
            took = float(time[1]) * _SECONDS[time[2]]
            line = line[: time.start()]
        name, keyword, reason = _description(line, result.start(3), ok)
        directive = _VERDICTS.get(keyword[:4], "")
    point = Point(ok, number, decode(name), directive, decode(reason), b"", depth, took)
    if digits is not None and number is None:
        return (Diagnostic("number", f"the number is too large: {quote(line)}"), point)
    return (point,)


def _description(line: bytes, start: int, ok: bool) -> tuple[bytes, bytes, bytes]:
    """Name, keyword in capitals, reason, from `start` on.

    A `not ok` is excused by a directive only where no other `#` makes doubtful which is meant.
    """
    hashes = [found for found in _HASH.finditer(line, start) if found["hash"]]
    found = next((found for found in hashes if found["keyword"]), None)
    keyword = b"" if found is None else found["keyword"].upper()
    is_directive = keyword[:4] in _VERDICTS
    if found is None or (is_directive and not ok and len(hashes) > 1):
        return _ESCAPED.sub(rb"\1", line[start:].strip()), b"", b""
    name = _ESCAPED.sub(rb"\1", line[start : found.start()].strip())
    if is_directive:
        reason = line[found.end() :].lstrip(b": \t")
        return name, keyword, b"" if reason == b"-" else _ESCAPED.sub(rb"\1", reason)  # mocha's
    return name, keyword, line[found.start("keyword") :]


def _plan(line: bytes, depth: int) -> tuple[Event, ...]:
    plan = _PLAN.match(line)
    if plan is None:
        return ()
    count, tail = _number(plan[1]), plan[2]
    if count is None:
        return (Diagnostic("number", f"the plan is too large: {quote(line)}"),)
    text = decode(tail.lstrip(b"#").strip())
    skip = _PLAN_SKIP.match(text) if count == 0 else None
    if skip is not None:  # old Test::Harness took it without a `#`, too
        return (Plan(0, "", skip[1] or "", depth),)
    if tail.startswith(b"#"):
        return (Plan(count, text, "" if count == 0 else None, depth),)
    if not tail or _PLAN_TODO.match(tail):
        return (Plan(count, "", "" if count == 0 else None, depth),)
    return ()  # "1..5 is a range" is somebody's prose, and so is `1..0 to go`


def _started(line: bytes, depth: int) -> tuple[Event, ...]:
    started = _STARTED.match(line)
    number = None if started is None else _number(started[1])
    if started is None or number is None:
        return ()
    return (Started(number, decode((started[2] or b"").strip()), depth),)


def _version(line: bytes, depth: int) -> tuple[Event, ...]:
    version = _VERSION.match(line)
    if version is None:
        return ()
    number = _number(version[2])
    if number is None:
        return (Diagnostic("version", f"the version is too large: {quote(line)}"),)
    return (Version(number, bool(version[1]), depth),)


def _comment(line: bytes, depth: int) -> tuple[Event, ...]:
    return (Comment(decode(line[1:].strip()), depth),)


def _bail_out(line: bytes, _depth: int) -> tuple[Event, ...]:
    return (BailOut(decode(line[9:].strip())),) if line[:9].lower() == b"bail out!" else ()


def _pragma(line: bytes, _depth: int) -> tuple[Event, ...]:
    pragma = _PRAGMA.match(line)
    return () if pragma is None else (Pragma(decode(pragma[1])),)


_BY_FIRST_BYTE = {
    ord("o"): _result,
    ord("n"): _result,
    ord("1"): _plan,
    ord("*"): _started,
    ord("#"): _comment,
    ord("T"): _version,
    ord("K"): _version,
    ord("B"): _bail_out,
    ord("b"): _bail_out,
    ord("p"): _pragma,
}


def recognise(line: bytes, depth: int) -> tuple[Event, ...]:
    """The events of one line without its white space at either end; () for no TAP.

    Only the last is about the line itself; a Diagnostic may come before it, or be all there is.
    """
    read = _BY_FIRST_BYTE.get(line[0]) if line else None
    return () if read is None else read(line, depth)


def says_something(line: bytes) -> bool:
    """Whether a line is a result, a plan (one too large, too), an announcement or the last word."""
    said = recognise(line.strip(), 0)
    return bool(said) and isinstance(said[-1], Point | Plan | Started | BailOut | Diagnostic)
