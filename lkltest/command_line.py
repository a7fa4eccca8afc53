# SPDX-License-Identifier: GPL-2.0-only
"""Exit statuses of the commands, and the type of argument that most of them take: a count.

A leaf, because the pytest plugin and the nightly commands end with these, too, and neither may
import cli/.
"""

from __future__ import annotations

import argparse

PASSED, FAILED, USED_WRONGLY, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses; the last is what shells say of SIGINT."""

_MOST_DIGITS = 4  # more is a slip of the finger, and no number of processes to start


def count(text: str) -> int:
    """Read a whole number of a few digits, above 0."""
    number = int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else 0
    if number < 1:
        most = 10**_MOST_DIGITS - 1
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1 to {most}")
    return number


def spellings(*names: str) -> tuple[str, ...]:
    """Both spellings of options: `--build`, and pytest's `--lkl-build`."""
    long = [name for name in names if name.startswith("--")]
    return (*names, *(f"--lkl-{name.removeprefix('--')}" for name in long))
