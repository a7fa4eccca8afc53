# SPDX-License-Identifier: GPL-2.0-only
"""The uml host passes the contract, each time inside of a real UML kernel."""

from __future__ import annotations

import re
import shutil
import threading
from collections.abc import Iterator
from pathlib import Path

import pytest

from lkltest.deadline import Deadlines
from lkltest.errors import BuildError, LaunchError
from lkltest.host.api import Host, Launch
from lkltest.host.build import NO_KUNIT, Build
from lkltest.host.execution import Execution
from lkltest.hosts.uml import kernel, mconsole
from lkltest.hosts.uml.host import UmlHost
from lkltest.sandbox.scope import Scope
from lkltest.testing import PROGRAM_SOURCE, HostContract
from lkltest.verdict.results import ProblemKind, ProgramResult
from tests.compiler import compile_program

needs_uml = pytest.mark.skipif(
    shutil.which("linux.uml") is None,
    reason="linux.uml is missing: apt-get install user-mode-linux",
)
KERNEL_TROUBLE = r"""
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>
int main(int argc, char **argv)
{
	int log = open("/dev/kmsg", O_WRONLY), trigger = open("/proc/sysrq-trigger", O_WRONLY);

	printf("1..1 # trouble\n* 1 trouble\n");
	fflush(stdout);
	if (!strcmp(argv[1], "panic"))
		return write(trigger, "c", 1);
	if (!strcmp(argv[1], "split")) {
		printf("ok 1 tro");
		fflush(stdout);
		if (write(log, "<4>in the middle\n", 17) < 0)
			return 1;
		usleep(100000);
		printf("uble\n");
		return 0;
	}
	if (!strcmp(argv[1], "cut")) {
		printf("ok 1 tro");
		fflush(stdout);
		if (write(log, "<4>in the middle\n", 17) < 0)
			return 1;
		usleep(100000);
		printf("ok 1 trouble\n");
		return 0;
	}
	if (!strcmp(argv[1], "fake")) {
		/* What /init would say, if it did not know the word. */
		int i, tty = open("/dev/ttyS0", O_WRONLY);

		printf("ok 1 trouble\n");
		fflush(stdout);
		for (i = 1; i < 3; i++)
			if (write(i == 1 ? 1 : tty, " exited 0\nx exited 0\n", 21) < 0)
				return 1;
		return 5;
	}
	return 2;
}
"""


@pytest.fixture
def trouble(tmp_path: Path) -> Path:
    """A program that makes trouble for, or with, the kernel it runs on."""
    source = tmp_path / "trouble.c"
    source.write_text(KERNEL_TROUBLE)
    return compile_program(source, "-static")


