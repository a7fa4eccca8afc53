# SPDX-License-Identifier: GPL-2.0-only
"""A folder of this process's own that is gone with it, also after SIGKILL."""

from __future__ import annotations

import atexit
import contextlib
import functools
import os
from pathlib import Path

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
