# SPDX-License-Identifier: GPL-2.0-only
"""Tests that root runs as a user without privileges."""

import os
import shutil
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from pathlib import Path

import pytest

USER = 65534
COMMAND = ["setpriv", f"--reuid={USER}", f"--regid={USER}", "--clear-groups"]
"""The words in front of a command that the other user runs (setpriv(1))."""


@contextmanager
def other_users_folder(reads: str | Path) -> Iterator[Path]:
    """A TMPDIR and HOME for the other user. Skips when that user cannot read the file `reads`.

    Not below pytest's own temporary folder, which every start of pytest closes to others.
    """
    folder = Path(tempfile.mkdtemp(prefix="lkltest-other-user-"))
    try:
        os.chown(folder, USER, USER)
        program = (
            "import lkltest.sandbox.guard, os, sys, json;open(sys.argv[1]); os.listdir(sys.argv[2])"
        )
        # env(1) in between: the first exec after setpriv still has root's capabilities.
        check = [
            *COMMAND,
            "env",
            sys.executable,
            "-c",
            program,
            os.fspath(reads),
            os.fspath(folder),
        ]
        done = subprocess.run(check, cwd="/", capture_output=True, text=True, check=False)
        if done.returncode != 0:
            reason = done.stderr.strip().splitlines()[-1]
            pytest.skip(f"another user cannot read this checkout or its Python: {reason}")
        yield folder
    finally:
        shutil.rmtree(folder)


def run_tests(*files: str, before: Sequence[str] = ()) -> None:
    """Run test modules as the other user, behind the command `before`; fails when one does."""
    with other_users_folder(files[0]) as folder:
        tests = [sys.executable, "-m", "pytest", "-q", "-p", "no:cacheprovider", "-rs", *files]
        done = subprocess.run(
            [*before, *COMMAND, *tests, f"--basetemp={folder}/base"],
            env={**os.environ, "HOME": os.fspath(folder), "TMPDIR": os.fspath(folder)},
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stdout + done.stderr
