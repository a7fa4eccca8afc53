# SPDX-License-Identifier: GPL-2.0-only
"""Root is not needed: suites of a real kernel, run by another user without any privilege."""

from __future__ import annotations

import os
import re
import subprocess
import sys
from pathlib import Path

import pytest

from lkltest.sandbox.scope import NAMESPACE, probe
from tests.compiler import ROOT
from tests.fake_build import SECONDS, bundled_build, environment
from tests.other_user import COMMAND, USER, other_users_folder

pytestmark = [
    pytest.mark.skipif(os.geteuid() != 0, reason="these tests run as an ordinary user already"),
    pytest.mark.skipif(bundled_build() is None, reason="the bundled kernel is not built"),
    pytest.mark.skipif(probe().kind != NAMESPACE, reason=probe().reason),
]


def as_other_user(folder: Path, *words: str) -> subprocess.CompletedProcess[str]:
    """Run `lkltest` with no user id, group or capability but the other user's, in its folder."""
    drop = [*COMMAND, "--inh-caps=-all", "--bounding-set=-all", "--no-new-privs"]
    private = {"HOME": os.fspath(folder), "TMPDIR": os.fspath(folder)}
    return subprocess.run(
        [*drop, sys.executable, "-m", "lkltest", *words],
        cwd=folder,
        env=environment(**private, XDG_CACHE_HOME=f"{folder}/cache", XDG_RUNTIME_DIR=""),
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        timeout=SECONDS,
        check=False,
    )


def test_the_suites_pass_without_root() -> None:
    with other_users_folder(reads=ROOT / "build" / "tests" / "boot") as folder:
        done = as_other_user(folder, "run", "boot", "disk[ext4]", "net[tap]", "--junit-dir=junit")
        assert done.returncode == 0, done.stdout + done.stderr
        for name in ("boot", "disk[ext4]"):
            assert re.search(rf"^{re.escape(name)}@native +ok ", done.stdout, re.MULTILINE)
        assert re.search(r"^net\[tap\]@native +(ok|skipped) ", done.stdout, re.MULTILINE)
        assert [path for path in folder.iterdir() if path.name.startswith("lkltest-")] == []
        reports = list((folder / "junit").iterdir())
        assert len(reports) == 3
        assert {path.stat().st_uid for path in reports} == {USER}


def test_the_program_has_no_right_that_its_user_has_not() -> None:
    """In the user namespace of a run its owner is no more than outside."""
    with other_users_folder(reads=ROOT / "build" / "tests" / "boot") as folder:
        secret = folder / "secret"
        secret.write_text("root's")
        secret.chmod(0o600)
        done = as_other_user(folder, "exec", "/bin/cat", os.fspath(secret))
        assert done.returncode == 1
        assert "Permission denied" in done.stdout and "root's" not in done.stdout
