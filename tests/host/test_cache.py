# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.host.cache: where kept files lie; a file is there whole or not at all."""

import errno
import os
import re
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lkltest.host import cache
from lkltest.host.cache import cache_directory, write_atomically

KILLED = """
import os, signal, sys
from pathlib import Path
from lkltest.host.cache import write_atomically

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(os, sys.argv[1], die)
write_atomically(Path(sys.argv[2]), b"new")
"""


def test_cache_directory_of_the_user(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    assert cache_directory("initramfs") == tmp_path / "lkltest" / "initramfs"


def test_cache_directory_that_cannot_be_made(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    (tmp_path / "file").write_text("in the way")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    folder = cache_directory("initramfs")
    assert folder == cache_directory("initramfs"), "one for the whole process"
    assert folder.name == "initramfs"
    assert stat.S_IMODE(folder.parent.stat().st_mode) == 0o700
    assert re.fullmatch(r"lkltest-[0-9a-f]{16}", folder.parent.name), "nobody can take it first"
    cache.close()
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
