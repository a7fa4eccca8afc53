# SPDX-License-Identifier: GPL-2.0-only
"""--gdb: a person at gdb's prompt, which pexpect plays, whatever host the program is on."""

from __future__ import annotations

import shutil
import sys
from pathlib import Path

import pexpect
import pytest

from lkltest.sandbox.netdev import missing_network
from tests.compiler import compile_program
from tests.fake_build import bundled_build, environment, fake_build
from tests.host.test_emulator import emulated, needs_all
from tests.hosts.qemu.fixtures import require_kernel

GUEST = Path(__file__).parents[1] / "programs" / "guest_hang.c"
SECONDS = 120

pytestmark = pytest.mark.skipif(shutil.which("gdb") is None, reason="gdb is missing")


class Person:
    """Types at gdb's prompt."""

    def __init__(self, *words: str | Path) -> None:
        command = ["-m", "lkltest", *map(str, words)]
        self._child = pexpect.spawn(
            sys.executable, command, env=environment(TERM="dumb"), timeout=SECONDS
        )
        self.expect(r"\(gdb\) ")

    def types(self, *lines: str) -> None:
        for line in lines:
            self._child.sendline(line)

    def interrupts(self) -> None:
        self._child.sendintr()

    def expect(self, pattern: str) -> None:
        self._child.expect(pattern)

    def ends(self) -> int:
        self.types("set confirm off", "quit")
        self._child.expect(pexpect.EOF)
        self._child.close()
        return int(self._child.exitstatus)


def test_a_program_is_run_stopped_and_left() -> None:
    person = Person("exec", "--gdb", compile_program(GUEST), "busy")
    person.types("run")
    person.expect(r"\* 1 hangs")
    person.interrupts()
    person.expect("received signal SIGINT")
    person.types("bt")
    person.expect("spin_for_ever")
    assert person.ends() == 0


@needs_all
def test_a_program_for_another_processor_is_held_stopped_and_left(tmp_path: Path) -> None:
    person = Person("exec", "--gdb", emulated(GUEST, tmp_path / "boot"), "busy")
    person.types("break main", "continue")
    person.expect("Breakpoint 1, main")
    person.types("continue")
    person.expect(r"\* 1 hangs")
    person.interrupts()
    person.expect("received signal SIG(INT|QUIT)")
    person.types("bt")
    person.expect(r" main \(argc=2")
    assert person.ends() == 0


def test_a_suites_program_is_run_by_the_suite(tmp_path: Path) -> None:
    build = fake_build(tmp_path, boot="pass")
    person = Person("run", "--gdb", "boot", "--build", build)
    person.types("break main", "run")
    person.expect("Breakpoint 1, main")
    person.types("set confirm off", "quit")
    person.expect("boot ran under gdb")


def test_a_suites_program_is_in_the_suites_network() -> None:
    if bundled_build() is None:
        pytest.skip("the bundled kernel is not built")
    reason = missing_network(tap=True)
    if reason is not None:
        pytest.skip(reason)
    person = Person("run", "--gdb", "net[tap]", "--host", "native")
    person.types("run")
    person.expect("ok [0-9]+ icmp\r")
    person.types("set confirm off", "quit")
    person.expect("net-test ran under gdb")


def test_a_uml_kernel_runs_on_through_its_ticks_and_faults() -> None:
    if shutil.which("linux.uml") is None:
        pytest.skip("linux.uml is missing: apt-get install user-mode-linux")
    person = Person("exec", "--gdb", "--host", "uml", compile_program(GUEST, "-static"), "exit")
    person.types("run")
    person.expect(r"\* 1 hangs")


def test_a_machine_waits_for_gdb_and_obeys_it() -> None:
    require_kernel()
    person = Person("exec", "--gdb", "--host", "qemu", compile_program(GUEST, "-static"), "asleep")
    person.types("continue")
    person.expect(r"\* 1 hangs")
    person.interrupts()
    person.expect("received signal SIGINT")
    assert person.ends() == 0
