# SPDX-License-Identifier: GPL-2.0-only
"""A history that cannot be used, a disk that is full: what the night found is on disk."""

import json
import os
import shutil
import sqlite3
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path

import pytest

from lkltest.nightly.history.schema import APPLICATION_ID
from tests.fake_build import environment, lkltest
from tests.nightly.config.matrices import config, junit_names, nights


def not_sqlite(file: Path) -> None:
    file.write_text("x" * 5000)


def newer(file: Path) -> None:
    with sqlite3.connect(file) as db:
        db.execute(f"PRAGMA application_id = {APPLICATION_ID}")
        db.execute("PRAGMA user_version = 99")
    db.close()


def truncated(file: Path) -> None:
    from lkltest.nightly.history.store import History

    with History(file) as history:
        for number in range(300):
            history.begin_night(f"n{number}", 1.0, "x", "y")
    os.truncate(file, 10_000)


class TestBadHistories:
    @pytest.mark.parametrize(
        ("spoil", "words"),
        [
            (not_sqlite, "is not an SQLite file"),
            (newer, "has version 99"),
            (truncated, "is damaged or truncated"),
        ],
    )
    def test_the_nights_results_are_on_disk(
        self, tmp_path: Path, spoil: Callable[[Path], None], words: str
    ) -> None:
        file = config(tmp_path, bad="fail")
        assert lkltest("nightly", str(file)).returncode == 1
        history = tmp_path / "nightly" / "history.sqlite"
        for path in history.parent.glob("history.sqlite*"):
            path.unlink()
        spoil(history)
        spoilt = history.read_bytes()
        done = lkltest("nightly", str(file))
        assert done.returncode == 2
        assert words in done.stderr.splitlines()[-1]
        assert "still failing  boot@native#bad/second" in done.stdout, "compared all the same"
        night = nights(tmp_path)[-1]
        assert len(junit_names(night)) == 2
        assert (night / "report.json").exists() and (night / "index.html").exists()
        assert history.read_bytes() == spoilt
        asked = lkltest("history", f"--config={file}")
        assert asked.returncode == 2 and words in asked.stderr
        history.unlink()
        made = lkltest("history", f"--config={file}", "--import", *map(str, nights(tmp_path)))
        assert made.returncode == 0
        assert lkltest("compare", f"--config={file}").returncode == 0

    def test_a_locked_one(self, tmp_path: Path) -> None:
        file = config(tmp_path)
        assert lkltest("nightly", str(file)).returncode == 0
        with sqlite3.connect(tmp_path / "nightly" / "history.sqlite") as other:
            other.execute("BEGIN IMMEDIATE")
            done = in_process(IMPATIENT, "nightly", str(file))
        other.close()
        assert done.returncode == 2 and "is locked by another process" in done.stderr
        assert len(junit_names(nights(tmp_path)[-1])) == 1

    def test_a_read_only_one(self, tmp_path: Path) -> None:
        if os.geteuid() != 0 or shutil.which("unshare") is None:
            pytest.skip("only root may mount")
        file = config(tmp_path, night='history = "ro/h.sqlite"')
        assert lkltest("nightly", str(file)).returncode == 0
        mounts = 'mount --bind "$0" "$0" && mount -o remount,ro,bind "$0" && exec "$@"'
        words = ("unshare", "-m", "sh", "-c", mounts, str(tmp_path / "ro"))
        done = in_process("", "nightly", str(file), before=words)
        assert done.returncode == 2 and f"{tmp_path}/ro/h.sqlite: cannot be " in done.stderr
        assert len(junit_names(nights(tmp_path)[-1])) == 1

    def test_a_full_disk(self, tmp_path: Path) -> None:
        if os.geteuid() != 0 or shutil.which("unshare") is None:
            pytest.skip("only root may mount")
        file = config(tmp_path, night='directory = "full"\nhistory = "full/h.sqlite"', last="pass")
        # What is left is enough for one record of two, and for its JUnit file.
        mount = 'mount -t tmpfs -o size=256k none "$1" && shift && "$@"; s=$?; cp -r "$0" "$0.copy"'
        full = tmp_path / "full"
        full.mkdir()
        words = ("unshare", "-m", "sh", "-c", f"{mount}; exit $s", str(full), str(full))
        done = in_process(FILL, "nightly", str(file), before=words)
        assert "Traceback" not in done.stderr
        assert done.returncode == 2, done.stdout + done.stderr
        assert "No space left on device" in done.stderr.splitlines()[-1]
        (night,) = (tmp_path / "full.copy" / "nights").iterdir()
        for path in (night / "cells").iterdir():
            json.loads(path.read_text())
        assert len(list((night / "cells").iterdir())) == 1
        with sqlite3.connect(tmp_path / "full.copy" / "h.sqlite") as db:
            assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)
            assert db.execute("SELECT count(*) FROM runs").fetchone() == (1,)


def in_process(
    program: str, *words: str, before: tuple[str, ...] = ()
) -> subprocess.CompletedProcess[str]:
    """Run `program`, which ends in lkltest's command, behind the command `before`."""
    command = [*before, sys.executable, "-c", program + MAIN, *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=environment(), timeout=100
    )


MAIN = """
import sys
from lkltest.cli.main import main
sys.exit(main())
"""

IMPATIENT = """
from lkltest.nightly.history.store import History
History.__init__.__kwdefaults__["lock_seconds"] = 0.1
"""

# Fills the disk once the first cell has been recorded, as another program might.
FILL = """
from lkltest.nightly.commands.night import Recorder
finished = Recorder.finished
def fill(self, record):
    finished(self, record)
    with open(self.folder.path.parent.parent / "filler", "wb", buffering=0) as file:
        try:
            while True:
                file.write(b"x" * 512)
        except OSError:
            pass
Recorder.finished = fill
"""
