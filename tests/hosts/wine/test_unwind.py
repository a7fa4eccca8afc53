# SPDX-License-Identifier: GPL-2.0-only
"""Frames of code without a table for unwinding, as of a kernel built with none. Pure."""

from __future__ import annotations

import struct

import pytest

from lkltest.hosts.wine.unwind import RIP, RSP, Frame, Module, Unwinder

BASE, STACK = 0x10000, 0x80000
SCHEDULE, HUNG, DIRECT, LEFT = (BASE + place for place in (0x100, 0x200, 0x300, 0x400))
MODULE = Module(BASE, 0x1000, "boot.exe", (0, 0), ((0, 0x1000),))


def call(code: bytearray, caller: int, callee: int) -> int:
    """Write a call, 0x10 bytes into its function. Return the address that it returns to."""
    at = caller + 0x10 - BASE
    code[at : at + 5] = b"\xe8" + struct.pack("<i", callee - (caller + 0x15))
    return caller + 0x15


@pytest.fixture
def code() -> bytearray:
    return bytearray(0x1000)


def frames(
    code: bytearray, words: list[int], *, known: bool = True, here: int = SCHEDULE + 8
) -> list[Frame]:
    """The frames of a thread in schedule() whose stack has these words."""
    memory = {BASE: bytes(code), STACK: struct.pack(f"<{len(words)}Q", *words)}

    def read(address: int, size: int) -> bytes:
        for start, data in memory.items():
            if start <= address and address + size <= start + len(data):
                return data[address - start :][:size]
        raise OSError(address)

    registers = [0] * 17
    registers[RSP], registers[RIP] = STACK, here
    entry = (lambda address: address & ~0xFF) if known else (lambda address: 0)
    unwinder = Unwinder(read, [MODULE], (), entry)
    return list(unwinder.frames(registers, (STACK, STACK + 8 * len(words))))


def test_the_caller_is_behind_a_call_of_this_very_function(code: bytearray) -> None:
    """And not what a call that has come back left on the stack."""
    left = call(code, LEFT, BASE + 0x500)
    words = [0, left, 0, call(code, HUNG, SCHEDULE), left, 0, call(code, DIRECT, HUNG), 0]
    found = frames(code, words)
    assert found == [Frame(SCHEDULE + 8), Frame(HUNG + 0x15), Frame(DIRECT + 0x15)]


def test_where_nobody_calls_it_directly_the_next_is_told_with_a_doubt(code: bytearray) -> None:
    left = call(code, LEFT, BASE + 0x500)
    words = [0, left, call(code, DIRECT, HUNG), 0]
    assert frames(code, words) == [
        Frame(SCHEDULE + 8), Frame(left, sure=False), Frame(DIRECT + 0x15, sure=False),
    ]  # fmt: skip


def test_one_that_is_in_doubt_vouches_for_nobody(code: bytearray) -> None:
    left = call(code, LEFT, BASE + 0x500)
    words = [left, call(code, DIRECT, HUNG), call(code, BASE + 0x600, LEFT), 0]
    found = frames(code, words)
    assert [frame.sure for frame in found] == [True, False, False, False]
    assert found[2].address == DIRECT + 0x15, "it is not passed over for the third"


def test_without_names_nothing_vouches(code: bytearray) -> None:
    words = [call(code, HUNG, SCHEDULE), 0]
    assert frames(code, words, known=False)[1:] == [Frame(HUNG + 0x15, sure=False)]


def test_who_calls_what_is_no_code_is_sure(code: bytearray) -> None:
    caller = call(code, HUNG, SCHEDULE)
    assert frames(code, [caller, 0], here=0) == [Frame(0), Frame(caller)]
    assert frames(code, [0, caller, 0], here=0) == [Frame(0), Frame(caller, sure=False)]
