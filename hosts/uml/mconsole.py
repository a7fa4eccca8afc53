# SPDX-License-Identifier: GPL-2.0-only
"""The state of a hanging UML kernel, asked through its management console.

Sources: the kernel's Documentation/virt/uml/user_mode_linux_howto_v2.rst, "The UML Management
Console"; uml_mconsole(1) of the package uml-utilities.
"""

from __future__ import annotations

import os
import re
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from lkltest.deadline import Deadline
from lkltest.sandbox.scope import Scope
from lkltest.tap.patterns import STAMP
from lkltest.verdict.stack import functions

_TOOL = "uml_mconsole"
_SECONDS = 5.0
_UNANSWERED_SECONDS = 1.0  # an answer begins in milliseconds
_STEP = 0.02
_NOISE = "Warning: couldn't stat file"
_LIMIT = 1 << 20
_STAMPS = re.compile(r"^(?:" + STAMP.decode() + ")+")
_FUNCTION = re.compile(r"^\w+ (?!\.{1,2}/)\S+:\d+$", re.MULTILINE)  # the C library's begin so
_IDLE = re.compile(r"\b(?:\w*cpu_idle|do_idle|default_idle_call|\w*idle_sleep)\b")
_SCHEDULER = ("__switch_to", "__schedule", "schedule")
_OUTLINE_FRAMES = 11


class Mconsole:
    """Asks the kernel behind `socket`; the tool runs in `scope` and dies with the runner.

    stacks: the kernel's stacks as a debugger sees them, an outline first.
    read_console: returns what the kernel printed by now. It has to be read on, or the kernel waits
    for room to print in and answers nothing.
    """

    def __init__(
        self,
        socket: Path,
        scope: Scope,
        read_console: Callable[[], bytes],
        stacks: Callable[[], str],
    ) -> None:
        self._socket = socket
        self._scope = scope
        self._read_console = read_console
        self._stacks = stacks
        self._printed = bytearray()

    def what_hangs(self, process: int | None) -> str:
        """The kernel's activity; of one that idles, the stacks of `process` and of every task.

        A debugger is asked first: it sees a kernel that spins, which answers nothing, or dies over
        the question after the task that runs. Says why when there is nothing. A kernel that panics
        over a question (SysRq t) is no failure of the program's: the text alone says so.
        """
        seen = self._stacks()
        if not is_idle(seen):
            return seen
        tool = shutil.which(_TOOL)
        if tool is None:
            return f"{seen}\n\n(its tasks: {_TOOL} is missing: apt-get install uml-utilities)"
        limit = Deadline(_SECONDS)
        answers = []
        if process is not None:
            answers.append(self._ask(tool, ("stack", str(process)), limit))
        if process is None or self._printed:
            answers.append(self._ask(tool, ("sysrq", "t"), limit))
        printed = bytes(self._printed).decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        printed = without_splats(printed).strip()
        if "Call Trace:" not in printed:
            return "\n".join([seen, "", *filter(None, answers)])
        if "Kernel panic" in printed:
            printed = f"(asked for its tasks, this kernel panics on the way)\n{printed}"
        # The answers are what the console shows, without what came of them.
        return f"{outline(printed)}\n\n{printed}".strip()

    def _ask(self, tool: str, command: Sequence[str], limit: Deadline) -> str:
        with open(os.memfd_create("answer", os.MFD_CLOEXEC), "rb") as output:
            try:
                child = self._scope.spawn(
                    [tool, str(self._socket), *command],
                    env={**os.environ, "TMPDIR": str(self._socket.parent)},
                    stdout=output.fileno(),
                    stderr=output.fileno(),
                )
            except OSError as error:
                return f"{tool}: {error.strerror}"
            note = ""
            first = Deadline(_UNANSWERED_SECONDS)
            while child.wait(_STEP) is None:
                self._take()
                silent = first.expired and not self._printed
                if limit.expired or silent or b"Kernel panic" in self._printed:
                    note = "(the kernel did not end its answer)"
                    child.kill()
                    break
            self._take()
            output.seek(0)
            text = output.read(_LIMIT).decode("utf-8", "backslashreplace")
        said = [line for line in text.splitlines() if line.strip() and not line.startswith(_NOISE)]
        return "\n".join([*said, note]).strip()

    def _take(self) -> None:
        while len(self._printed) < _LIMIT and (data := self._read_console()):
            self._printed += data


def is_idle(seen: str) -> bool:
    """Whether a debugger saw the kernel wait (for an event, for a program), or saw nothing."""
    top = seen.partition("\n\n")[0]
    if "no backtrace" in top or not _FUNCTION.search(top):
        return True
    in_program = "userspace" in top and "handle_" not in top
    return in_program or _IDLE.search(top) is not None


def outline(printed: str) -> str:
    """The functions of the first stack, from where the kernel waits on."""
    _, _, trace = printed.partition("Call Trace:")
    found = functions(trace.partition("Stack:")[0])
    while found and found[0] in _SCHEDULER:
        found.pop(0)
    return "\n".join(found[:_OUTLINE_FRAMES])


def without_splats(printed: str) -> str:
    """An answer without lockdep's words on the question itself: mconsole takes no lock.

    Such a report begins with a ruler and ends before the answer's first line, a blank line or the
    next ruler; its own stack stands below `stack backtrace:`.
    """
    kept: list[str] = []
    inside = trace = False
    for line in printed.split("\n"):
        text = _STAMPS.sub("", line).strip()
        if text.startswith("=" * 20):
            inside, trace = True, False
        elif inside and text == "Call Trace:":
            trace = True
        elif inside and trace and not text.startswith("[<"):
            inside = False
        if not inside:
            kept.append(line)
    return "\n".join(kept)
