# SPDX-License-Identifier: GPL-2.0-only
"""The dump of a program that crashed, with the names of functions. Pure.

l4re_itas prints registers and the top of the stack, and no name (l4re_itas/server/src/signals.cc).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator

_BINARY = re.compile(r"Binary: '(?:rom/)?([^']+)'|: ERROR: (?:rom/)?(\S+): Unhandled exception: ")
_COUNTER = re.compile(r"\b(?:pc|PC|rip|ip) *= *0x([0-9a-f]+)")
_STACK = re.compile(r"^.*?(?:FATAL|ERROR): +[0-9a-f]+:((?: +[0-9a-f]+)+) *$", re.MULTILINE)
_MOST = 8


def binary_of(dump: str) -> str:
    """The name of the module that crashed, as the dump has it; empty when it has none."""
    found = _BINARY.search(dump)
    return (found[1] or found[2]) if found else ""


def place_of(dump: str, name: Callable[[int], str]) -> str:
    """The place of the crash in words: the function, and those that the stack points into.

    name: of the function at an address, empty where there is none. The stack is not unwound: some
    of its words may be left from earlier calls.
    """
    counter = _COUNTER.search(dump)
    here = name(int(counter[1], 16)) if counter else ""
    callers = list(_callers(dump, name))[:_MOST]
    if not callers:
        return here
    return f"{here or 'somewhere'}, stack: {' '.join(callers)}"


def _callers(dump: str, name: Callable[[int], str]) -> Iterator[str]:
    """Yield the functions that words of the stack point into, behind a call."""
    seen = set()
    for line in _STACK.finditer(dump):
        for word in line[1].split():
            address = int(word, 16)
            if not address or _is_start(name(address)):
                continue
            # A call that does not come back can be a function's last instruction.
            function = name(address - 1).partition(" of ")[0].partition("+")[0]
            if function and function not in seen:
                seen.add(function)
                yield function


def _is_start(function: str) -> bool:
    return bool(function) and "+" not in function
