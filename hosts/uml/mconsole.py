# SPDX-License-Identifier: GPL-2.0-only
"""What a hanging UML kernel does, asked through its management console.

Sources: the kernel's Documentation/virt/uml/user_mode_linux_howto_v2.rst, "The UML Management
Console"; uml_mconsole(1) of the package uml-utilities.
"""

from __future__ import annotations

import os
import shutil
from collections.abc import Callable, Sequence
from pathlib import Path

from lkltest.deadline import Deadline
from lkltest.sandbox.scope import Scope

_TOOL = "uml_mconsole"
_SECONDS = 5.0
_UNANSWERED_SECONDS = 1.0  # an answer begins in milliseconds
_STEP = 0.02
_NOISE = "Warning: couldn't stat file"
_LIMIT = 1 << 20


class Mconsole:
    """Asks the kernel behind `socket`; the tool runs in `scope` and dies with the runner.

    stacks: the kernel's stacks as a debugger sees them, for a kernel that does not answer: one that
    spins with its interrupts off.
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
        """The kernel's stack of `process` in the guest, and then of every task (SysRq t).

        Says why when it cannot be had. A kernel that panics over the question is no failure of the
        program's: the text says so and nothing else does.
        """
        tool = shutil.which(_TOOL)
        if tool is None:
            return f"no stacks: {_TOOL} is missing: apt-get install uml-utilities"
        limit = Deadline(_SECONDS)
        answers = []
        if process is not None:
            answers.append(self._ask(tool, ("stack", str(process)), limit))
        if not answers or self._printed:
            answers.append(self._ask(tool, ("sysrq", "t"), limit))
        if not self._printed:
            answers += ["(so gdb was asked)", self._stacks()]
        printed = bytes(self._printed).decode("utf-8", "backslashreplace").replace("\r\n", "\n")
        if "Kernel panic" in printed:
            printed = f"(asked for its tasks, this kernel panics on the way)\n{printed}"
        # The answers are what the console shows, without what came of them.
        return printed.strip() or "\n".join(answers)

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
