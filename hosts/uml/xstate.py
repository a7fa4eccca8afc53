# SPDX-License-Identifier: GPL-2.0-only
"""The preloaded xstate.c: it lets older UML kernels run on processors with much state (AMX)."""

from __future__ import annotations

import hashlib
from pathlib import Path

from lkltest.guest.programs import compile_program
from lkltest.host.cache import cache_directory

from .kernel import UmlKernel

_SOURCE = Path(__file__).with_suffix(".c")
_FLAGS = ("-std=gnu11", "-D_GNU_SOURCE", "-O2", "-Wall", "-Wextra", "-shared", "-fPIC")


def preload(kernel: UmlKernel) -> dict[str, str]:
    """The environment with which `kernel` has to be started here, beyond the usual.

    Raises LaunchError when the library cannot be compiled.
    """
    if not kernel.dynamic or not _has_large_state():
        return {}
    digest = hashlib.sha256(_SOURCE.read_bytes()).hexdigest()[:16]
    library = cache_directory("uml") / f"{_SOURCE.stem}-{digest}.so"
    if not library.exists():
        compile_program(_SOURCE, library, _FLAGS)
    return {"LD_PRELOAD": str(library)}


def _has_large_state() -> bool:
    """Whether this processor has state that UML kernels before 6.13 do not know."""
    try:
        text = Path("/proc/cpuinfo").read_text(encoding="ascii", errors="replace")
    except OSError:
        return False
    flags = next((line for line in text.splitlines() if line.startswith("flags")), "")
    return "amx_tile" in flags.split()
