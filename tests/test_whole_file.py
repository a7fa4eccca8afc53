# SPDX-License-Identifier: GPL-2.0-only
"""A file is there whole or not at all, however its writer ends."""

import errno
import os
import resource
import signal
import stat
import subprocess
import sys
import threading
from pathlib import Path

import pytest

from lkltest.whole_file import write_whole

KILLED = """
import os, signal, sys
from pathlib import Path
from lkltest.whole_file import write_whole

def die(*_, **__):
    os.kill(os.getpid(), signal.SIGKILL)

setattr(os, sys.argv[1], die)
write_whole(Path(sys.argv[2]), b"new")
"""


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
class TestWriteWhole:
    def test_a_new_file(self, tmp_path: Path) -> None:
        target = tmp_path / "new" / "file"
        write_whole(target, b"one", 0o755)
        assert target.read_bytes() == b"one" and stat.S_IMODE(target.stat().st_mode) == 0o755
        assert list(target.parent.iterdir()) == [target]

    def test_in_the_place_of_another(self, tmp_path: Path) -> None:
        target = tmp_path / "file"
        write_whole(target, b"a longer one")
        write_whole(target, b"two", 0o600)
        assert target.read_bytes() == b"two" and stat.S_IMODE(target.stat().st_mode) == 0o600
        assert list(tmp_path.iterdir()) == [target]

    def test_what_a_killed_run_left_is_cleared(self, tmp_path: Path) -> None:
        target, left = tmp_path / "file", tmp_path / ".file.part"
        target.write_bytes(b"old")
        left.write_bytes(b"half of a very long")
        write_whole(target, b"new")
        assert target.read_bytes() == b"new"
        assert list(tmp_path.iterdir()) == [target]

    def test_text(self, tmp_path: Path) -> None:
        write_whole(tmp_path / "file", "\u00e9 \ud800\n", durable=True)
        assert (tmp_path / "file").read_bytes() == b"\xc3\xa9 \\ud800\n"

    def test_a_full_disk_leaves_what_was_there(self, tmp_path: Path) -> None:
        target = tmp_path / "file"
        write_whole(target, b"before")
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        handler = signal.signal(signal.SIGXFSZ, signal.SIG_IGN)
        resource.setrlimit(resource.RLIMIT_FSIZE, (100_000, limits[1]))
        try:
            with pytest.raises(OSError, match="too large") as caught:
                write_whole(target, b"x" * 500_000)
        finally:
            resource.setrlimit(resource.RLIMIT_FSIZE, limits)
            signal.signal(signal.SIGXFSZ, handler)
        assert caught.value.filename == str(target)
        assert target.read_bytes() == b"before"
        assert list(tmp_path.iterdir()) == [target]

    def test_written_by_many_at_once(self, tmp_path: Path) -> None:
        target, data = tmp_path / "file", os.urandom(1 << 18)
        errors: list[OSError] = []

        def write() -> None:
            try:
                for _ in range(20):
                    write_whole(target, data)
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
            write_whole(tmp_path / "file" / "x", b"")


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
