# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.guest.initramfs: what is packed comes out again, the same bytes each time."""

import gzip
import io
import os
import stat
import threading
from pathlib import Path

import pytest

from lkltest.guest.initramfs import (
    cached,
    compress,
    device,
    directory,
    file,
    pack,
)


def records(archive: bytes) -> dict[str, tuple[int, bytes, tuple[int, int]]]:
    """Read a newc archive back, by the format's description and not by the code under test."""
    stream, found = io.BytesIO(archive), {}
    while True:
        header = stream.read(110)
        assert header[:6] == b"070701"
        fields = [int(header[6 + 8 * n : 14 + 8 * n], 16) for n in range(13)]
        name = stream.read(fields[11])[:-1].decode()
        stream.seek(-(-stream.tell() // 4) * 4)
        data = stream.read(fields[6])
        stream.seek(-(-stream.tell() // 4) * 4)
        if name == "TRAILER!!!":
            return found
        found[name] = (fields[1], data, (fields[9], fields[10]))


def test_all_kinds_come_out_again() -> None:
    archive = pack(
        [
            file("/init", b"\x7fELF..", 0o755),
            file("/bin/sh", b"#!"),
            device("/dev/console", "c", 5, 1),
            directory("/proc", 0o555),
        ]
    )
    assert records(archive) == {
        "bin": (stat.S_IFDIR | 0o755, b"", (0, 0)),
        "bin/sh": (stat.S_IFREG | 0o644, b"#!", (0, 0)),
        "dev": (stat.S_IFDIR | 0o755, b"", (0, 0)),
        "dev/console": (stat.S_IFCHR | 0o600, b"", (5, 1)),
        "init": (stat.S_IFREG | 0o755, b"\x7fELF..", (0, 0)),
        "proc": (stat.S_IFDIR | 0o555, b"", (0, 0)),
    }


def test_directories_come_before_their_content() -> None:
    names = list(records(pack([file("/a/b/c", b""), file("/a!", b""), file("/a/b-c", b"")])))
    assert names == ["a", "a/b", "a/b/c", "a/b-c", "a!"]


def test_order_of_entries_does_not_matter() -> None:
    entries = [file("/b", b"1"), file("/a/x", b"22"), file("/c", b"")]
    assert pack(entries) == pack(reversed(entries))
    assert compress(pack(entries)) == compress(pack(entries))


def test_two_entries_of_one_path() -> None:
    with pytest.raises(ValueError, match="two entries are called /a"):
        pack([file("/a", b""), file("a", b"")])


def test_cached_once_by_content(tmp_path: Path) -> None:
    first = cached([file("/init", b"one")], tmp_path)
    number = first.stat().st_ino
    assert cached([file("/init", b"one")], tmp_path) == first
    assert first.stat().st_ino == number
    assert cached([file("/init", b"two")], tmp_path) != first
    assert records(gzip.decompress(first.read_bytes()))["init"][1] == b"one"
    assert len(list(tmp_path.iterdir())) == 2  # and nothing half-written


def test_what_nobody_asks_for_goes(tmp_path: Path) -> None:
    used, unused = cached([file("/a", b"")], tmp_path), cached([file("/b", b"")], tmp_path)
    (tmp_path / "notes").touch()
    half = tmp_path / f".{unused.name}.part"
    half.touch()
    for path in tmp_path.iterdir():
        os.utime(path, (0, 0))
    assert cached([file("/a", b"")], tmp_path) == used
    new = cached([file("/c", b"")], tmp_path)
    assert set(tmp_path.iterdir()) == {used, new, tmp_path / "notes"}


def test_made_by_many_at_once(tmp_path: Path) -> None:
    entries = [file("/init", os.urandom(1 << 20))]
    found: list[Path] = []
    threads = [
        threading.Thread(target=lambda: found.append(cached(entries, tmp_path))) for _ in range(8)
    ]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert len(set(found)) == 1 and len(found) == 8
    assert list(tmp_path.iterdir()) == [found[0]]
