# SPDX-License-Identifier: GPL-2.0-only
"""A hanging Linux kernel's words about its tasks, by sysrq over its serial console.

A BREAK and a letter on the console are sysrq: w shows the blocked tasks, l what the processors do,
t every task. A kernel that answers to none of them still answers to an NMI, by a panic. See the
kernel's Documentation/admin-guide/sysrq.rst.
"""

from __future__ import annotations

import re
import time
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TYPE_CHECKING

from lkltest.tap.patterns import MESSAGE
from lkltest.text import plural

if TYPE_CHECKING:
    from .process import QemuProcess

OPTIONS = "sysrq_always_enabled unknown_nmi_panic"
"""Of the kernel's command line: without them Debian's kernels answer neither sysrq nor an NMI."""
NO_ANSWER = "the kernel does not answer sysrq: its interrupts are off, or its console is another"
IN_PROGRAM = "the program at "
"""Before an address that is no kernel's."""

_CONSOLE = "ser0"
_AFTER_BREAK = 0.05
"""Seconds in which the kernel is done with the BREAK: then a busy processor is so again."""
_LOUD = b"9"
"""First of all: a kernel that was booted with `quiet` would keep its answers to itself."""
_FIRST, _QUIET, _LIMIT = 2.0, 0.5, 20.0
"""Seconds: until an answer begins; of silence after it; of all of it. An emulated machine prints
the stacks of 100 tasks in two.
"""

_STAMP = re.compile(r"^(?:" + MESSAGE.decode() + r")? *", re.MULTILINE)
_ANSWER = re.compile(r"^sysrq ?: ", re.MULTILINE | re.IGNORECASE)
_TASK = re.compile(
    r"^(?:task:)?(?P<name>\S.{0,15}?) +(?:state:)?(?P<state>[A-Z])\b.*?"
    r"\bpid: *(?P<pid>\d+) .*?\bppid: *(?P<parent>\d+) .*$",
    re.MULTILINE,
)
_NO_PROCESS = ("0", "2")
"""Parents of /init and of the kernel's threads."""
_PROCESSOR = re.compile(
    r"^CPU: (?P<number>\d+) (?:UID: \d+ )?PID: (?P<pid>\d+) (?:\S+ \S+ )?Comm: (?P<name>\S+).*$",
    re.MULTILINE,
)
_ASKING = re.compile(
    r"^(?:asm_common_interrupt|asm_exc_nmi|end_repeat_nmi|el[01]\w*_irq)\+.*$|^</(?:IRQ|NMI)>\n(?!asm_)",
    re.MULTILINE,
)
"""Ends the frames of the interrupt by which a processor was asked."""
_FRAME = re.compile(
    r"^(?P<function>(?!\? )[\w.$]+\+0x[0-9a-f]+/0x[0-9a-f]+.*)"
    r"|^(?:RIP: \w+:|pc : )(?P<point>(?:0x)?(?P<program>[0-9a-f]{6,})(?!\S)|\S+)",
    re.MULTILINE,
)
_ENTRY = re.compile(
    r"(?:asm_\w+|entry_SYSCALL\w*|\w*do_syscall\w*|ret_from_fork\w*|kthread"
    r"|el[01]t?_\w+(?:\.\S*)?|do_el0_svc|invoke_syscall|__switch_to)\+"
)
_IDLE = re.compile(r"\b(?:do_idle|cpu_idle_loop|cpu_startup_entry)\+")


@dataclass(frozen=True, slots=True)
class Thread:
    """A task or a processor, as the kernel shows it.

    `what` is how a person calls it, `frames` are the functions that it is in, the innermost first.
    """

    what: str
    pid: int
    is_process: bool
    frames: tuple[str, ...]

    @property
    def lines(self) -> list[str]:
        return [f"{self.what}:", *(f"    {frame}" for frame in self.frames)]


def ask(process: QemuProcess) -> list[str]:
    """A guest's kernel's answers: first who hangs, then all three; none without any.

    Raises MonitorError.
    """
    if not _ANSWER.search(_ask(process, _LOUD, _FIRST)):
        return []
    answers = [_ask(process, letter, _QUIET) for letter in (b"w", b"l", b"t")]
    return ["\n".join(culprits(*answers)), *answers]


def after_nmi(said: str) -> list[str]:
    """The place of each processor in the kernel's panic for an NMI; empty without one."""
    return [line for each in processors_in(unstamped(said)) for line in each.lines]


def _ask(process: QemuProcess, letter: bytes, quiet: float) -> str:
    process.links.monitor.execute("chardev-send-break", {"id": _CONSOLE}, seconds=2.0)
    time.sleep(_AFTER_BREAK)
    process.send(letter)
    return unstamped(process.read_quiet(quiet, _LIMIT).decode("utf-8", "backslashreplace"))


def unstamped(text: str) -> str:
    """A kernel's lines without time stamps and indentation."""
    return _STAMP.sub("", text.replace("\r", "")).strip()


def culprits(blocked: str, processors: str, tasks: str) -> list[str]:
    """Those that matter in the answers to w, l and t, with the functions that they are in."""
    stuck = tasks_in(blocked)
    threads = [task for task in stuck if task.is_process]
    threads += processors_in(processors)
    threads += [task for task in stuck if not task.is_process]
    if not threads:
        # Nobody is blocked or busy: the youngest process waits for something that does not come.
        threads = sorted(
            (task for task in tasks_in(tasks) if task.is_process), key=lambda task: -task.pid
        )[:1]
    if not threads:
        return ["no process is there"]
    head = "asked by sysrq, the kernel says: " + plural(len(stuck), "blocked task")
    return [head, *(line for thread in threads for line in thread.lines)]


def tasks_in(text: str) -> list[Thread]:
    """The tasks in an answer to w or t."""
    return [
        Thread(
            f"{match['name']}, pid {match['pid']}, state {match['state']}",
            int(match["pid"]),
            match["parent"] not in _NO_PROCESS,
            _frames(part),
        )
        for match, part in _sections(_TASK, text)
    ]


def processors_in(text: str) -> list[Thread]:
    """The processors that are not idle in an answer to l or in a panic."""
    busy = []
    for match, part in _sections(_PROCESSOR, text):
        asked = _ASKING.search(part)
        found = part[asked.end() :] if asked else part
        if not _IDLE.search(found):
            what = f"CPU {match['number']}, busy in {match['name']}, pid {match['pid']}"
            busy.append(Thread(what, int(match["pid"]), True, _frames(found)))
    return busy


def _sections(head: re.Pattern[str], text: str) -> Iterator[tuple[re.Match[str], str]]:
    """Each line that `head` fits, with the text between it and the next."""
    found = list(head.finditer(text))
    for index, match in enumerate(found):
        end = found[index + 1].start() if index + 1 < len(found) else len(text)
        yield match, text[match.end() : end]


def _frames(text: str) -> tuple[str, ...]:
    """The frames that the kernel is sure of; those of its entry say nothing."""
    frames: list[str] = []
    for match in _FRAME.finditer(text):
        if match["program"]:
            frames.append(f"{IN_PROGRAM}{int(match['program'], 16):#x}")
            break
        frame = match["function"] or match["point"]
        if not _ENTRY.match(frame) and frame not in frames[-1:]:
            frames.append(frame)
    return tuple(frames)
