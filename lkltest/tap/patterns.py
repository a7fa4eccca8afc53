# SPDX-License-Identifier: GPL-2.0-only
"""Patterns of what terminals and kernels add to a console's text: escapes, stamps, the banner.

Parts of regular expressions for bytes, to be put together where they are used.
"""

ESCAPE = (
    rb"\x1b(?:"
    rb"\[[0-?]*+[ -/]*+[@-~]"  # CSI: colours, cursor
    rb"|[\]PX^_][^\x07\x1b\n]*+(?:\x07|\x1b\\)"  # OSC (window titles), DCS, SOS, PM, APC
    rb"|[ -/]++[0-~]"  # character sets
    rb"|[0-OQ-WYZ\\`-~])"  # two characters
)
"""Control functions of ECMA-48, 5.3 to 5.6, and their terminators as terminals know them."""

COLOUR = rb"\x1b\[[0-9;]*m"

SECONDS = rb"[0-9]{1,10}\.[0-9]{1,9}"
"""A kernel's time; printk itself always writes six digits behind the point."""

LEVEL = rb"(?:<[0-9]{1,4}>)?"
"""The severity before a stamp, if it is there: `<6>`."""

CALLER = rb"\[ *+([TC][0-9]{1,10})\]"
"""The thread or CPU behind a stamp (CONFIG_PRINTK_CALLER): `[T1]`, `[    C0]`."""

STAMP = rb"\[ *+" + SECONDS + rb"\]"
"""`[    1.250000]`."""

MESSAGE = LEVEL + STAMP + rb"(?:\[ *+[TC][0-9]{1,10}\])?"
"""The beginning of a kernel's message: `<6>[    1.250000][    T1]`."""

LINUX = b"Linux version "
LINUX_VERSION = LINUX + rb"([0-9][^\s%]*)"
"""The beginning of a kernel's first line, with its release."""
