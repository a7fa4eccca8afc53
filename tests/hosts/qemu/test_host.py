# SPDX-License-Identifier: GPL-2.0-only
"""The QEMU host passes the contract, with programs inside of a Linux guest."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkltest.host.api import Host
from lkltest.hosts.qemu.host import QemuHost
from lkltest.testing import PROGRAM_SOURCE, HostContract
from tests.compiler import compile_program
from tests.hosts.qemu.fixtures import require_kernel


class TestQemu(HostContract):
    stall_seconds = 4.0

    @pytest.fixture
    def host(self) -> Host:
        require_kernel()
        return QemuHost()

    @pytest.fixture
    def program(self) -> Path:
        return compile_program(PROGRAM_SOURCE, "-static")
