# SPDX-License-Identifier: GPL-2.0-only
"""The native host passes the contract."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pytest

from lkltest.deadline import Deadlines
from lkltest.errors import LaunchError
from lkltest.host.api import Host, Launch
from lkltest.host.build import NO_KUNIT, Build
from lkltest.host.execution import Execution
from lkltest.hosts.native import NativeHost
from lkltest.sandbox.scope import Scope
from lkltest.testing import PROGRAM_SOURCE, HostContract
from lkltest.verdict.results import ProblemKind
from tests.compiler import compile_program


class TestNative(HostContract):
    @pytest.fixture
    def host(self) -> Host:
        return NativeHost()

    @pytest.fixture
    def program(self) -> Path:
        return compile_program(PROGRAM_SOURCE)

    def test_a_stall_has_a_backtrace_of_every_thread(
        self, host: Host, scope: Scope, program: Path
    ) -> None:
        if shutil.which("gdb") is None:
            pytest.skip("gdb is missing")
        result = self.run(host, scope, program, "hang", stall=1.0)
        (stall,) = [problem for problem in result.problems if problem.kind is ProblemKind.STALL]
        assert "in hang ()" in stall.detail
        assert "main (argc=2" in stall.detail

    def test_the_total_deadline_ends_a_flood(self, host: Host, scope: Scope, program: Path) -> None:
        launch = Launch(program, ("flood", "100000"), {}, Deadlines(1.0, 60, 60, 60))
        result = Execution(host, host.launch(launch, scope)).run()
        assert ProblemKind.DEADLINE in {problem.kind for problem in result.problems}

    def test_100_mb_are_read_with_bounded_memory(
        self, host: Host, scope: Scope, program: Path
    ) -> None:
        result = self.run(host, scope, program, "flood", "100")
        assert result.passed
        assert len(result.output_tail) < 1 << 20

    def test_another_machine_is_named(self, host: Host, scope: Scope, tmp_path: Path) -> None:
        foreign = tmp_path / "boot"
        header = bytearray(Path("/bin/true").read_bytes()[:4096])
        header[18:20] = (20).to_bytes(2, "little")
        foreign.write_bytes(header)
        foreign.chmod(0o755)
        with pytest.raises(LaunchError, match="powerpc"):
            host.launch(Launch(foreign), scope)

    def test_a_program_that_may_not_be_executed_is_named(
        self, host: Host, scope: Scope, tmp_path: Path
    ) -> None:
        copy = tmp_path / "boot"
        copy.write_bytes(Path("/bin/true").read_bytes())
        copy.chmod(0o644)
        with pytest.raises(LaunchError, match=r"not executable: chmod \+x"):
            host.launch(Launch(copy), scope)

    def test_a_kernel_without_the_file_system_is_a_skip(self, host: Host, tmp_path: Path) -> None:
        kernel = tmp_path / "disk"
        kernel.write_bytes(b"ELF Linux version 6.1.0 (x) EXT4-fs: mounted SGI XFS with")
        build = Build(tmp_path, "tools/lkl", {"disk": kernel})
        assert host.unsupported("filesystem:ext4", build) is None
        assert host.unsupported("filesystem:xfs", build) is None
        assert "no btrfs" in (host.unsupported("filesystem:btrfs", build) or "")

    def test_a_kernel_without_kunit_is_a_skip_without_a_boot(
        self, host: Host, tmp_path: Path
    ) -> None:
        for text, reason in ((b"", NO_KUNIT), (b"# Subtest: %s\n", None)):
            kernel = tmp_path / f"boot{len(text)}"
            kernel.write_bytes(b"ELF Linux version 6.1.0 (x) " + text)
            build = Build(tmp_path, "tools/lkl", {"boot": kernel})
            assert host.unsupported("kunit", build) == reason


def test_what_is_booted_is_no_program(tmp_path: Path) -> None:
    """Asked for a single file, it leaves images to hosts that boot them."""
    program = Path(sys.executable).resolve().read_bytes()
    header = program[:64].ljust(4096, b"\0")  # of a file without program headers
    header = header[:54] + b"\0\0\0\0" + header[58:]
    cases = {
        "linux": (program, 0o755, True),
        "forgotten": (program, 0o644, True),
        "static": (header, 0o755, True),
        "plain": (header, 0o644, False),
        "multiboot": (header + b"\x02\xb0\xad\x1b", 0o755, False),
    }
    for name, (content, mode, accepted) in cases.items():
        file = tmp_path / name
        file.write_bytes(content)
        file.chmod(mode)
        build = Build(tmp_path, "program", {name: file})
        assert NativeHost().accepts(build) is accepted, name
