# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.initramfs: what is packed comes out again, the same bytes each time."""

import errno
import gzip
import io
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lkltest import initramfs, private_folder
from lkltest.initramfs import (
    cached,
    compress,
    device,
    directory,
    file,
    pack,
    symlink,
    write_atomically,
)

KILLED = """
import os, signal, sys
from pathlib import Path
from lkltest import initramfs

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(os, sys.argv[1], die)
initramfs.write_atomically(Path(sys.argv[2]), b"new")
"""


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
    private_folder.close()
    assert not folder.parent.exists()


@pytest.fixture(params=["unnamed", "named"])
def way(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> str:
    """With and without unnamed files; a file system without them refuses O_TMPFILE."""
    if request.param == "named":
        really = os.open

        def refuse(path: Path, flags: int, *rest: int, **more: int) -> int:
            if flags & os.O_TMPFILE == os.O_TMPFILE:
                raise OSError(errno.EOPNOTSUPP, os.strerror(errno.EOPNOTSUPP), str(path))
            return really(path, flags, *rest, **more)

        monkeypatch.setattr(os, "open", refuse)
    return str(request.param)


@pytest.mark.usefixtures("way")
class TestWriteAtomically:
    def test_a_new_file(self, tmp_path: Path) -> None:
        target = tmp_path / "new" / "file"
        write_atomically(target, b"one", 0o755)
        assert target.read_bytes() == b"one" and stat.S_IMODE(target.stat().st_mode) == 0o755
        assert list(target.parent.iterdir()) == [target]

    def test_in_the_place_of_another(self, tmp_path: Path) -> None:
        target = tmp_path / "file"
        write_atomically(target, b"a longer one")
        write_atomically(target, b"two", 0o600)
        assert target.read_bytes() == b"two" and stat.S_IMODE(target.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [target]

    def test_what_a_killed_run_left_is_cleared(self, tmp_path: Path) -> None:
        target, left = tmp_path / "file", tmp_path / ".file.part"
        target.write_bytes(b"old")
        left.write_bytes(b"half of a very long")
        write_atomically(target, b"new")
        assert target.read_bytes() == b"new"
        assert list(tmp_path.iterdir()) == [target]

    def test_written_by_many_at_once(self, tmp_path: Path) -> None:
        target, data = tmp_path / "file", os.urandom(1 << 18)
        errors: list[OSError] = []

        def write() -> None:
            try:
                for _ in range(20):
                    write_atomically(target, data)
                    assert target.read_bytes() == data
            except OSError as error:
                errors.append(error)

        threads = [threading.Thread(target=write) for _ in range(6)]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join()
        assert errors == [] and list(tmp_path.iterdir()) == [target]

    def test_where_nothing_can_be_written(self, tmp_path: Path) -> None:
        (tmp_path / "file").write_text("in the way")
        with pytest.raises(OSError, match=r"exists|directory"):
            write_atomically(tmp_path / "file" / "x", b"")


@pytest.mark.parametrize("moment", ["fchmod", "link"])
def test_a_killed_run_leaves_nothing(tmp_path: Path, moment: str) -> None:
    try:
        os.close(os.open(tmp_path, os.O_TMPFILE | os.O_WRONLY))
    except OSError:
        pytest.skip("this file system makes no unnamed files")
    command = [sys.executable, "-c", KILLED, moment, str(tmp_path / "file")]
    done = subprocess.run(command, check=False, timeout=60)
    assert done.returncode == -signal.SIGKILL
    assert list(tmp_path.iterdir()) == []
