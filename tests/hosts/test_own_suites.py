# SPDX-License-Identifier: GPL-2.0-only
"""A folder with a test and a C program beside it, and nothing else: its suite runs on each host."""

from __future__ import annotations

import shutil
from pathlib import Path

import pytest

from tests.fake_build import pytest as run_pytest
from tests.hosts.qemu.fixtures import require_kernel

PROGRAM = """\
#include <stdio.h>
#include <sys/utsname.h>

int main(void)
{
	struct utsname name;

	uname(&name);
	printf("1..1 # mine\\n* 1 runs on %s\\nok 1 runs on %s\\n", name.nodename, name.nodename);
	return 0;
}
"""


@pytest.mark.parametrize("host", ["native", "uml", "qemu"])
def test_a_program_of_a_folders_own_is_compiled_for_the_host(tmp_path: Path, host: str) -> None:
    if host == "uml" and shutil.which("linux.uml") is None:
        pytest.skip("linux.uml is missing: apt-get install user-mode-linux")
    if host == "qemu":
        require_kernel()
    (tmp_path / "mine.c").write_text(PROGRAM)
    (tmp_path / "test_mine.py").write_text('def test_mine(lkl):\n    lkl.run("mine")\n')
    done = run_pytest(f"--lkl-host={host}", "-p", "no:cacheprovider", cwd=tmp_path)
    assert done.returncode == 0, done.stdout
    assert f"mine@{host}" in done.stdout and "1 point: 1 ok" in done.stdout
    assert sorted(path.name for path in tmp_path.iterdir() if "cache" not in path.name) == [
        "mine.c",
        "test_mine.py",
    ]
