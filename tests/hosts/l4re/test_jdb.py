# SPDX-License-Identifier: GPL-2.0-only
"""What JDB's report and l4re_itas's dumps say, read for threads, places and functions."""

from __future__ import annotations

import pytest

from lkltest.hosts.l4re.console import strip_escapes
from lkltest.hosts.l4re.crash_dump import binary_of, place_of
from lkltest.hosts.l4re.jdb import Thread, is_deserted, read_threads, summary
from tests.compiler import ROOT

SERVERS = """\
       6 fffffffee1eb0230 [Thread] {KERNEL} C=0 R=1 rdy   7.000 ms
       7 fffffffff020baa0 [Task] {sigma0} R=3
       8 fffffffee1ebe230 [Thread] {sigma0} C=0 S=D:7 R=4  34.000 ms
       9 fffffffee1ef5700 [Task] {moe} R=3
       b fffffffee1efc230 [Thread] {moe} C=0 S=D:9 R=17  52.000 ms
"""
NED = """\
      1c fffffffee1ef5620 [Task] {ned} R=5
      1d fffffffee1d24230 [Thread] {#ned} C=0 S=D:1c R=7  22.000 ms
"""
PROGRAMS = """\
      1a fffffffee1ef5620 [Task] {waits} R=3
      1b fffffffee1d24230 [Thread] {#waits} C=0 S=D:1a R=5  12.000 ms
      23 fffffffee1d30230 [Thread] {waits} C=0 S=D:1a R=1
      3a fffffffee1ef5540 [Task] R=3
      44 fffffffee1d50230 [Thread] C=0 S=D:3a R=1 rdy cur   3.477 s
"""
BLOCKS = """\
-----------------------------------------------------------------------
thread  :  23 <0xfffffffee1d30000>      CPU: 0:0        prio: 02
state   : 88008 rcv_wait,fpu,pf_tramp
in ipc (user level registers)
RIP=0000000000400197  RFlags=0000000000000246 kernel RSP=fffffffee1d31c88

Code: 48 8d 3d 36

-----------------------------------------------------------------------
thread  :  44 <0xfffffffee1d50000>      CPU: 0:0        prio: 02
state   : 88001 ready,fpu,pf_tramp
trapno 3, error 00000000, from kernel mode
RIP=fffffffff00671e8  RFlags=0000000000000046
"""


def where(thread: Thread) -> str:
    return f"{thread.address:#x}" if thread.address is not None else ""


def test_threads() -> None:
    threads = read_threads(SERVERS + PROGRAMS + BLOCKS)
    assert [thread.number for thread in threads] == ["6", "8", "b", "1b", "23", "44"]
    waits = threads[4]
    assert (waits.program, waits.address, waits.code) == ("waits", 0x400197, b"\x48\x8d\x3d\x36")
    assert summary(threads, where) == [
        "thread 44 of task 3a: running",
        "thread waits: rcv_wait at 0x400197",
    ]


@pytest.mark.parametrize(("timeout", "has"), [("104.011 ms", True), ("", False)])
def test_a_thread_that_waits_for_a_moment(timeout: str, has: bool) -> None:
    block = f"""\
thread  :  1d <0xfffffffee1d30000>      CPU: 0:0        prio: 02
state   : 008 rcv_wait
wait for: ---   polling:        rcv descr: 00000000     timeout: {timeout}
"""
    ned = read_threads(SERVERS + NED + block)[3]
    assert ned.program == "ned" and ned.has_timeout is has


def test_a_thread_on_arm() -> None:
    block = """\
thread  :  23 <0x0000ffff83cae000>      CPU: 0:0        prio: 02
state   : 80008 rcv_wait,pf_tramp
kernel SP=0000ffff83cafc50
PC=00000000004027f8 USP=00000000801ffe00

Code: d65f03c0 00000000
"""
    waits = read_threads(SERVERS + PROGRAMS + block)[4]
    assert (waits.address, waits.code) == (0x4027F8, b"\xc0\x03\x5f\xd6\0\0\0\0")


@pytest.mark.parametrize(
    ("objects", "deserted"),
    [(SERVERS, True), (SERVERS + NED, True), (SERVERS + NED + PROGRAMS, False), ("", False)],
)
def test_nobody_is_left(objects: str, deserted: bool) -> None:
    threads = read_threads(objects)
    assert is_deserted(threads) is deserted
    assert any("no program is left" in line for line in summary(threads, where)) is deserted


def test_a_real_report() -> None:
    path = ROOT.parent / "shared" / "console" / "l4re" / "jdb-report.txt"
    if not path.is_file():
        pytest.skip(f"{path} is missing")
    threads = read_threads(
        strip_escapes(path.read_bytes()).decode("utf-8", "replace").replace("\r", "")
    )
    assert {"moe", "sigma0"} <= {thread.program for thread in threads}
    assert sum(thread.address is not None for thread in threads) > 1


FUNCTIONS = {0x4007A0: "writes of t", 0x400184: "main+0x14 of t", 0x400170: "main of t"}
DUMP = """\
l4re_itas[rm]: unhandled write page fault at 0x2 pc=0x4007a0
l4re_itas: FATAL: Fatal signal: Segmentation fault (si_signo=11, si_code=1)
l4re_itas: FATAL: Binary: 'rom/t'
l4re_itas: FATAL: Stack dump:
l4re_itas: FATAL:         801ffe38:           400185         801ffe90
l4re_itas: FATAL:         801ffe48:           400afe           400170
"""


def test_a_dump_gets_names() -> None:
    assert binary_of(DUMP) == "t"
    assert place_of(DUMP, lambda address: FUNCTIONS.get(address, "")) == (
        "writes of t, stack: main"
    )
    assert place_of(DUMP, lambda address: "") == ""
    trap = "l4re_itas: ERROR: rom/t_trap: Unhandled exception: PC=0x400170 PFA=0x4008 LdrFlgs=0x0"
    assert binary_of(trap) == "t_trap"
    assert place_of(trap, lambda address: FUNCTIONS.get(address, "")) == "main of t"
