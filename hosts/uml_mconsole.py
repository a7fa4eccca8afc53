# SPDX-License-Identifier: GPL-2.0-only
"""What the tasks of a hanging UML kernel do, asked through its management console.

Source: the kernel's Documentation/virt/uml/user_mode_linux_howto_v2.rst, "The UML Management
Console"; uml_mconsole(1) of the package uml-utilities.
"""

from __future__ import annotations

import os
import shutil
import tempfile
from pathlib import Path

from lkltest.scope import Scope

_TOOL = "uml_mconsole"
_SECONDS = 5.0


def show_tasks(socket: Path, scope: Scope) -> str:
    """The kernel's stack of every task (SysRq t); says why when it cannot be had.

    The tool runs in `scope`, so that it dies with the runner.
    """
    tool = shutil.which(_TOOL)
    if tool is None:
        return f"no stacks: {_TOOL} is missing: apt-get install uml-utilities"
    with tempfile.TemporaryFile() as output:  # no pipe: the answer can be longer than one holds
        try:
            child = scope.spawn(
                [tool, str(socket), "sysrq", "t"],
                cwd=socket.parent,
                env={**os.environ, "TMPDIR": str(socket.parent)},
                stdout=output.fileno(),
                stderr=output.fileno(),
            )
        except OSError as error:
            return f"no stacks: {tool}: {error.strerror}"
        note = ""
        if child.wait(_SECONDS) is None:
            child.kill()
            child.wait(_SECONDS)
            note = f"\nthe kernel did not end its answer within {_SECONDS:g} s"
        output.seek(0)
        return output.read().decode("utf-8", "backslashreplace") + note
