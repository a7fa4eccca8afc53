# SPDX-License-Identifier: GPL-2.0-only
"""The kernel's own tests (KUnit), found in the log of its boot. Pure.

They print KTAP while the kernel starts, a time stamp before each line. On a console that the kernel
shares those lines stand by themselves; where a program logs what its kernel says (LKL's boot), they
are indented as its log is. Source: the kernel's Documentation/dev-tools/ktap.rst.
"""

from __future__ import annotations

import re
from collections.abc import Iterable

_KERNEL_LINE = re.compile(
    rb"^ {0,4}((?:<[0-9]{1,4}>)?\[ *[0-9]{1,10}\.[0-9]{1,9}\](?:\[ *[TC][0-9]{1,10}\])?[^\r\n]*)",
    re.MULTILINE,
)
_BEGIN = re.compile(rb"^[^\n]*?\b(?:KTAP version [0-9]|TAP version 14\b)", re.MULTILINE)


def ktap_of(console: bytes, logs: Iterable[str] = ()) -> bytes:
    """The KTAP in a kernel's log, from its version line on; empty when there is none.

    console: what a program and its kernel printed. logs: of its test points, for a kernel that
    prints no time stamps.
    """
    kernel = b"\n".join(match[1] for match in _KERNEL_LINE.finditer(console))
    for text in (kernel, *(log.encode("utf-8", "surrogateescape") for log in logs)):
        begin = _BEGIN.search(text)
        if begin is not None:
            return text[begin.start() :].rstrip(b"\n") + b"\n"
    return b""
