# SPDX-License-Identifier: GPL-2.0-only
"""The host keeps the contract that lkltest's own keep."""

import subprocess
from pathlib import Path

import pytest
from chroot_host import ChrootHost

from lkltest import Host, Launch, LaunchError, Scope
from lkltest.testing import PROGRAM_SOURCE, HostContract


class TestChroot(HostContract):
    @pytest.fixture
    def host(self, tmp_path: Path) -> Host:
        host = ChrootHost({"lkl_chroot_root": str(tmp_path)})
        if missing := host.missing():
            pytest.skip(str(missing))
        return host

    @pytest.fixture
    def program(self, tmp_path: Path) -> Path:
        program = tmp_path / "contract"
        subprocess.run(["gcc", "-static", "-o", program, PROGRAM_SOURCE], check=True)  # noqa: S607
        return program

    def test_a_program_elsewhere_is_told(self, host: Host, scope: Scope) -> None:
        with pytest.raises(LaunchError, match="is not below"):
            host.launch(Launch(Path("/bin/true")), scope)
