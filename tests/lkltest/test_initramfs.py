# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.initramfs: what is packed comes out again, the same bytes each time."""

import gzip
import io
import os
import re
import stat
import threading
from pathlib import Path

import pytest

from lkltest import initramfs
from lkltest.initramfs import cached, compress, device, directory, file, pack, symlink


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
            symlink("/bin/sh", "/init"),
            device("/dev/console", "c", 5, 1),
            directory("/proc", 0o555),
        ]
    )
    assert records(archive) == {
        "bin": (stat.S_IFDIR | 0o755, b"", (0, 0)),
        "bin/sh": (stat.S_IFLNK | 0o777, b"/init", (0, 0)),
        "dev": (stat.S_IFDIR | 0o755, b"", (0, 0)),
        "dev/console": (stat.S_IFCHR | 0o600, b"", (5, 1)),
        "init": (stat.S_IFREG | 0o755, b"\x7fELF..", (0, 0)),
        "proc": (stat.S_IFDIR | 0o555, b"", (0, 0)),
    }


def test_directories_come_before_their_content() -> None:
    names = list(records(pack([file("/a/b/c", b""), file("/a!", b""), file("/a/b-c", b"")])))
    assert names == ["a", "a/b", "a/b/c", "a/b-c", "a!"]


def test_order_of_entries_does_not_matter() -> None:
    entries = [file("/b", b"1"), file("/a/x", b"22"), symlink("/c", "b")]
    assert pack(entries) == pack(reversed(entries))
    assert compress(pack(entries)) == compress(pack(entries))


def test_two_entries_of_one_path() -> None:
    with pytest.raises(ValueError, match="two entries are called /a"):
        pack([file("/a", b""), file("a", b"")])


def test_cached_once_by_content(tmp_path: Path) -> None:
    first = cached([file("/init", b"one")], tmp_path)
    stamp = first.stat().st_mtime_ns
    assert cached([file("/init", b"one")], tmp_path) == first
    assert first.stat().st_mtime_ns == stamp
    assert cached([file("/init", b"two")], tmp_path) != first
    assert records(gzip.decompress(first.read_bytes()))["init"][1] == b"one"
    assert len(list(tmp_path.iterdir())) == 2  # and nothing half-written


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


def test_cache_directory_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert initramfs.cache_directory("initramfs") == tmp_path / "lkltest" / "initramfs"


def test_cache_directory_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    folder = initramfs.cache_directory("initramfs")
    assert folder == initramfs.cache_directory("initramfs"), "one for the whole process"
    assert folder.name == "initramfs"
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert re.fullmatch(r"lkltest-[0-9a-f]{16}", folder.parent.name), "nobody can take it first"
