# SPDX-License-Identifier: GPL-2.0-only
"""The fixtures that suites ask for. All clean up after themselves, also after a failed set-up."""

from __future__ import annotations

import contextlib
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING

import pytest

from lkltest.errors import LaunchError
from lkltest.host.error_boundary import missing_of
from lkltest.plugin.inner_pytest import is_ours
from lkltest.plugin.item import record_key, suite_name
from lkltest.plugin.session import session_of
from lkltest.plugin.suite_run import SuiteRun
from lkltest.report.terminal import SUITE_FILE

if TYPE_CHECKING:
    from lkltest.host.disk import Disk
    from lkltest.sandbox.netdev import Network


@pytest.fixture
def lkl(
    request: pytest.FixtureRequest, lkl_host: str, subtests: pytest.Subtests
) -> Iterator[SuiteRun]:
    """The host under test, ready to run programs: `lkl.run("boot")`."""
    session = session_of(request.config)
    host = session.host(lkl_host)
    missing = missing_of(host)
    if missing is not None:
        pytest.skip(str(missing))
    dry_run = request.config.option.lkl_dry_run
    failure = ""
    try:
        if not dry_run:
            session.enter(host)
    except LaunchError as error:
        failure = str(error)
    if failure:  # pytest would tell an exception that is raised for another one with both
        pytest.fail(failure, pytrace=False)
    build = session.build(lkl_host)
    sources = None if is_ours(request.path) else request.path.parent
    with SuiteRun(
        host,
        build,
        session.deadlines,
        subtests,
        may_lose=not request.node.stash[record_key].tried_again,
        dry_run=dry_run,
        gdb=request.config.option.lkl_gdb,
        environment=_gcov(request),
        sources=sources,
    ) as run:
        if sources is not None:
            run.properties[SUITE_FILE] = str(request.path)
        request.node.stash[record_key].run = run
        yield run


def _gcov(request: pytest.FixtureRequest) -> dict[str, str]:
    """The environment that sends a suite's coverage data into a folder of its own, if wanted."""
    folder = request.config.option.lkl_coverage
    if not folder:
        return {}
    from lkltest.report.coverage import data_folder

    return {"GCOV_PREFIX": str(data_folder(Path(folder).absolute(), str(suite_name(request.node))))}


@pytest.fixture
def disk_image(lkl: SuiteRun) -> Iterator[Callable[[str], Disk]]:
    """A function that makes a disk image of the named file system for the kernel under test."""
    from lkltest.host import disk

    with contextlib.ExitStack() as stack:

        def make(filesystem: str) -> Disk:
            lkl.require("disk", f"filesystem:{filesystem}")
            version = lkl.build.kernel_version
            return stack.enter_context(disk.disk_image(filesystem, lkl.scope, version))

        yield make


@pytest.fixture
def network(lkl: SuiteRun) -> Network:
    """A network namespace of the run's own; devices are made in it with pyroute2."""
    return lkl.network()
