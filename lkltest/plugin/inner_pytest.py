# SPDX-License-Identifier: GPL-2.0-only
"""How the commands run pytest: whatever is installed, set or configured around it."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path

SUITES = "lkltest.suites"
"""The package of all suites."""


def arguments(
    packages: Sequence[str] = (SUITES,),
    *,
    plugin: str = "lkltest.plugin.hooks",
    cache: Path | None = None,
) -> list[str]:
    """What pytest is told first, to collect `packages` with one plugin.

    `cache` is where it remembers what failed; None: nowhere.
    Takes out of the environment what somebody has set for other runs of pytest.
    """
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    return [
        # No ini file of whatever directory it is started in, no plugins that happen to be there.
        *("--pyargs", *packages, "-c", os.devnull, "--rootdir", "."),
        *("--disable-plugin-autoload", "-p", plugin),
        # Its directories would outlive a run that is killed; suites have a scope's folder.
        *("-p", "no:tmpdir"),
        *(("-o", f"cache_dir={cache}") if cache else ("-p", "no:cacheprovider")),
        # pytest rewrites what it imports, and warns of what it no longer can: its very caller.
        *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    ]
