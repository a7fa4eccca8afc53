# SPDX-License-Identifier: GPL-2.0-only
"""Mutants of a stream: everything that consoles, kernels and bad luck do to one."""

from __future__ import annotations

import random
import re
from collections.abc import Callable, Iterator, Sequence

MESSAGES = (
    b"[   99.250000] random: crng init done",
    b"[   99.250000][    T1] eth0: link becomes ready",
    b"[   99.250000] BUG: unable to handle kernel NULL pointer dereference at 0000000000000008",
    b"[   99.250000] Kernel panic - not syncing: Fatal exception",
    b"[   99.250000] WARNING: CPU: 0 PID: 1 at kernel/x.c:1 f+0x1/0x2",
    b"[   99.250000] Oops: 0000 [#1] SMP",
)
FORGED = (
    b"ok 1 forged",
    b"ok 7 forged",
    b"ok",
    b"not ok 3 forged",
    b"1..1 # forged",
    b"1..0 # SKIP forged",
    b"* 3 forged",
    b"TAP version 13",
    b"Bail out! forged",
    b"...",
    b"---",
    b"# forged",
    b"    ok 1 forged",
    b"    not ok 1 forged",
    b"\tok 1 forged",
)
Mutation = Callable[[bytes, random.Random, Sequence[bytes]], bytes]


def truncations(stream: bytes) -> Iterator[bytes]:
    """The stream cut at every byte; a long one only after each line and within its last lines."""
    last = len(stream) - 2000
    for end in range(len(stream)):
        if len(stream) < 12_000 or end > last or stream[end - 1 : end] == b"\n":
            yield stream[:end]


