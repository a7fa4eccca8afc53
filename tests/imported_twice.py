# SPDX-License-Identifier: GPL-2.0-only
"""A pytest plugin that tells of modules of ours that were imported under two names.

It is copied beside the runs that are watched (`-p imported_twice`): whoever imports it as part of
`tests` would change what it looks at.
"""

import os
import sys

import pytest

OURS = ("/lkltest/", "/hosts/", "/suites/")


@pytest.hookimpl(trylast=True)
def pytest_sessionfinish() -> None:
    names: dict[str, set[str]] = {}
    for name, module in list(sys.modules.items()):
        file = getattr(module, "__file__", None)
        if file and name != "__main__":
            names.setdefault(os.path.realpath(file), set()).add(name)
    mine = [found for file, found in names.items() if any(part in file for part in OURS)]
    twice = sorted(sorted(found) for found in mine if len(found) > 1)
    sys.stderr.write(f"modules {len(mine)}, twice {twice}\n")
