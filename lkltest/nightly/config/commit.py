# SPDX-License-Identifier: GPL-2.0-only
"""The commit of the kernel that a build is of."""

from __future__ import annotations

import os
import subprocess
from pathlib import Path

_SECONDS = 20.0


def of_directory(directory: Path) -> str:
    """Return the commit of the kernel tree that `directory` is in, "" where there is none.

    A tree of something else, such as lkltest's own with the bundled build in it, is not asked.
    """
    tree = next((path for path in (directory, *directory.parents) if _is_kernel(path)), None)
    if tree is None:
        return ""
    environment = {key: value for key, value in os.environ.items() if not key.startswith("GIT_")}
    try:
        done = subprocess.run(
            ["git", "-C", str(tree), "rev-parse", "--verify", "HEAD"],  # noqa: S607 - as a user's
            stdin=subprocess.DEVNULL,
            capture_output=True,
            timeout=_SECONDS,
            check=False,
            env=environment,
        )
    except (OSError, subprocess.TimeoutExpired):
        return ""
    return done.stdout.decode(errors="replace").strip() if done.returncode == 0 else ""


def _is_kernel(path: Path) -> bool:
    return (path / "Kbuild").is_file() and (path / "MAINTAINERS").is_file()
