# SPDX-License-Identifier: GPL-2.0-only
"""The end of a pytest that was used wrongly: one line, and exit status 2."""

from __future__ import annotations

from typing import NoReturn

import pytest

from lkltest.command_line import USED_WRONGLY
from lkltest.report.terminal import echo_error
from lkltest.text import printable


def exit_with_usage_error(config: pytest.Config, message: str) -> NoReturn:
    """End pytest; a command's own pytest says so in the command's words."""
    if config.option.lkl_command:
        echo_error(message)
        raise pytest.UsageError  # without a message of its own pytest shows nothing
    pytest.exit(printable(message), returncode=USED_WRONGLY)
