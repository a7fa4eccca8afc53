# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.host.emulated_debugger: programs for another processor that die or hang have stacks."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from lkltest.host.emulator import gdb_for
from tests.fake_build import lkltest
from tests.host.test_emulator import aarch64_program, emulated, needs_all

needs_emulator = pytest.mark.skipif(
    not (shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static")),
    reason="qemu-aarch64 is missing: apt-get install qemu-user",
)
DYING = """
#include <stdio.h>
#include <unistd.h>
static char log_buf[99] = "[    0.1] the kernel said this";
__attribute__((noinline)) void kernel(int how, volatile int *where)
{
	for (;;) {
		if (how == 'c')
			*where = 1;
		if (how == 'w')
			pause();
		__asm__ volatile("");
	}
}
__attribute__((noinline)) void call(int how) { kernel(how, 0); __asm__ volatile(""); }
int main(int argc, char **argv)
{
	puts("1..2 # dying\\n* 1 first\\nok 1 first\\n* 2 second");
	fflush(stdout);
	call(argc > 1 ? argv[1][0] : 0);
	return log_buf[0];
}
"""


@pytest.fixture(scope="module")
def dying(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("dying")
    (folder / "test.c").write_text(DYING)
    return emulated(folder / "test.c", folder / "dying")


@needs_all
@pytest.mark.parametrize(
    ("how", "end"),
    [("crash", "signal: killed by SIGSEGV in kernel"), ("wait", "stall"), ("spin", "stall")],
)
def test_a_death_or_a_hang_has_a_stack_with_names(dying: Path, how: str, end: str) -> None:
    limit = ("--timeout=6",) if end == "stall" else ()
    done = lkltest("exec", *limit, str(dying), how)
    assert done.returncode == 1
    assert end in done.stderr
    assert f"kernel {dying.with_name('test.c')}:" in done.stderr, "the outline"
    assert "in call (how=" in done.stderr, "the stack"
    assert "the kernel said this" in done.stdout, "what was held back"
    assert "woke up" not in done.stderr, "the signal that we sent ended nothing"


@needs_emulator
def test_a_program_that_is_watched_ends_by_itself(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """The emulator's stub waits for us when the program has ended; no gdb is run for that."""
    never = tmp_path / "gdb-multiarch"
    never.write_text("#!/bin/sh\nexit 1\n")
    never.chmod(0o755)
    monkeypatch.setenv("PATH", str(tmp_path), prepend=":")
    done = lkltest("exec", str(aarch64_program(tmp_path / "boot")))
    assert done.returncode == 0, done.stderr


@needs_emulator
def test_a_gdb_that_is_missing_is_named(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    emulator = shutil.which("qemu-aarch64") or shutil.which("qemu-aarch64-static") or ""
    (tmp_path / Path(emulator).name).symlink_to(emulator)
    for name in ("env", "sh", "unshare", "python3"):
        (tmp_path / name).symlink_to(shutil.which(name) or "")
    monkeypatch.setenv("PATH", str(tmp_path))
    gdb_for.cache_clear()
    program = str(aarch64_program(tmp_path / "boot"))
    done = lkltest("exec", "--gdb", program)
    assert done.returncode == 2
    assert done.stderr == "lkltest: no gdb for aarch64: apt-get install gdb-multiarch\n"
    assert lkltest("exec", program).returncode == 0
