# SPDX-License-Identifier: GPL-2.0-only
"""The meaning of Wine's words and numbers: recorded ones, and those of Wine 8's source."""

from __future__ import annotations

import signal
from dataclasses import replace
from pathlib import Path

import pytest

from lkltest.hosts.wine.crash import Crash, crash_by_signal, explain_status, find_crashes

RECORDED = Path(__file__).parents[2] / "golden" / "wine"

FAULT = "page fault on write access to 0x0"


@pytest.mark.parametrize(
    ("line", "crash"),
    [
        (
            "wine: Unhandled page fault on write access to 0000000000000000 at address "
            "0000000140001871 (thread 0120), starting debugger...",
            Crash(0xC0000005, FAULT, 0x140001871, "0120"),
        ),
        (
            "wine: Unhandled page fault on read access to 0x00000410 at address 0x100031B9 "
            "(thread 03e4), starting debugger...",
            Crash(0xC0000005, "page fault on read access to 0x410", 0x100031B9, "03e4"),
        ),
        (
            "wine: Unhandled stack overflow at address 0000000140002B26 (thread 0130), starting",
            Crash(0xC00000FD, "stack overflow", 0x140002B26, "0130"),
        ),
        (
            "wine: Unhandled illegal instruction at address 00000001400019A3 (thread 0140), st",
            Crash(0xC000001D, "illegal instruction", 0x1400019A3, "0140"),
        ),
        (
            "wine: Unhandled division by zero at address 00000001400019A3 (thread 0140), st",
            Crash(0xC0000094, "division by zero", 0x1400019A3, "0140"),
        ),
        (
            "wine: Unhandled exception 0x80000003 in thread 158 at address 00000001700555F4 "
            "(thread 0158), starting debugger...",
            Crash(0x80000003, "breakpoint", 0x1700555F4, "0158"),
        ),
        (
            "wine: Unhandled exception 0xe0001234 in thread 168 at address 000000007B013D7E "
            "(thread 0168), starting debugger...",
            Crash(0xE0001234, "unhandled exception", 0x7B013D7E, "0168"),
        ),
        (
            "wine: Call from 000000007B013D7E to unimplemented function foo.dll.Bar, aborting",
            Crash(0x80000100, "call of foo.dll.Bar, which this Wine does not have", 0x7B013D7E),
        ),
        (
            "terminate called after throwing an instance of 'std::runtime_error'\n  what():  x",
            Crash(None, "C++ terminate() after throwing an instance of 'std::runtime_error'"),
        ),
    ],
)
def test_a_crash_is_recognised(line: str, crash: Crash) -> None:
    assert find_crashes(f"before\n{line}\nafter\n") == [crash]


def test_what_is_no_crash_is_none() -> None:
    said = 'wine: configuration in L"/x" has been updated.\n0024:err:module: no dll\nUnhandled\n'
    assert find_crashes(said) == []


def test_a_crash_reads_well() -> None:
    crash = Crash(0xC0000005, FAULT, 0x140001871, "0120")
    assert str(crash) == f"{FAULT}, exception 0xc0000005, at 0x140001871 (thread 0120)"


def test_a_real_crash_of_lkl_is_recognised() -> None:
    (crash,) = find_crashes((RECORDED / "disk64-nofile.err").read_text())
    assert (crash.code, crash.address) == (0xC0000005, 0x100031B9)


@pytest.mark.parametrize(
    ("status", "words"),
    [
        (1, "multiple of 256"),
        (3, "abort() exits so"),
        (5, "0xc0000005 (access violation)"),
        (29, "0xc000001d (illegal instruction)"),
        (53, "0xc0000135 (DLL not found)"),
        (255, "-1"),
        (52, "low 8 bits"),
    ],
)
def test_a_status_is_explained(status: int, words: str) -> None:
    assert words in explain_status(status)


def test_zero_needs_no_explanation() -> None:
    assert explain_status(0) == ""


def test_a_crash_that_wine_tells_nothing_of_is_told_by_its_signal() -> None:
    crash = crash_by_signal(signal.SIGSEGV, 0, 0x140001530, 0xD4)
    said = "page fault on access to 0x0, exception 0xc0000005, at 0x140001530 (thread 00d4)"
    assert str(crash) == said
    assert replace(crash, function="panic").is_panic
    assert not replace(crash, function="main").is_panic
    elsewhere = crash_by_signal(signal.SIGSEGV, 8, 0x140001530, 0xD4)
    assert not replace(elsewhere, function="panic").is_panic
    assert crash_by_signal(signal.SIGILL, 0, 1, 2).what == "illegal instruction"
