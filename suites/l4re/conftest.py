# SPDX-License-Identifier: GPL-2.0-only
"""L4Re's own tests are a suite where the build is one of L4Re's trees, and none elsewhere."""

from pathlib import Path

import pytest

from lkltest.plugin.session import session_of


def pytest_ignore_collect(collection_path: Path, config: pytest.Config) -> bool | None:
    del collection_path
    return None if own_tests(config) else True


def pytest_generate_tests(metafunc: pytest.Metafunc) -> None:
    if "own_test" in metafunc.fixturenames:
        metafunc.parametrize("own_test", own_tests(metafunc.config))


def own_tests(config: pytest.Config) -> list[str]:
    """Names of the tests in the builds of the session's hosts; none where nothing is run."""
    hosts = getattr(config.option, "lkl_host", None)
    return session_of(config).programs(hosts, "l4re") if hosts else []
