# SPDX-License-Identifier: GPL-2.0-only
"""A kernel's own word that something in it hangs: soft and hard lockups, hung tasks, stalls. Pure.

Such a report comes again every so often: it is a verdict, and no sign of life. See the kernel's
Documentation/admin-guide/lockup-watchdogs.rst.
"""

from __future__ import annotations

import re

from lkltest.tap.patterns import MESSAGE

_REPORT = re.compile(
    rb"^(?:" + MESSAGE + rb" *)?(?:[\w ]{1,20}: ){0,2}"
    rb"(?:BUG: soft lockup - CPU#|Watchdog detected hard LOCKUP"
    rb"|INFO: task [^\r\n]{1,60} blocked (?:in I/O wait )?for more than \d"
    rb"|INFO: rcu_\w{1,40} (?:self-)?detected (?:expedited )?stall)",
    re.MULTILINE,
)
_WORDS = (b" lockup", b" LOCKUP", b" blocked ", b"detected ")
"""One of these is in each report: looking for them costs a tenth of looking for the pattern."""
_LONGEST_LINE = 512


class Watchdog:
    """Reads a console in whatever portions it comes."""

    def __init__(self) -> None:
        self._line = b""

    def feed(self, data: bytes) -> bool:
        """Take the next bytes. Return whether a report began in them, in the kernel's own column.

        The logs of test points that have ended are indented: what they tell is over.
        """
        text = self._line + data
        self._line = text[text.rfind(b"\n") + 1 :][:_LONGEST_LINE]
        return any(word in text for word in _WORDS) and _REPORT.search(text) is not None
