# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.hosts.uml.mconsole: the answer is told from what came of the question."""

from lkltest.hosts.uml.mconsole import is_idle, outline, without_splats

ANSWER = """\
[    3.07] Stack:
[    3.07]  6447c140 6447c550
[    3.07] Call Trace:
[    3.07]  [<60029493>] __switch_to+0x50/0x7f
[    3.07]  [<6007099c>] ? rq_unpin_lock+0x0/0x29
[    3.07]  [<604bc35f>] __schedule+0x55f/0x5c5
[    3.07]  [<604bc48d>] schedule+0xc8/0x115
[    3.07]  [<6036e897>] planted_sleep+0x27/0x29
[    3.07]  [<6028bb4b>] full_proxy_write+0x55/0x7b
"""
SPLAT = """\
[    3.07] =============================
[    3.07] WARNING: suspicious RCU usage
[    3.07] 6.1.192 #2 Not tainted
[    3.07] -----------------------------
[    3.07] kernel/pid.c:415 find_task_by_pid_ns() needs rcu_read_lock() protection!
[    3.07]
[    3.07] other info that might help us debug this:
[    3.07] no locks held by swapper/0.
[    3.07]
[    3.07] stack backtrace:
[    3.07] CPU: 0 PID: 0 Comm: swapper Not tainted 6.1.192 #2
[    3.07] Stack:
[    3.07]  604b16b7 6062ddcc
[    3.07] Call Trace:
[    3.07]  [<604b16b7>] ? _printk+0x0/0x94
[    3.07]  [<60034db4>] mconsole_stack+0x91/0xe1
"""


def test_lockdep_on_the_question_is_no_answer() -> None:
    assert without_splats(SPLAT + SPLAT + ANSWER) == ANSWER
    assert without_splats(f"{SPLAT}[    3.07]\n{SPLAT}{ANSWER}") == f"[    3.07]\n{ANSWER}"
    assert without_splats(ANSWER) == ANSWER
    assert without_splats(SPLAT) == ""


def test_an_outline_begins_where_the_kernel_waits() -> None:
    assert outline(ANSWER) == "planted_sleep\nfull_proxy_write"
    assert outline("[ 3.07] sysrq: Show State") == ""


def test_a_kernel_that_spins_is_not_asked() -> None:
    spins = "lkdtm_LOOP d/bugs.c:1\nhandle_syscall a/syscall.c:3\nuserspace a/process.c:4\n\n..."
    assert not is_idle(spins)


def test_a_kernel_that_waits_is_asked() -> None:
    assert is_idle("um_idle_sleep a/time.c:1\narch_cpu_idle a/process.c:2\ndo_idle k/idle.c:3\n\n")
    assert is_idle("__wait4 wait4.c:30\nuserspace a/process.c:4\nfork_handler a/p.c:5\n\n...")
    assert is_idle("no backtrace: gdb is missing: apt-get install gdb")
    assert is_idle("clone ../sysdeps/unix/sysv/linux/x86_64/clone.S:83\n\n")  # a stripped kernel
    assert is_idle("")
