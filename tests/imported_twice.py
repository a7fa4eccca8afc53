# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin that tells of modules of ours that were imported under two names.

It is copied beside the runs that are watched (`-p imported_twice`): whoever imports it as part of
`tests` would change what it looks at.
"""

import os
import sys

import pytest

OURS = ("/lkltest/", "/hosts/", "/suites/")


def is_ours(file: str) -> bool:
    """Whether a module is lkltest's; one in a checkout's .venv is not."""
    inside = f"/{file.rpartition('/site-packages/')[2]}"
    return any(part in inside for part in OURS)


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    names: dict[str, set[str]] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name != "__main__":
            names.setdefault(os.path.realpath(file), set()).add(name)
    mine = [found for file, found in names.items() if is_ours(file)]
    twice = sorted(sorted(found) for found in mine if len(found) > 1)
    sys.stderr.write(f"modules {len(mine)}, twice {twice}\n")
