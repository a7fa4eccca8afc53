# SPDX-License-Identifier: GPL-2.0-only
"""The suites and variants that are installed: pytest collects them, nothing is run.

It is a pytest plugin of its own, because lkltest's wants a host and its build to be there.
"""

from __future__ import annotations

import contextlib
import io

import pytest

from lkltest.errors import LkltestError
from lkltest.plugin import inner_pytest
from lkltest.plugin.fixtures import disk_image, lkl, network
from lkltest.plugin.item import suite_name

__all__ = ["disk_image", "lkl", "network"]


class NoSuites(LkltestError):
    """Suites that cannot be collected; the message is one line."""


def variants() -> list[tuple[str, str]]:
    """Return suite and variant of all that are installed. Raises NoSuites."""
    collector = _Collector()
    arguments = [*inner_pytest.arguments(plugin=__name__), "-p", "no:terminal", "--collect-only"]
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        status = pytest.main(arguments, plugins=[collector])
    if collector.broken:
        raise NoSuites(f"suites that cannot be collected: {'; '.join(collector.broken)}")
    if not collector.found:
        raise NoSuites(f"no suites were found (pytest ended with status {int(status)})")
    return list(dict.fromkeys(collector.found))


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever host will run them."""
    if "lkl_host" in metafunc.fixturenames:
        metafunc.parametrize("lkl_host", ["any"], scope="session")


class _Collector:
    def __init__(self) -> None:
        self.found: list[tuple[str, str]] = []
        self.broken: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            last = report.longreprtext.strip().splitlines()[-1:]
            self.broken.append(" ".join([report.nodeid, *last]))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        names = (suite_name(item) for item in session.items)
        self.found = [(name.suite, name.variant) for name in names if name is not None]
