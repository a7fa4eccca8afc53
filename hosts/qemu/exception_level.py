# SPDX-License-Identifier: GPL-2.0-only
"""Whether an image for 64-bit Arm has to be started in EL2, as a hypervisor.

An L4Re image is for one of EL1 and EL2. One for EL2 says so and stops in EL1; one for EL1 has other
troubles in EL2, as calls of firmware lead to it. The kernel that wants EL2 has a name for it, which
bootstrap has, too; where the kernel is compressed, a machine is booted to see, once for a file.
"""

from __future__ import annotations

import json
import os
import time
from collections.abc import Sequence
from pathlib import Path

from lkltest.host.cache import cache_directory
from lkltest.sandbox.scope import Scope
from lkltest.whole_file import write_whole

_REFUSES = b"started in EL1"
_L4RE = b"is configured for EL2 mode"
_FEATURE = b"arm:hyp\0"
_UNDERWAY = b"Welcome to"
_PROBE_SECONDS = 15.0
_MOST = 200
"""Files that are remembered."""


def wants_el2(image: Path, boot: Sequence[str], scope: Scope) -> bool:
    """Whether an image wants EL2. Raises OSError for a file that cannot be read.

    boot: QEMU's command line for it, in EL1, with the console on standard output.
    """
    data = image.read_bytes()
    if _L4RE not in data:
        return False
    if data.count(_FEATURE) > 1:
        return True
    status = image.stat()
    key = f"{image.resolve()} {status.st_size} {status.st_mtime_ns}"
    file = cache_directory("qemu") / "el2.json"
    known = _read(file)
    if key not in known:
        known[key] = _refuses_el1(boot, scope)
        write_whole(file, json.dumps(dict(list(known.items())[-_MOST:])).encode())
    return known[key]


def _refuses_el1(boot: Sequence[str], scope: Scope) -> bool:
    """Whether the image says in EL1 that it wants EL2."""
    shown = os.memfd_create("console", os.MFD_CLOEXEC)
    try:
        child = scope.spawn(list(boot), cwd=scope.folder, stdout=shown, stderr=shown, pass_fds={})
        end = time.monotonic() + _PROBE_SECONDS
        said = b""
        while not (_REFUSES in said or _UNDERWAY in said):
            ended = child.wait(0.05) is not None
            said = os.pread(shown, 1 << 20, 0)
            if ended or time.monotonic() > end:
                break
        child.kill()
        child.wait(5.0)
        return _REFUSES in said
    finally:
        os.close(shown)


def _read(file: Path) -> dict[str, bool]:
    try:
        known = json.loads(file.read_bytes())
    except (OSError, ValueError):
        return {}
    return {key: value is True for key, value in known.items()} if isinstance(known, dict) else {}
