# SPDX-License-Identifier: GPL-2.0-only
"""The places of files that are kept between runs."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
from pathlib import Path

from lkltest.places import cache_home
from lkltest.sandbox.scope import Scope, ScopeError

_open = contextlib.ExitStack()
atexit.register(_open.close)


def private_folder() -> Path:
    """The folder: 0700, its name cannot be guessed, made once a process. Raises OSError."""
    return _made(os.getpid())


def close() -> None:
    """Remove the folder before the process ends."""
    _made.cache_clear()
    _open.close()


@functools.cache
def _made(process: int) -> Path:
    try:
        return _open.enter_context(Scope()).folder  # its guard outlives us and removes it
    except ScopeError as error:
        raise OSError(str(error)) from error


def cache_directory(kind: str) -> Path:
    """A directory for caches of `kind`, which is there and can be written.

    Where the usual one cannot be made, a folder that lasts as long as this process: a lasting one
    among the temporary files would have a name that others can guess and take first.
    """
    with contextlib.suppress(OSError, RuntimeError):
        path = cache_home() / kind
        path.mkdir(mode=0o700, parents=True, exist_ok=True)
        if os.access(path, os.W_OK | os.X_OK):
            return path
    path = private_folder() / kind
    path.mkdir(mode=0o700, exist_ok=True)
    return path
