# SPDX-License-Identifier: GPL-2.0-only
"""A Linux guest that hangs: who, and in which functions of the kernel, by its own word."""

from __future__ import annotations

from pathlib import Path

import pytest

from lkltest.hosts.qemu import sysrq
from tests.compiler import compile_program
from tests.hosts.qemu.fixtures import lkltest, require_kernel

SOURCE = Path(__file__).parents[2] / "programs" / "guest_hang.c"

INTERRUPT = """\
CPU: 0 PID: {pid} Comm: {name} Not tainted 6.1.0 #1
Call Trace:
<IRQ>
dump_stack_lvl+0x44/0x5c
serial8250_interrupt+0x62/0x100
</IRQ>
<TASK>
asm_common_interrupt+0x22/0x40
{frames}
</TASK>
"""
IDLE = INTERRUPT.format(
    pid=0, name="swapper/0", frames="RIP: 0010:native_safe_halt+0xb/0x10\ndo_idle+0x206/0x2b0"
)
BUSY = INTERRUPT.format(
    pid=78,
    name="disk",
    frames="RIP: 0010:spin+0xb/0x10\n? maybe+0x1/0x2\nouter+0x1/0x2\nRIP: 0033:0x401703",
)
TASKS = """\
sysrq: Show State
task:init            state:S stack:0     pid:1     ppid:0      flags:0x00000002
Call Trace:
do_wait+0x114/0x320
task:kworker/0:1     state:{worker} stack:0     pid:17    ppid:2      flags:0x00004000
Call Trace:
worker_thread+0xaf/0x380
task:disk            state:{disk} stack:0     pid:78    ppid:1      flags:0x00000002
Call Trace:
? maybe+0x1/0x2
__do_sys_pause+0x24/0x50
entry_SYSCALL_64_after_hwframe+0x6e/0xd8
RIP: 0033:0x430160
"""


def test_a_blocked_process_comes_first() -> None:
    lines = sysrq.culprits(TASKS.format(worker="D", disk="D"), BUSY, "")
    assert lines[:2] == [
        "asked by sysrq, the kernel says: 3 blocked tasks",
        "disk, pid 78, state D:",
    ]
    assert lines[2:4] == ["    __do_sys_pause+0x24/0x50", "    the program at 0x430160"]
    assert lines[4] == "CPU 0, busy in disk, pid 78:"


def test_what_a_busy_processor_was_asked_in_is_no_part_of_it() -> None:
    (busy,) = sysrq.processors_in(BUSY)
    assert busy.frames == ("spin+0xb/0x10", "outer+0x1/0x2", "the program at 0x401703")
    assert sysrq.processors_in(IDLE) == []
    (newer,) = sysrq.processors_in(BUSY.replace("CPU: 0 PID", "CPU: 0 UID: 1000 PID"))  # 6.11
    assert newer == busy


def test_what_an_arm_processor_is_busy_with() -> None:
    busy = """\
CPU: 0 PID: 78 Comm: disk Not tainted 6.1.0 #1
pc : {}
lr : 0000000000400784
Call trace:
 {}
 el0t_64_sync_handler+0xf4/0x120
"""
    (program,) = sysrq.processors_in(busy.format("00000000004006dc", "do_el0_svc+0x2c/0x9c"))
    assert program.frames == ("the program at 0x4006dc",)
    (kernel,) = sysrq.processors_in(busy.format("add_all+0x1/0x2", "add_all+0x1/0x2"))
    assert kernel.frames == ("add_all+0x1/0x2",)


def test_where_nothing_is_blocked_or_busy_the_youngest_process_waits() -> None:
    lines = sysrq.culprits("sysrq: Show Blocked State", IDLE, TASKS.format(worker="I", disk="S"))
    assert lines[:2] == [
        "asked by sysrq, the kernel says: 0 blocked tasks",
        "disk, pid 78, state S:",
    ]


def test_stamps_and_columns_of_a_kernel_are_taken_off() -> None:
    said = "[    1.25] sysrq: Show State\r\n<6>[    1.250000][    T1]  do_wait+0x1/0x2\r\n"
    assert sysrq.unstamped(said) == "sysrq: Show State\ndo_wait+0x1/0x2"


@pytest.mark.parametrize(
    ("how", "who", "where"),
    [
        ("blocked", "guest_hang-", "kernel_clone"),
        ("asleep", "guest_hang-", "pause"),
        ("busy", "CPU 0, busy in guest_hang-", "spin_for_ever"),
    ],
)
def test_a_guest_that_hangs_shows_the_functions(how: str, who: str, where: str) -> None:
    require_kernel()
    program = compile_program(SOURCE, "-static")
    done = lkltest("exec", "--host", "qemu", "--timeout", "60", program, how)
    assert done.returncode == 1
    (stall,) = [line for line in done.stderr.splitlines() if "was silent for too long" in line]
    assert stall.endswith("(at hangs)")
    shown = done.stderr[done.stderr.index(stall) :].splitlines()[1:13]  # as `lkltest run` does
    assert "asked by sysrq" in shown[0]
    assert who in shown[1]
    assert any(where in line for line in shown), shown
