# SPDX-License-Identifier: GPL-2.0-only
"""One night at a time in one directory.

The lock is flock(2), which the kernel lets go when its holder dies, however that dies: a lock that
is held is never stale. The file stays and says who took it last; when that one is dead without
having said goodbye, its night was killed.
"""

from __future__ import annotations

import contextlib
import fcntl
import json
import os
import platform
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from lkltest.errors import LkltestError


class Overlap(LkltestError):
    """Another night is under way; the message says which, in one line."""


@contextlib.contextmanager
def locked(directory: Path) -> Iterator[str]:
    """Hold the lock of `directory`; yields a line about a night that was killed, or "".

    Raises Overlap, OSError.
    """
    directory.mkdir(parents=True, exist_ok=True)
    path = directory / "lock"
    # Not inherited by what is started meanwhile: it would hold the lock on.
    descriptor = os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o666)
    with contextlib.ExitStack() as stack:
        stack.callback(os.close, descriptor)
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            raise Overlap(f"{path}: {_who(_read(descriptor))} is still running") from None
        last = _read(descriptor)
        _write(descriptor, {"pid": os.getpid(), "node": platform.node(), "since": time.time()})
        stack.callback(_write, descriptor, {})
        yield f"{path}: {_who(last)} was killed; its lock is stale and taken over" if last else ""


def _read(descriptor: int) -> dict[str, Any]:
    try:
        data = json.loads(os.pread(descriptor, 4096, 0) or b"{}")
    except ValueError:
        return {"pid": "?"}
    return data if isinstance(data, dict) else {}


def _write(descriptor: int, data: dict[str, Any]) -> None:
    """The holder's name, for people alone: on a full disk the lock works without."""
    with contextlib.suppress(OSError):
        os.ftruncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(data).encode() if data else b"", 0)


def _who(data: dict[str, Any]) -> str:
    since = data.get("since")
    moment = ""
    if isinstance(since, (int, float)):
        moment = time.strftime(" since %Y-%m-%d %H:%M:%S", time.localtime(since))
    return f"the night of process {data.get('pid', '?')} on {data.get('node', '?')}{moment}"
