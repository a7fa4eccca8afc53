# SPDX-License-Identifier: GPL-2.0-only
"""The means of the parser's tests: a stream parsed, its events looked at."""

from lkltest.tap.parser import (
    Diagnostic,
    Event,
    Parser,
    Point,
)


def parse(stream: bytes, *, printk: bool = False) -> list[Event]:
    parser = Parser(printk=printk)
    return parser.feed(stream) + parser.close()


def point(
    number: int | None,
    name: str = "",
    *,
    ok: bool = True,
    directive: str = "",
    reason: str = "",
    block: bytes = b"",
    depth: int = 0,
    took: float | None = None,
) -> Point:
    return Point(ok, number, name, directive, reason, block, depth, took)


def diagnostics(events: list[Event]) -> list[str]:
    return [event.what for event in events if isinstance(event, Diagnostic)]


def points(events: list[Event]) -> list[Point]:
    return [event for event in events if isinstance(event, Point)]
