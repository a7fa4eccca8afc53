# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.host.wrapper: commands in front of programs, and what memcheck says of them."""

import re
import shlex
import shutil
import sys
from pathlib import Path

import pytest

from lkltest.guest.programs import guest_program
from lkltest.host.wrapper import Wrapper
from tests.compiler import compile_program
from tests.fake_build import fake_build, lkltest

REPORT = """<?xml version="1.0"?><valgrindoutput>
<error><kind>InvalidRead</kind><what>Invalid read of size 4</what><stack>
<frame><fn>memcpy</fn></frame><frame><fn>copy</fn><file>a.c</file><line>7</line></frame></stack>
<auxwhat>0 bytes after a block of size 16 alloc'd</auxwhat>
<stack><frame><fn>malloc</fn></frame></stack></error>
<error><kind>Leak_DefinitelyLost</kind><xwhat><text>8 bytes lost</text></xwhat><stack>
<frame><fn>malloc</fn></frame></stack></error>"""
LEAK = """
#include <stdio.h>
#include <stdlib.h>
int main(void) { puts("1..1 # leak\\nok 1 leaks"); return !malloc(77); }
"""


def test_a_report_that_was_cut_short_is_read_as_far_as_it_goes(tmp_path: Path) -> None:
    (tmp_path / "memcheck-1.xml").write_text(REPORT)
    points = Wrapper(reports=tmp_path).points()
    assert [(point.name, point.reason) for point in points] == [
        ("memcheck: InvalidRead in copy", "Invalid read of size 4"),
        ("memcheck: Leak_DefinitelyLost in malloc", "8 bytes lost"),
    ]
    assert points[0].log.splitlines() == [
        *("at memcpy", "at copy (a.c:7)"),
        *("0 bytes after a block of size 16 alloc'd:", "at malloc"),
    ]


@pytest.mark.skipif(shutil.which("valgrind") is None, reason="valgrind is missing")
def test_memchecks_errors_are_points(tmp_path: Path) -> None:
    (tmp_path / "leak.c").write_text(LEAK)
    build = fake_build(tmp_path / "lkl", boot="pass")
    shutil.copy(compile_program(tmp_path / "leak.c"), build / "tests" / "leak")
    done = lkltest("exec", "--valgrind", str(build / "tests" / "leak"))
    assert done.returncode == 1
    assert "not ok memcheck: Leak_DefinitelyLost in main 77 bytes" in done.stderr
    done = lkltest("run", "boot", "--valgrind", f"--build={build}")
    assert "3 points: 3 ok" in done.stdout, done.stdout


def test_a_wrapper_runs_the_program(tmp_path: Path) -> None:
    build = fake_build(tmp_path / "lkl", boot="pass")
    script = "import os, sys; print('wrapped'); os.execv(sys.argv[1], sys.argv[1:])"
    wrapper = shlex.join([sys.executable, "-u", "-c", script])
    done = lkltest("exec", "--wrapper", wrapper, str(build / "tests" / "boot"))
    assert done.returncode == 0, done.stderr
    assert done.stdout.startswith("wrapped\n")
    done = lkltest("run", "boot", "--wrapper=no-such-program", f"--build={build}")
    assert "launch: no-such-program is missing" in done.stdout
    assert "--wrapper no-such-program" in done.stdout.partition("reproduce: ")[2]


@pytest.mark.parametrize(
    ("body", "shown"),
    [
        ("os.execv(sys.argv[1], sys.argv[1:])", "signal: killed by SIGSEGV in "),
        (
            "import signal, subprocess; subprocess.run(sys.argv[1:]); "
            "os.kill(os.getpid(), signal.SIGSEGV)",
            "no backtrace: ",
        ),
    ],
)
def test_the_stack_is_the_programs_or_none(tmp_path: Path, body: str, shown: str) -> None:
    build = fake_build(tmp_path / "lkl", boot="segfault")
    wrapper = shlex.join([sys.executable, "-c", f"import os, sys; {body}"])
    done = lkltest("exec", "--wrapper", wrapper, str(build / "tests" / "boot"))
    assert done.returncode == 1
    assert shown in done.stderr
    assert "execute" not in done.stderr and "PyEval" not in done.stderr, "the wrapper's own"


def test_a_host_without_is_one_line(tmp_path: Path) -> None:
    done = lkltest("run", "boot", "--host=uml", "--valgrind")
    assert done.returncode in (0, 2)
    if done.returncode:
        assert done.stderr == "lkltest: host uml: --valgrind cannot be had; native has it\n"


def test_nothing_is_interpreted(tmp_path: Path) -> None:
    script = tmp_path / "x.sh"
    script.write_text("#!/bin/sh\necho not ok 1; exit 7\n")
    script.chmod(0o755)
    done = lkltest("exec", "--pass-through", str(script))
    assert (done.returncode, done.stdout, done.stderr) == (7, "not ok 1\n", "")


def test_a_hosts_machine_is_left_to_itself() -> None:
    if shutil.which("linux.uml") is None:
        pytest.skip("linux.uml is missing: apt-get install user-mode-linux")
    program = guest_program("boot")
    done = lkltest("exec", "--pass-through", "--host", "uml", str(program))
    assert done.returncode == 0
    assert re.search("reboot: (System halted|Power down)", done.stdout) and "ok 1 " in done.stdout
