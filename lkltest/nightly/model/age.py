# SPDX-License-Identifier: GPL-2.0-only
"""The age of a night that is old enough to be forgotten. Pure."""

from __future__ import annotations

_SECONDS = {"d": 86_400, "w": 7 * 86_400, "y": 365 * 86_400}


def age(text: str) -> int:
    """Read `90d`, `12w`, `1y` as seconds. Raises ValueError."""
    if text[-1:] not in _SECONDS or not text[:-1].isdecimal() or len(text) > 6:
        raise ValueError(f"{text!r} is no age such as 90d, 12w or 1y")
    return int(text[:-1]) * _SECONDS[text[-1]]
