# SPDX-License-Identifier: GPL-2.0-only
"""The report of Fiasco's kernel debugger (JDB), read for what its threads do. Pure.

`Y` and a line feed at its prompt make the report: kernel objects, lists of threads, timeouts, and
for each thread its state and its registers (fiasco, src/jdb/jdb_report.cpp).
"""

from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass

ENTER, REPORT, GO_ON = b"\x1b", b"Y\n", b"g"
PROMPT = b"jdb: "

_OBJECT = re.compile(
    r"^ *(?P<id>[0-9a-f]+) [0-9a-f]+ \[(?P<kind>Task|Thread)\]"
    r"(?: \{(?P<name>[^}]*)\})?(?P<rest>.*)$",
    re.MULTILINE,
)
_SPACE = re.compile(r"\bS=D:([0-9a-f]+)")
_BLOCK = re.compile(
    r"^ *thread +: +(?P<id>[0-9a-f]+) .*\n *state +: [0-9a-f]+ (?P<state>\S*)", re.MULTILINE
)
_ADDRESS = re.compile(
    r"(?:user level registers\)|kernel SP=[0-9a-f]+)\n *(?:R?IP|PC)=(?P<address>[0-9a-f]+).*"
    r"(?:\n\s*Code: (?P<code>[0-9a-f ]+))?"
)
_TIMEOUT = re.compile(r" timeout: +\d")
_SERVERS = ("KERNEL", "sigma0", "moe", "ned")
_INNER = ("#", "~")
"""Before the name of a thread that L4Re itself has in each program."""
_MOST = 6


@dataclass(frozen=True, slots=True)
class Thread:
    """A thread as JDB tells of it; it and its task may have no name.

    `current` is the one that ran when JDB was entered; its address is JDB's own and not shown.
    `code` are the bytes at `address`, which is in user mode. `has_timeout`: it waits for a moment.
    """

    number: str
    name: str
    task: str
    task_name: str
    state: str
    current: bool
    address: int | None = None
    code: bytes = b""
    has_timeout: bool = False

    @property
    def program(self) -> str:
        """The name of the program as far as JDB knows one."""
        return self.task_name or self.name.lstrip("".join(_INNER))


def read_threads(report: str) -> list[Thread]:
    """The threads of a report, in its order."""
    objects = list(_OBJECT.finditer(report))
    tasks = {found["id"]: found["name"] or "" for found in objects if found["kind"] == "Task"}
    blocks = list(_BLOCK.finditer(report))
    ends = [*(found.start() for found in blocks[1:]), len(report)]
    details = {
        found["id"]: (
            found["state"],
            _ADDRESS.search(report[found.start() : end]),
            _TIMEOUT.search(report, found.start(), end) is not None,
        )
        for found, end in zip(blocks, ends, strict=False)
    }
    threads = []
    for found in objects:
        if found["kind"] != "Thread":
            continue
        space = _SPACE.search(found["rest"])
        state, address, timeout = details.get(found["id"], ("", None, False))
        threads.append(
            Thread(
                found["id"],
                found["name"] or "",
                space[1] if space else "",
                tasks.get(space[1], "") if space else "",
                state,
                " cur" in found["rest"],
                int(address["address"], 16) if address else None,
                _code(address["code"] or "") if address else b"",
                timeout,
            )
        )
    return threads


def _code(words: str) -> bytes:
    """Bytes as they are in memory: JDB shows those of x86 one by one, Arm's as numbers."""
    return b"".join(bytes.fromhex(word)[:: -1 if len(word) > 2 else 1] for word in words.split())


def is_deserted(threads: Sequence[Thread]) -> bool:
    """Whether no program is left beside L4Re's own servers."""
    names = {thread.program for thread in threads if thread.task}
    return bool(names) and names <= set(_SERVERS)


def summary(threads: Sequence[Thread], where: Callable[[Thread], str]) -> list[str]:
    """Lines on the threads of programs, the one that ran first; `where` says at what they are."""
    if is_deserted(threads):
        return ["no program is left beside L4Re's own servers: what was started has ended"]
    shown = [
        thread
        for thread in sorted(threads, key=lambda each: not each.current)
        if thread.task
        and thread.program not in _SERVERS
        and (thread.current or not thread.name.startswith(_INNER))
    ]
    lines = []
    for thread in shown[:_MOST]:
        title = f"thread {thread.name or thread.number}"
        if thread.program != thread.name or not thread.name:
            title += f" of {thread.program or f'task {thread.task}'}"
        place = where(thread)
        state = "running" if thread.current else thread.state.split(",")[0]
        lines.append(f"{title}: {state}{f' at {place}' if place else ''}")
    return lines
