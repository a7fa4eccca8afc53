# SPDX-License-Identifier: GPL-2.0-only
"""What the commands have in common: exit statuses, and types of arguments for argparse."""

from __future__ import annotations

import argparse
import math

PASSED, FAILED, USED_WRONGLY, INTERRUPTED = 0, 1, 2, 130
"""Exit statuses; the last is what shells say of SIGINT."""

_LONGEST = 1_000_000.0  # eleven days; poll(2) takes twice that
_MOST_DIGITS = 4  # more is a slip of the finger, and no number of processes to start


def timeout(text: str) -> float:
    """Read a limit in seconds."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds to wait")
    return seconds


def count(text: str) -> int:
    """Read a whole number of a few digits, above 0."""
    number = int(text) if text.isdecimal() and len(text) <= _MOST_DIGITS else 0
    if number < 1:
        most = 10**_MOST_DIGITS - 1
        raise argparse.ArgumentTypeError(f"{text} is no whole number from 1 to {most}")
    return number
