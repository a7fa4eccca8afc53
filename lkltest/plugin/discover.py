# SPDX-License-Identifier: GPL-2.0-only
"""The suites and variants that are installed: pytest collects them, nothing is run.

It is a pytest plugin of its own, because lkltest's wants a host and its build to be there.
"""

from __future__ import annotations

import contextlib
import io
from collections.abc import Sequence
from typing import NamedTuple

import pytest

from lkltest.errors import NoSuites
from lkltest.plugin import inner_pytest
from lkltest.plugin.fixtures import disk_image, lkl, network
from lkltest.plugin.item import suite_name
from lkltest.verdict.results import suite_title

__all__ = ["NoSuites", "Variant", "disk_image", "lkl", "network"]


class Variant(NamedTuple):
    """One variant of a suite; "" where it has none; `source` is its file if that was asked for."""

    suite: str
    variant: str
    source: str = ""


def variants(paths: Sequence[str] = ()) -> list[Variant]:
    """Return all that are installed, or those in files and folders. Raises NoSuites."""
    inner_pytest.check_paths(paths)
    collector = _Collector(bool(paths))
    arguments = [*inner_pytest.arguments(paths, plugin=__name__), "-p", "no:terminal"]
    arguments.append("--collect-only")
    with contextlib.redirect_stdout(io.StringIO()), contextlib.redirect_stderr(io.StringIO()):
        status = pytest.main(arguments, plugins=[collector])
    if collector.broken:
        raise NoSuites(f"suites that cannot be collected: {'; '.join(collector.broken)}")
    if not collector.found:
        where = f" in {', '.join(paths)}" if paths else ""
        raise NoSuites(f"no suites were found{where} (pytest ended with status {int(status)})")
    return list(dict.fromkeys(collector.found))


def chosen(paths: Sequence[str], names: Sequence[str]) -> list[str]:
    """The titles of the variants that `names` choose; all where there are none.

    Raises NoSuites, for a name that chooses nothing, too.
    """
    titles = [suite_title(one.suite, one.variant) for one in variants(paths)]
    for name in names:
        if name not in {word for title in titles for word in (title, title.partition("[")[0])}:
            raise NoSuites(inner_pytest.unknown_suite(name, titles))
    return [one for one in titles if not names or {one, one.partition("[")[0]} & {*names}]


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    """Whatever host will run them."""
    if "lkl_host" in metafunc.fixturenames:
        metafunc.parametrize("lkl_host", ["any"], scope="session")


class _Collector:
    def __init__(self, sources: bool) -> None:
        self._sources = sources
        self.found: list[Variant] = []
        self.broken: list[str] = []

    def pytest_collectreport(self, report: pytest.CollectReport) -> None:
        if report.failed:
            last = report.longreprtext.strip().splitlines()[-1:]
            self.broken.append(" ".join([report.nodeid, *last]))

    def pytest_collection_finish(self, session: pytest.Session) -> None:
        for item in session.items:
            name = suite_name(item)
            if name is not None:
                source = str(item.path) if self._sources else ""
                self.found.append(Variant(name.suite, name.variant, source))
