# SPDX-License-Identifier: GPL-2.0-only
"""How pytest ends when it is asked for what there is not: with one line, and status 2."""

from __future__ import annotations

from typing import NoReturn

import pytest

from lkltest.command_line import USED_WRONGLY
from lkltest.report.terminal import complain, printable


def refuse(config: pytest.Config, message: str) -> NoReturn:
    """End pytest; a command's own pytest says so in the command's words."""
    if config.option.lkl_command:
        complain(message)
        raise pytest.UsageError  # without a message of its own pytest shows nothing
    pytest.exit(printable(message), returncode=USED_WRONGLY)
