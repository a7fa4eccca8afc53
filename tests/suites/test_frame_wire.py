# SPDX-License-Identifier: GPL-2.0-only
"""The wire of net[pipe] for upstream's programs: frames that a FIFO ran together come apart."""

import os
from pathlib import Path

from lkltest.deadline import Deadline
from lkltest.suites.net.frame_wire import FrameWire, frames

HEADER = bytes(12) + b"\xff" * 6 + b"\x02" * 6
ARP = HEADER + b"\x08\x06" + bytes(28)
IPV4 = HEADER + b"\x08\x00" + b"\x45\x00\x00\x1c" + bytes(24)
IPV6 = HEADER + b"\x86\xdd" + b"\x60\x00\x00\x00\x00\x08\x3a\xff" + bytes(32 + 8)
OTHER = HEADER + b"\x88\xcc" + b"text"


def test_frames_are_told_apart() -> None:
    assert frames(IPV6 + ARP + IPV4 + IPV6) == [IPV6, ARP, IPV4, IPV6]
    assert frames(ARP + OTHER + ARP) == [ARP, OTHER + ARP]
    assert frames(b"short") == [b"short"]


def test_a_reader_gets_one_frame_at_a_time(tmp_path: Path) -> None:
    paths = [tmp_path / name for name in ("a-out", "b-in", "b-out", "a-in")]
    for path in paths:
        os.mkfifo(path)
    with FrameWire(*paths):
        ends = [os.open(path, os.O_RDWR | os.O_NONBLOCK) for path in paths]
        os.write(ends[0], IPV6 + ARP + IPV4)
        os.write(ends[2], ARP + ARP)
        got: dict[int, list[bytes]] = {1: [], 3: []}
        limit = Deadline(60)
        while len(got[1]) + len(got[3]) < 5 and not limit.expired:
            for number, found in got.items():
                try:
                    found.append(os.read(ends[number], 65536))
                except BlockingIOError:
                    os.sched_yield()
        assert got == {1: [IPV6, ARP, IPV4], 3: [ARP, ARP]}
        for end in ends:
            os.close(end)
