# SPDX-License-Identifier: GPL-2.0-only
"""Limits of time: how long a program may run, and one moment that nested waits share."""

from __future__ import annotations

import argparse
import math
import time
from dataclasses import dataclass

DEFAULT_TIMEOUT = 180.0
"""Seconds a program may run when nothing else is said."""

_LONGEST = 1_000_000.0  # eleven days; poll(2) takes twice that


def timeout(text: str) -> float:
    """Read a limit in seconds, for `type=` of argparse."""
    try:
        seconds = float(text)
    except ValueError:
        seconds = math.nan
    if not 0 < seconds <= _LONGEST:
        raise argparse.ArgumentTypeError(f"{text} is no number of seconds to wait")
    return seconds


@dataclass(frozen=True, slots=True)
class Deadlines:
    """Limits in seconds: the whole run, silence between outputs, the first byte and the plan."""

    total: float = DEFAULT_TIMEOUT
    silence: float = DEFAULT_TIMEOUT / 3
    first_byte: float = DEFAULT_TIMEOUT / 3
    plan: float = DEFAULT_TIMEOUT / 2

    @classmethod
    def from_timeout(cls, total: float) -> Deadlines:
        """Derive all limits from the total one."""
        return cls(total, total / 3, total / 3, total / 2)

    @classmethod
    def none(cls) -> Deadlines:
        """Deadlines without limits: a person is at the console."""
        return cls(_LONGEST, _LONGEST, _LONGEST, _LONGEST)


class Deadline:
    """A moment that is handed down, so that nested waits share one limit."""

    __slots__ = ("_expires", "seconds")

    def __init__(self, seconds: float) -> None:
        self.seconds = seconds
        self._expires = time.monotonic() + seconds

    def remaining(self) -> float:
        """Seconds left, never negative."""
        return max(0.0, self._expires - time.monotonic())

    def restart(self) -> None:
        """Count from now again."""
        self._expires = time.monotonic() + self.seconds

    @property
    def expired(self) -> bool:
        return self.remaining() == 0.0
