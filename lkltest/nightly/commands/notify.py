# SPDX-License-Identifier: GPL-2.0-only
"""The command that is told of a night with news: a mail, a message, an issue."""

from __future__ import annotations

import os
import shlex
import subprocess
from pathlib import Path

from lkltest.nightly.report.labels import headline, is_news
from lkltest.nightly.report.model import NightModel
from lkltest.report.terminal import echo_error

_SECONDS = 120.0


def notify(command: str, night: NightModel, folder: Path) -> None:
    """Run the command, without a shell, if there is news; its failure is said, and no verdict.

    Its input is the Markdown. Its environment has LKLTEST_HEADLINE, LKLTEST_NIGHT, LKLTEST_STATUS
    (0 or 1) and the files, LKLTEST_MARKDOWN, LKLTEST_JSON and LKLTEST_HTML.
    """
    if not command or not is_news(night):
        return
    folder = folder.resolve()
    facts = {
        "LKLTEST_HEADLINE": headline(night),
        "LKLTEST_NIGHT": night.night_id,
        "LKLTEST_STATUS": str(int(night.failed)),
        "LKLTEST_MARKDOWN": str(folder / "report.md"),
        "LKLTEST_JSON": str(folder / "report.json"),
        "LKLTEST_HTML": str(folder / "index.html"),
    }
    try:
        with (folder / "report.md").open("rb") as markdown:
            done = subprocess.run(
                shlex.split(command),
                stdin=markdown,
                env={**os.environ, **facts},
                timeout=_SECONDS,
                check=False,
            )
    except (OSError, ValueError) as error:
        echo_error(f"notify {command!r}: {error}")
    except subprocess.TimeoutExpired:
        echo_error(f"notify {command!r}: killed after {_SECONDS:g} s")
    else:
        if done.returncode:
            echo_error(f"notify {command!r}: ended with status {done.returncode}")
