# SPDX-License-Identifier: GPL-2.0-only
"""Standard streams as the command is given them: closed (`lkltest run >&-`), in any encoding.

Python has None for closed ones, which no stream's user expects, and the next file to be opened
would get the number: a program's console, say, to which everybody else's messages then go.
"""

from __future__ import annotations

import io
import os
import sys

# Opened the wrong way round, so that using them fails as it does for other commands: with EBADF.
_CLOSED = (("stdin", "r", os.O_WRONLY), ("stdout", "w", os.O_RDONLY))


def ensure_std_streams() -> None:
    """Open what is closed: reading and writing fails, messages to standard error are lost.

    A name that standard output's encoding lacks, or that is none in it, is shown escaped.
    """
    for name, mode, access in (*_CLOSED, ("stderr", "w", os.O_WRONLY)):
        if getattr(sys, name) is None:
            # The lowest free number, which is the stream's, as those before it are open.
            descriptor = os.open(os.devnull, access)
            os.set_inheritable(descriptor, True)
            stream = open(descriptor, mode, encoding="utf-8", errors="backslashreplace")  # noqa: SIM115
            setattr(sys, name, stream)
    if isinstance(sys.stdout, io.TextIOWrapper):
        sys.stdout.reconfigure(errors="backslashreplace")