@needs_uml
class TestUml(HostContract):
    stall_seconds = 5.0  # a kernel boots within it, also where two tests share the machine

    @pytest.fixture
    def host(self) -> Host:
        return UmlHost()

    @pytest.fixture
    def program(self) -> Path:
        return compile_program(PROGRAM_SOURCE, "-static")

    def test_the_kernel_is_named(self, host: Host, scope: Scope, program: Path) -> None:
        properties = self.run(host, scope, program, "pass").properties
        assert re.match(r"\d+\.\d+", properties["kernel"])
        assert "gcc" in properties["compiler"]

    def test_a_panic_is_known_at_once_with_its_stack(
        self, host: Host, scope: Scope, trouble: Path
    ) -> None:
        result = self.run(host, scope, trouble, "panic", stall=50.0)
        assert result.seconds < 20
        assert result.points[0].name == "trouble"
        panic = next(p for p in result.problems if p.kind is ProblemKind.PANIC)
        assert panic.point == "trouble"
        assert "sysrq" in panic.reason
        assert "Call Trace:" in panic.detail and "write_sysrq_trigger" in panic.detail

    def test_a_line_that_the_kernel_split_is_whole_again(
        self, host: Host, scope: Scope, trouble: Path
    ) -> None:
        result = self.run(host, scope, trouble, "split")
        assert [point.name for point in result.points] == ["trouble"]
        assert result.passed, result.problems
        assert "in the middle" in result.output_tail

    def test_a_line_that_cannot_be_put_back_counts_as_it_is(
        self, host: Host, scope: Scope, trouble: Path
    ) -> None:
        result = self.run(host, scope, trouble, "cut")
        assert [p.kind for p in result.problems] == [ProblemKind.DUPLICATE_NUMBER]

    def test_no_output_fakes_an_exit(self, host: Host, scope: Scope, trouble: Path) -> None:
        result = self.run(host, scope, trouble, "fake")
        assert result.exit.status == 5

    def test_a_hang_has_the_programs_stack(self, host: Host, scope: Scope, program: Path) -> None:
        if shutil.which("uml_mconsole") is None:
            pytest.skip("uml_mconsole is missing")
        result = self.run(host, scope, program, "hang", stall=self.stall_seconds)
        (stall,) = [p for p in result.problems if p.kind is ProblemKind.STALL]
        assert "schedule" in stall.detail and "Call Trace:" in stall.detail
        assert ProblemKind.PANIC not in {p.kind for p in result.problems}

    def test_a_hang_without_the_tool_says_what_is_missing(
        self,
        host: Host,
        scope: Scope,
        program: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        monkeypatch.setattr(mconsole, "_TOOL", "no-such-mconsole")
        result = self.run(host, scope, program, "hang", stall=self.stall_seconds)
        (stall,) = [p for p in result.problems if p.kind is ProblemKind.STALL]
        assert "apt-get install uml-utilities" in stall.detail

    def test_a_kernel_that_does_not_answer_is_seen_by_gdb(
        self,
        host: Host,
        scope: Scope,
        program: Path,
        monkeypatch: pytest.MonkeyPatch,
    ) -> None:
        if shutil.which("gdb") is None or shutil.which("uml_mconsole") is None:
            pytest.skip("gdb or uml_mconsole is missing")
        # The tool waits for an answer of a socket that nobody reads.
        monkeypatch.setattr("lkltest.hosts.uml.host.UMID", "kernel/../nobody")
        result = self.run(host, scope, program, "hang", stall=self.stall_seconds)
        (stall,) = [p for p in result.problems if p.kind is ProblemKind.STALL]
        assert "\n#0 " in stall.detail

    @pytest.fixture
    def without_initrd(self, monkeypatch: pytest.MonkeyPatch) -> Iterator[None]:
        """A kernel whose strings say nothing of `initrd=`."""
        monkeypatch.setattr(kernel, "_INITRD_HELP", b"words that no kernel holds")
        kernel.open_file.cache_clear()
        yield
        kernel.open_file.cache_clear()

    @pytest.mark.usefixtures("without_initrd")
    def test_a_kernel_without_initrd_has_its_root_on_hostfs(
        self, host: Host, scope: Scope, program: Path
    ) -> None:
        result = self.run(host, scope, program, "pass")
        assert result.passed, result.problems

    @pytest.mark.usefixtures("without_initrd")
    def test_without_hostfs_it_is_said_what_to_set(
        self, host: Host, scope: Scope, program: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        monkeypatch.setattr(kernel.UmlKernel, "has_filesystem", lambda *_: False)
        with pytest.raises(LaunchError, match="CONFIG_BLK_DEV_INITRD"):
            host.launch(Launch(program, ("pass",), {}, Deadlines()), scope)

    def test_the_options_reach_the_kernel(self, scope: Scope, program: Path) -> None:
        options = {"lkl_uml_memory": "192M", "lkl_uml_append": ["quiet lkltest_word='a b'"]}
        process = UmlHost(options).launch(Launch(program, ("pass",), {}, Deadlines()), scope)
        process.close()
        assert "mem=192M" in process.command
        assert process.command[-2:] == ("quiet", "lkltest_word=a b")

    def test_two_at_once_in_one_scope(self, host: Host, scope: Scope, program: Path) -> None:
        results: list[ProgramResult] = []
        launches = [
            Execution(host, host.launch(Launch(program, ("pass",), {}, Deadlines()), scope))
            for _ in range(2)
        ]
        threads = [
            threading.Thread(target=lambda one=one: results.append(one.run()))  # type: ignore[misc]
            for one in launches
        ]
        for thread in threads:
            thread.start()
        for thread in threads:
            thread.join(60)
        assert [result.passed for result in results] == [True, True]

    def test_its_files_lie_in_the_run_folder(self, host: Host, scope: Scope, program: Path) -> None:
        result = self.run(host, scope, program, "pass")
        (folder,) = scope.folder.glob("uml-*")
        assert f"tempdir {folder}" in result.output_tail
        assert f"initialized on {folder}/kernel/mconsole" in result.output_tail
        assert [file.name for file in folder.iterdir()] == ["initrd"]

    @pytest.mark.parametrize(
        ("body", "kinds"),
        [
            ("return 3;", {ProblemKind.NO_BOOT, ProblemKind.PANIC}),
            ("for (;;) pause();", {ProblemKind.STALL}),
            ("*(volatile int *)0 = 1;", {ProblemKind.NO_BOOT, ProblemKind.PANIC}),
        ],
        ids=["panicking", "hanging", "crashing"],
    )
    def test_a_first_program_that_fails(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, body: str, kinds: set[ProblemKind]
    ) -> None:
        from lkltest.guest import linux

        source = tmp_path / "init.c"
        source.write_text(f"#include <unistd.h>\nint main(void) {{ {body} return 0; }}\n")
        init = compile_program(source, "-static")
        monkeypatch.setattr(linux, "guest_program", lambda name, machine: init)
        with Scope() as scope:
            result = self.run(UmlHost(), scope, init, "pass", stall=4.0)
        assert not result.passed and kinds <= {problem.kind for problem in result.problems}
        assert result.seconds < 30

    def test_without_a_compiler(
        self, host: Host, monkeypatch: pytest.MonkeyPatch, tmp_path: Path
    ) -> None:
        monkeypatch.setenv("PATH", str(tmp_path))
        assert "apt-get install gcc" in str(host.missing())

    def test_a_dynamic_program_is_one_line(self, host: Host) -> None:
        build = Build(Path("/bin"), "program", {"true": Path("/bin/true")})
        with pytest.raises(LaunchError, match="dynamically linked; a guest runs static"):
            host.program(build, "true")


class TestBuilds:
    @pytest.fixture
    def kernel(self) -> Path:
        found = shutil.which("linux.uml")
        if found is None:
            pytest.skip("linux.uml is missing")
        return Path(found)

    def test_debians_by_default(self, kernel: Path) -> None:
        build = UmlHost().open_build(None)
        assert build.kernel == kernel and build.kind == "uml"
        assert build.kernel_version is not None and build.kernel_version >= (5, 10)
        assert UmlHost().accepts(build)

    def test_one_without_vector_devices_has_no_tap(self, kernel: Path, tmp_path: Path) -> None:
        host = UmlHost()
        assert host.unsupported("net:tap", host.open_build(str(kernel))) is None
        other = tmp_path / "linux"
        other.write_bytes(kernel.read_bytes().replace(b"uml-vector\0", b"uml-nothing"))
        other.chmod(0o755)
        reason = host.unsupported("net:tap", host.open_build(str(other)))
        assert reason is not None and reason.endswith("has no vec0: CONFIG_UML_NET_VECTOR")

    def test_a_directory_that_holds_linux(self, kernel: Path, tmp_path: Path) -> None:
        (tmp_path / "linux").symlink_to(kernel)
        assert UmlHost().open_build(str(tmp_path)).kernel == tmp_path / "linux"

    @pytest.mark.parametrize("filesystem", ["ext4", "btrfs", "vfat", "xfs"])
    def test_its_file_systems(self, kernel: Path, filesystem: str) -> None:
        host = UmlHost()
        assert host.unsupported(f"filesystem:{filesystem}", host.open_build(str(kernel))) is None

    def test_a_file_system_that_it_lacks(self, kernel: Path) -> None:
        host = UmlHost()
        reason = host.unsupported("filesystem:zonefs-of-mars", host.open_build(str(kernel)))
        assert reason is not None and "has no zonefs-of-mars" in reason

    def test_debians_has_no_kunit(self, kernel: Path) -> None:
        host = UmlHost()
        assert host.unsupported("kunit", host.open_build(str(kernel))) == NO_KUNIT

    def test_without_its_modules_it_lacks_what_is_not_built_in(
        self, kernel: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        from lkltest.hosts.uml import kernel as kernel_module

        monkeypatch.setattr(kernel_module, "INSTALLED_MODULES", tmp_path)
        copy = tmp_path / "linux"
        shutil.copy(kernel, copy)
        host = UmlHost()
        build = host.open_build(str(copy))
        assert host.unsupported("filesystem:ext4", build) is None
        assert host.unsupported("filesystem:vfat", build) is not None

    @pytest.mark.parametrize("backend", ["raw", "macvtap", "pipe"])
    def test_back_ends_that_it_lacks(self, kernel: Path, backend: str) -> None:
        host = UmlHost()
        reason = host.unsupported(f"net:{backend}", host.open_build(str(kernel)))
        assert reason is not None and backend in reason
        assert host.unsupported("net:tap", host.open_build(str(kernel))) is None

    @pytest.mark.parametrize(
        ("name", "said"),
        [
            ("/bin/true", "but no UML kernel"),
            ("/etc/passwd", "is a text file"),
            ("/nonexistent/linux", "no such file"),
            ("/etc", "holds no UML kernel called linux"),
        ],
    )
    def test_what_is_no_uml_kernel_is_one_line(self, name: str, said: str) -> None:
        with pytest.raises(BuildError) as caught:
            UmlHost().open_build(name)
        assert said in str(caught.value) and "\n" not in str(caught.value)

    def test_a_kernel_that_is_no_executable(self, kernel: Path, tmp_path: Path) -> None:
        copy = tmp_path / "linux"
        copy.write_bytes(kernel.read_bytes())
        with pytest.raises(BuildError, match="is a UML kernel, but not executable: chmod"):
            UmlHost().open_build(str(copy))

    def test_no_kernel_at_all(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(BuildError, match="apt-get install user-mode-linux"):
            UmlHost().open_build(None)
