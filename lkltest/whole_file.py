# SPDX-License-Identifier: GPL-2.0-only
"""Files that are there whole or not at all."""

from __future__ import annotations

import os
from pathlib import Path


def write_whole(path: Path, text: str) -> None:
    """Write a file so that it is there whole or not at all, and survives a loss of power.

    Raises OSError with the file's name.
    """
    part = path.with_name(f".{path.name}.part")
    try:
        # A lone surrogate from a console must not cost the whole of a report.
        with part.open("w", encoding="utf-8", errors="backslashreplace") as file:
            file.write(text)
            file.flush()
            os.fsync(file.fileno())
        part.replace(path)
    except OSError as error:
        error.filename = error.filename or str(path)
        part.unlink(missing_ok=True)
        raise
