# SPDX-License-Identifier: GPL-2.0-only
"""The places of what outlives a run: the user's cache, a checkout's `build/`."""

from __future__ import annotations

import contextlib
import os
from pathlib import Path

_PACKAGE = Path(__file__).resolve().parent


def cache_home() -> Path:
    """The folder of this user's caches (XDG Base Directory Specification); it may not exist yet.

    Raises RuntimeError for a user without a home directory.
    """
    named = os.environ.get("XDG_CACHE_HOME", "")
    # A relative path is to be ignored, says the specification.
    return (Path(named) if named.startswith("/") else Path.home().absolute() / ".cache") / "lkltest"


def checkout() -> Path | None:
    """The checkout that this package lies in; None when it is installed."""
    above = _PACKAGE.parent
    return above if (above / "pyproject.toml").exists() else None


def build_places() -> list[Path]:
    """The folders in which default builds may be, the nearest first: a checkout's, the user's."""
    ours = checkout()
    found = [ours / "build"] if ours else []
    with contextlib.suppress(RuntimeError):
        found.append(cache_home() / "build")
    return found


def own_build_place() -> Path:
    """The folder for new default builds: a checkout that can be written, else the cache.

    Raises RuntimeError for a user without a home directory.
    """
    ours = checkout()
    if ours is not None and os.access(ours, os.W_OK):
        return ours / "build"
    return cache_home() / "build"
