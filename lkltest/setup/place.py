# SPDX-License-Identifier: GPL-2.0-only
"""The place of the default builds: a checkout's `build/`, else one folder for all of a user's."""

from __future__ import annotations

import contextlib
import fcntl
import os
import re
import shutil
import time
from collections.abc import Iterator
from pathlib import Path

from lkltest.errors import SetupError
from lkltest.places import own_build_place

_WAIT_SECONDS = 3600.0


def own_place() -> Path:
    """The folder of this user's default builds. Raises SetupError without a home directory."""
    try:
        return own_build_place()
    except RuntimeError as error:
        raise SetupError(f"{error}: set HOME, or name a folder with XDG_CACHE_HOME") from None


def prepare(place: Path, megabytes: float) -> None:
    """Make the folder, and see that a build fits into it. Raises SetupError."""
    if re.search(r"[\s:$#%\\]", str(place)):
        raise SetupError(
            f"{place}: the kernel's makefiles cannot work in a folder with such a name: "
            "take one without blanks and colons (XDG_CACHE_HOME)"
        )
    try:
        (place / "log").mkdir(parents=True, exist_ok=True)
        free = shutil.disk_usage(place).free / 1e6
    except OSError as error:
        raise SetupError(f"{place}: cannot be made: {error.strerror}") from None
    if not os.access(place, os.W_OK | os.X_OK):
        raise SetupError(f"{place}: cannot be written to: it belongs to somebody else")
    if free < megabytes:
        raise SetupError(
            f"{place}: the disk has {free:.0f} MB left where about {megabytes:.0f} are needed: "
            "free some of it and try again"
        )


def has_room(file: Path) -> bool:
    """Whether the disk of a log has any room: a log on a full one does not say that it is full."""
    return shutil.disk_usage(file.parent).free > 1_000_000


@contextlib.contextmanager
def alone_in(place: Path) -> Iterator[None]:
    """Hold the lock of a place: two set-ups at once would undo each other's work."""
    with (place / ".setup.lock").open("a+", encoding="ascii") as file:
        _take(file.fileno(), place)
        file.truncate(0)
        file.write(f"{os.getpid()}\n")
        file.flush()
        yield  # the kernel frees it, however this process ends


def _take(descriptor: int, place: Path) -> None:
    limit = time.monotonic() + _WAIT_SECONDS
    said = False
    while True:
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError:
            if time.monotonic() > limit:
                raise SetupError(f"{place}: another set-up has not ended within an hour") from None
        if not said:
            holder = os.pread(descriptor, 20, 0).decode("ascii", "replace").strip()
            who = f" (process {holder})" if holder else ""
            print(f"  waiting for another set-up in {place}{who} ...", flush=True)
            said = True
        time.sleep(0.2)
