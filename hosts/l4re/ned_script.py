# SPDX-License-Identifier: GPL-2.0-only
"""A script for ned, which starts one program with its arguments and says how it ended. Pure.

ned runs Lua; `startv` takes each argument by itself, so that none is split at blanks (l4re-core,
ned/server/src/ned.lua and doc). The tag of the program's log is what its lines are found by.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence

SCRIPT = "lkltest.cfg"
TAG = "lkltest"
EXITED = "lkltest: the program exited with"
"""The script's last words, before the status; without a tag, as ned itself prints."""
_COLOUR = "g"


def ned_script(
    program: str, arguments: Sequence[str], environment: Mapping[str, str], tag: str = TAG
) -> bytes:
    """The script's text. `program` is the module's name, without `rom/`."""
    words = [_quoted(f"rom/{program}"), *map(_quoted, arguments)]
    variables = ", ".join(
        f"[{_quoted(name)}] = {_quoted(value)}" for name, value in environment.items()
    )
    if variables:
        words.append(f"{{ {variables} }}")
    log = f"{_quoted(tag)}, {_quoted(_COLOUR)}"
    return (
        "-- Written by lkltest.\n"
        'local L4 = require("L4");\n'
        f"local program = L4.default_loader:startv({{ log = {{ {log} }} }},\n"
        f"  {', '.join(words)});\n"
        # A ned that cannot wait says nothing here: then moe's word and silence are the end.
        "local known, status = pcall(function() return program:wait() end);\n"
        f'if known then print("{EXITED} " .. tostring(status)); end\n'
    ).encode()


def _quoted(text: str) -> str:
    """A Lua string of exactly these bytes (Lua 5.4 reference manual, 3.1)."""
    data = text.encode("utf-8", "surrogateescape")
    return '"' + "".join(map(_character, data)) + '"'


def _character(byte: int) -> str:
    plain = 0x20 <= byte < 0x7F and byte not in b'"\\'
    return chr(byte) if plain else f"\\{byte:03d}"