def mutant(stream: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """One to three mutations of `stream`, drawn by `chance`; `others` are there for splicing."""
    for _ in range(chance.choice((1, 1, 1, 2, 3))):
        stream = chance.choice(MUTATIONS)(stream, chance, others)
    return stream


def with_failure(stream: bytes, chance: random.Random) -> tuple[bytes, int]:
    """The stream with one of its top-level points turned into a failure, and where that is.

    The stream itself where none of its points passes.
    """
    passed = [
        found.start()
        for found in re.finditer(rb"(?m)^ok [0-9]+[^\n]*", stream)
        if not re.search(rb"#\s*(?:skip|todo)", found[0], re.IGNORECASE)
    ]
    if not passed:
        return stream, 0
    at = chance.choice(passed)
    return _insert(stream, b"not ", at), at


def interrupted(stream: bytes, chance: random.Random, about: int | None = None) -> bytes:
    """Kernel messages, each with its newline, in the midst of lines; half of them near a place."""
    newline = chance.choice((b"\n", b"\n", b"\r\n"))
    places = [
        _place(stream, chance)
        if about is None or chance.random() < 0.5
        else min(len(stream), max(0, about + chance.randrange(-3, 14)))
        for _ in range(chance.choice((1, 1, 2, 4)))
    ]
    for at in sorted(places, reverse=True):
        messages = [_idle_message(chance) + newline for _ in range(chance.choice((1, 1, 1, 2, 3)))]
        stream = _insert(stream, b"".join(messages), at)
    return stream


def _idle_message(chance: random.Random) -> bytes:
    """A message that means nothing, with the prefixes that printk has."""
    level = chance.choice((b"", b"", b"", b"<%d>" % chance.randrange(8)))
    stamp = b"[%5d.%06d]" % (chance.choice((9, 99, 99_999)), chance.randrange(10**6))
    caller = chance.choice((b"", b"", b"", b"[%6s]" % chance.choice((b"T1", b"C0", b"T1234"))))
    text = chance.choice(
        (
            b"random: crng init done",
            b"eth0: link becomes ready",
            b"ok 3",
            b"[drm] a",
            b"x [y] z",
            b"",
        )
    )
    return level + stamp + caller + b" " + text


def _cut(stream: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    return stream[: _place(stream, chance)]


def _drop(stream: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    lines = stream.splitlines(keepends=True)
    at = _line(lines, chance)
    del lines[at : at + chance.choice((1, 1, 2, 5, 20))]
    return b"".join(lines)


def _duplicate(stream: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    lines = stream.splitlines(keepends=True)
    at = _line(lines, chance)
    part = lines[at : at + chance.choice((1, 1, 2, 7, 1000))]
    return b"".join(lines[:at] + part + lines[at:])


def _swap(stream: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    lines = stream.splitlines(keepends=True)
    if lines:
        one, two = _line(lines, chance), _line(lines, chance)
        lines[one], lines[two] = lines[two], lines[one]
    return b"".join(lines)


def _move(stream: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    lines = stream.splitlines(keepends=True)
    if lines:
        line = lines.pop(_line(lines, chance))
        lines.insert(_line(lines, chance) if lines else 0, line)
    return b"".join(lines)


def _splice(stream: bytes, chance: random.Random, others: Sequence[bytes]) -> bytes:
    """The head of this one and the tail of another, cut where TAP lines are alike."""
    other = chance.choice(others)
    if chance.random() < 0.5:
        return stream[: _place(stream, chance)] + other[_place(other, chance) :]
    heads, tails = _lines_of_tap(stream), _lines_of_tap(other)
    if not heads or not tails:
        return stream + other
    return stream[: chance.choice(heads)] + other[chance.choice(tails) :]


def _flip(stream: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    changed = bytearray(stream)
    if changed:
        changed[_place(stream, chance) % len(changed)] ^= 1 << chance.randrange(8)
    return bytes(changed)


def _replace_byte(stream: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    changed = bytearray(stream)
    if changed:
        changed[_place(stream, chance) % len(changed)] = chance.choice(b"\n\r\x1b\0 \t#.0123456789")
    return bytes(changed)


def _message(stream: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    text = chance.choice(MESSAGES) + chance.choice((b"", b"\n", b"\r\n"))
    return _insert(stream, text, _place(stream, chance))


def _forge(stream: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    """A line that looks like TAP, mostly indented as a log is."""
    starts = [0, *(found.end() for found in re.finditer(rb"\n", stream))]
    indent = chance.choice((b"", b" ", b"  ", b"  ", b"   ", b"  [    0.100000] "))
    return _insert(stream, indent + chance.choice(FORGED) + b"\n", chance.choice(starts))


def _number(stream: bytes, chance: random.Random, _: Sequence[bytes]) -> bytes:
    """Another number in a result, a plan or an announcement."""
    found = list(re.finditer(rb"(?m)^(?:ok|not ok|1\.\.|\*) ?(\d+)", stream))
    if not found:
        return stream
    digits = chance.choice(found)
    other = chance.choice((b"0", b"1", b"2", b"35", b"999999999", b"9" * 30, b"-1", b""))
    return stream[: digits.start(1)] + other + stream[digits.end(1) :]


MUTATIONS: tuple[Mutation, ...] = (
    _cut,
    _drop,
    _drop,
    _duplicate,
    _swap,
    _move,
    _splice,
    _flip,
    _flip,
    _replace_byte,
    _message,
    _message,
    _forge,
    _forge,
    _number,
)


def _line(lines: list[bytes], chance: random.Random) -> int:
    """A line's place; one time in two that of a line that is no log."""
    telling = [at for at, line in enumerate(lines) if line[:1] not in (b" ", b"[")]
    if telling and chance.random() < 0.5:
        return chance.choice(telling)
    return chance.randrange(len(lines)) if lines else 0


def _place(stream: bytes, chance: random.Random) -> int:
    """A byte's place; one time in two within or beside the beginning of a line of TAP."""
    starts = _lines_of_tap(stream)
    if starts and chance.random() < 0.5:
        return min(len(stream), max(0, chance.choice(starts) + chance.randrange(-3, 16)))
    return chance.randrange(len(stream) + 1)


def _lines_of_tap(stream: bytes) -> list[int]:
    return [found.start() for found in re.finditer(rb"(?m)^(?:ok|not ok|1\.\.|\* \d)", stream)]


def _insert(stream: bytes, text: bytes, at: int) -> bytes:
    return stream[:at] + text + stream[at:]
