# SPDX-License-Identifier: GPL-2.0-only
"""Every form of report that the table has, and logs of kernels that were broken on purpose."""

from pathlib import Path

import pytest

from lkltest.verdict.kernel_log import find_reports
from lkltest.verdict.results import ProblemKind
from lkltest.verdict.signatures import TABLE

UML = Path(__file__).resolve().parents[3] / "shared" / "console" / "uml"
K = ProblemKind

PLANTED = {
    "bug": ["kernel BUG in lkltest_bug"],
    "lockdep": ["possible deadlock in lkltest_bug"],
    "panic": ["kernel panic: planted by lkltest_bug"],
    "slub-double-free": [
        "BUG: Object already free",
        "BUG: Wrong object count. Counter is NUM but counted were NUM",
        "BUG: Object already free",
    ],
    "slub-redzone": ["BUG: Right Redzone overwritten"] * 2,
    "warn": ["WARNING in sys_getdents64"] * 2,
}


@pytest.mark.parametrize("name", PLANTED)
def test_kernels_that_were_broken_on_purpose(name: str) -> None:
    file = UML / f"{name}.log"
    if not file.exists():
        pytest.skip(f"{file} is not here")
    reports = find_reports(file.read_bytes())
    assert [report.title for report in reports] == PLANTED[name]
    assert [report.fatal for report in reports] == [name in ("bug", "panic")] * len(reports)
    assert all(report.detail.count("\n") > 10 for report in reports)


TRACE = """CPU: 0 PID: 1 Comm: boot Not tainted 6.1.0 #1
Call Trace:
 ? dump_stack_print_info+0x0/0xe0
 dump_stack_lvl+0x34/0x45
 __warn+0x1/0x2
 guilty+0x12/0x34
 caller+0x1/0x2
---[ end trace 0000000000000000 ]---
"""
DEATH = "RIP: 0010:guilty+0x12/0x34\n" + TRACE


@pytest.mark.parametrize(
    ("line", "kind", "title"),
    [
        ("divide error: 0000 [#1] PREEMPT SMP PTI", K.OOPS, "divide error in guilty"),
        ("invalid opcode: 0000 [#1] SMP", K.OOPS, "invalid opcode in guilty"),
        ("Oops: divide error: 0000 [#1] SMP", K.OOPS, "divide error in guilty"),
        ("stack segment: 0000 [#1] SMP", K.OOPS, "stack segment fault in guilty"),
        (
            "general protection fault, maybe for address 0x1: 0000 [#1]",
            K.OOPS,
            "general protection fault in guilty",
        ),
        ("traps: PANIC: double fault, error_code: 0x0", K.PANIC, "PANIC: double fault in guilty"),
        ("Internal error: Oops: 96000004 [#1] SMP", K.OOPS, "Internal error in guilty"),
        ("Internal error: Oops - BUG: 0 [#1] SMP ARM", K.OOPS, "Internal error in guilty"),
        ("WARNING: CPU: 0 PMD: 1 at kernel/x.c:1 guilty+0x1/0x2", K.WARNING, "WARNING in guilty"),
        ("Unhandled fault: imprecise abort (0x406) at 0x1", K.OOPS, "Unhandled fault in guilty"),
        (
            "Unable to handle kernel paging request at virtual address dead",
            K.OOPS,
            "BUG: unable to handle kernel paging request in guilty",
        ),
        (
            "BUG: kernel NULL pointer dereference, address: 0000000000000008",
            K.BUG,
            "BUG: unable to handle kernel NULL pointer dereference in guilty",
        ),
        ("kernel BUG at fs/ext4/inode.c:2721!", K.BUG, "kernel BUG in guilty"),
        (
            "watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [a:1]",
            K.BUG,
            "BUG: soft lockup in guilty",
        ),
        ("NMI watchdog: Watchdog detected hard LOCKUP on cpu 0", K.BUG, "hard LOCKUP in guilty"),
        (
            "rcu: INFO: rcu_sched self-detected stall on CPU",
            K.BUG,
            "INFO: rcu detected stall in guilty",
        ),
        (
            "INFO: task a:1 blocked for more than 122 seconds.",
            K.BUG,
            "INFO: task hung in guilty",
        ),
        (
            "INFO: trying to register non-static key.",
            K.BUG,
            "INFO: trying to register non-static key in guilty",
        ),
        (
            "[ INFO: possible circular locking dependency detected ]",
            K.WARNING,
            "possible deadlock in guilty",
        ),
        (
            "[ INFO: possible recursive locking detected ]",
            K.WARNING,
            "possible deadlock in guilty",
        ),
        ("WARNING: suspicious RCU usage", K.WARNING, "WARNING: suspicious RCU usage in guilty"),
        (
            "WARNING: bad unlock balance detected!",
            K.WARNING,
            "WARNING: bad unlock balance in guilty",
        ),
        ("WARNING: inconsistent lock state", K.WARNING, "inconsistent lock state in guilty"),
        (
            "WARNING: CPU: 0 PID: 178 at kernel/sys.c:1876 here+0x1/0x2",
            K.WARNING,
            "WARNING in here",
        ),
        ("WARNING: CPU:[   99.250000][    T1] eth0: link becomes ready", K.WARNING, "WARNING"),
        ("WARNING: CPU: 0 PID: 1 4t kernel/x.c:1 f+0x1/0x2", K.WARNING, "WARNING"),
        ("WARNING: [   99.250000] eth0: link becomes ready", K.WARNING, "WARNING"),
        (
            "WARNING: kernel/sys.c:1876 at here+0x1/0x2, CPU#0: a/1",
            K.WARNING,
            "WARNING in here",
        ),
        (
            "a: page allocation failure: order:4, mode:0x1",
            K.WARNING,
            "page allocation failure in guilty",
        ),
        (
            "BUG kmalloc-32 (Tainted: G W): Poison overwritten",
            K.BUG,
            "BUG: Poison overwritten",
        ),
        ("Kernel bug detected[#1]:", K.OOPS, "kernel bug detected in guilty"),
        ("Kernel bad sw trap 5 [#1]", K.OOPS, "kernel bad sw trap NUM in guilty"),
        (
            "Kernel Fault: Code=15 (Data TLB miss fault) at addr 00000010",
            K.OOPS,
            "Kernel Fault: Data TLB miss fault in guilty",
        ),
        (
            "Unable to handle kernel pointer dereference in virtual kernel address space",
            K.OOPS,
            "BUG: unable to handle kernel pointer dereference in guilty",
        ),
        ("CFI failure at guilty+0x1/0x2 (target: x+0x0/0x1)", K.BUG, "CFI failure in guilty"),
        ("Slab corruption (Not tainted): kmalloc-32", K.BUG, "slab corruption in guilty"),
        (
            "smp: csd: Detected non-responsive CSD lock (#1) on CPU#1",
            K.BUG,
            "non-responsive CSD lock in guilty",
        ),
        (
            "BUG: KFENCE: use-after-free read in guilty+0x1/0x2",
            K.SANITIZER,
            "KFENCE: use-after-free read in guilty",
        ),
        (
            "UBSAN: array-index-out-of-bounds in drivers/x.c:1:2",
            K.SANITIZER,
            "UBSAN: array-index-out-of-bounds in guilty",
        ),
    ],
)
def test_a_report_has_a_title_and_its_trace(line: str, kind: ProblemKind, title: str) -> None:
    log = f"fine\n{line}\n{DEATH}fine again\n".encode()
    (report,) = find_reports(log)
    assert (report.kind, report.title) == (kind, title)
    assert not report.fatal
    assert report.detail.startswith(line)
    if "=" not in line and kind is not K.SANITIZER and not line.startswith("BUG kmalloc"):
        assert report.detail.endswith("---[ end trace 0000000000000000 ]---")


@pytest.mark.parametrize(
    ("line", "title"),
    [
        (
            "EXT4-fs error (device vda): ext4_lookup:1706: inode #2: comm a: bad",
            "EXT4-fs error in ext4_lookup",
        ),
        ("XFS (vda): Metadata corruption detected at f+0x1/0x2, inode 0x1", None),
        ("BTRFS critical (device vda): corrupt leaf", None),
        ("BTRFS error (device vda): bad tree block start", None),
        ("BTRFS: error (device vda) in btrfs_commit_transaction:2258: errno=-5 IO failure", None),
        ("BTRFS warning (device vda): csum failed root 5 ino 257", "BTRFS: checksum error"),
        (
            "SQUASHFS error: zlib decompression failed, data probably corrupt",
            "SQUASHFS error: zlib decompression failed, data probably corrupt",
        ),
        ("UBIFS error (ubi0:0 pid 1): ubifs_read_node: bad", "UBIFS error: ubifs_read_node"),
        ("F2FS-fs (vda): inconsistent node block", "F2FS: inconsistent node block"),
        ("exFAT-fs (vda): error, bad", "exFAT-fs error: bad"),
        ("sd 0:0:0:0: [sda] tag#0 Sense Key : Medium Error [current]", "I/O error on sda"),
        ("Disabling IRQ #17", "irq NUM: nobody cared"),
        (
            "virtio_net virtio0 eth0: NETDEV WATCHDOG: CPU: 0: transmit queue 0 timed out 5 ms",
            "NETDEV WATCHDOG: transmit queue timed out",
        ),
        ("kmem_cache_destroy a: Slab cache still has objects when called from f", None),
        (
            "FAT-fs (vda): error, fat_get_cluster: invalid start",
            "FAT-fs error: fat_get_cluster: invalid start",
        ),
        ("blk_update_request: I/O error, dev vda, sector 8", "I/O error on vda"),
        ("Buffer I/O error on dev vda, logical block 1", "I/O error on vda"),
        (
            "kmemleak: 3 new suspected memory leaks (see /sys)",
            "kmemleak: new suspected memory leaks",
        ),
        ("Out of memory: Killed process 12 (a) total-vm:1kB", "out of memory: killed a"),
        ("Memory cgroup out of memory: Killed process 12 (a)", "out of memory: killed a"),
    ],
)
def test_a_line_is_the_whole_report(line: str, title: str | None) -> None:
    (report,) = find_reports(f"[    1.5] {line}\nfine\n".encode())
    assert report.kind is K.BUG
    assert report.detail.endswith(line)
    if title is not None:
        assert report.title == title


@pytest.mark.parametrize(
    "line",
    [
        "Speculative Return Stack Overflow: WARNING: See https://kernel.org/doc/x",
        "Spectre V2 : WARNING: Unprivileged eBPF is enabled with eIBRS on",
        "XFS (vda): WARNING: Reset corrupted AGFL on AG 0. 1 blocks leaked.",
        "WARNING: failed to open /dev/btrfs-control, skipping device registration",
        "WARNING: Cannot find a netserver executable",
        "EXT4-fs (vda): mounted filesystem, errors=remount-ro",
        "traps: a[1] general protection fault ip:7f sp:20 error:0 in a[7f+84]",
        "INFO: this is what a user program says",
        "mmcblk0rpmb: I/O error, dev mmcblk0rpmb, sector 0",
        "BTRFS info (device vda): last unmount",
        "note [#tag]",
        "SQUASHFS error: Can't find a SQUASHFS superblock on sda",
        "BTRFS warning (device vda): 'norecovery' is for compatibility only",
        "blk_update_request: critical target error, dev sda, sector 8 op 0x3:(DISCARD)",
        "WARNING: parser.c:12 variable is not used",
        "WARNING: file.c:12 at noon, says a user",
    ],
)
def test_what_boots_and_user_programs_say_is_no_trouble(line: str) -> None:
    assert find_reports(f"[    1.5] {line}\n".encode()) == []


@pytest.mark.parametrize(
    "first",
    [
        "BUG: unable to handle page fault for address: dead\nOops: 0002 [#1] SMP\n" + DEATH,
        "kernel BUG at a.c:1!\ninvalid opcode: 0000 [#1] SMP\n" + DEATH,
        "WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\n",
        "BUG: KASAN: use-after-free in f+0x1/0x2\nRead of size 4\n" + "=" * 60 + "\n",
    ],
)
def test_one_event_is_one_finding(first: str) -> None:
    panic = "Kernel panic - not syncing: Fatal exception\nKernel Offset: disabled\n"
    last = "---[ end Kernel panic - not syncing: Fatal exception ]---"
    (report,) = find_reports(f"{first}{panic}{last}\n".encode())
    assert report.fatal
    assert report.detail.startswith(first.partition("\n")[0])
    assert report.detail.endswith(last)
    assert find_reports(f"BUG: x\n{last}\n".encode(), dead=True) == []
    (after_reboot,) = find_reports(f"{first}{panic}Linux version 6.1\nBUG: x\n".encode(), True)
    assert after_reboot.title == "BUG: x"


def test_the_panic_that_ends_an_oops_of_arm64_is_fatal_and_part_of_it() -> None:
    end = "Kernel panic - not syncing: Oops: Fatal exception"
    oops = "Internal error: Oops: 96000004 [#1] SMP\npc : guilty+0x24/0x80\n---[ end trace 0 ]---\n"
    (report,) = find_reports(f"{oops}{end}\n---[ end {end} ]---\n".encode())
    assert (report.title, report.fatal) == ("Internal error in guilty", True)


def test_a_panic_whose_line_is_damaged_is_one() -> None:
    (report,) = find_reports(b"[    1.0] Kernel panic - not syncing* VFS: no root\nPanic\n")
    assert report.fatal and report.title == "kernel panic: syncing* VFS: no root"


def test_a_panic_of_its_own_is_not_part_of_the_warning_before_it() -> None:
    log = b"WARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\nKernel panic - not syncing: VFS: no root\n"
    assert [report.title for report in find_reports(log)] == [
        "WARNING in f",
        "kernel panic: VFS: no root",
    ]


def test_lines_that_say_the_same_are_one_report() -> None:
    log = (
        b"I/O error, dev vda, sector 8 op 0x0:(READ) flags 0x0\n"
        b"Buffer I/O error on dev vda, logical block 1, async page read\n"
        b"unregister_netdevice: waiting for lo to become free. Usage count = 3\n"
        b"unregister_netdevice: waiting for lo to become free. Usage count = 3\n"
        b"I/O error, dev vdb, sector 8\n"
    )
    assert [report.title for report in find_reports(log)] == [
        "I/O error on vda",
        "unregister_netdevice: waiting for DEV to become free",
        "I/O error on vdb",
    ]


def test_a_line_within_a_trace_does_not_end_it() -> None:
    log = (
        b"INFO: task a:6102 blocked for more than 120 seconds.\nCall Trace:\n schedule+0x9c/0x1b0\n"
        b"unregister_netdevice: waiting for lo to become free. Usage count = 3\n"
        b" mutex_lock_nested+0x1/0x2\n guilty+0xcc/0x220\n"
    )
    assert [report.title for report in find_reports(log)] == [
        "INFO: task hung in guilty",
        "unregister_netdevice: waiting for DEV to become free",
    ]


def test_words_are_in_every_row_of_theirs() -> None:
    assert TABLE
    for words, rows in TABLE:
        assert words and rows
        assert not any(row.title.count("{frame}") > 1 for row in rows)


def test_a_report_of_one_thread_is_told_from_what_others_print_into_it() -> None:
    log = (
        "[ 1.0][ T12] BUG: KASAN: slab-out-of-bounds in memcpy+0x1/0x2\n"
        "[ 1.0][ T13] other_thread+0x1/0x2\n"
        "[ 1.1][ T12] Read of size 8 at addr ffff8880 by task a/12\n"
        "[ 1.1][ T13] WARNING: CPU: 1 PID: 13 at kernel/a.c:1 second+0x1/0x2\n"
        "[ 1.2][ T12] Call Trace:\n"
        "[ 1.2][ T13] Call Trace:\n"
        "[ 1.2][ T12]  first+0x1/0x2\n"
        "[ 1.3][ T13]  third+0x1/0x2\n"
    )
    reports = find_reports(log.encode())
    assert [report.title for report in reports] == [
        "KASAN: slab-out-of-bounds Read in first",
        "WARNING in second",
    ]
    assert [report.detail.count("\n") for report in reports] == [3, 2]


@pytest.mark.parametrize(
    ("report", "title"),
    [
        ("general protection fault: 0000 [#1] SMP\n", "general protection fault"),
        ("BUG: spinlock lockup suspected on CPU#2, a/12636\n", "BUG: spinlock lockup suspected"),
        ("kernel BUG at fs/buffer.c:1917!\n", "kernel BUG at fs/buffer.c:1917!"),
        ("Oops: 0002 [#1]\n", "Oops: 0002 [#1]"),
        (
            "Internal error: Oops: 96000005 [#1] SMP\npc : __hwasan_check_x0_1+0x4/0x30\n"
            "lr : stale+0x7c/0x3d4\nCall trace:\n __hwasan_check_x0_1+0x4/0x30\n"
            " guilty+0xb0/0x174\n",
            "Internal error in guilty",
        ),
        (
            "Internal error: Oops: 80000207 [#1] ARM\nPC is at 0x0\nLR is at jumped+0xc0/0x15c\n"
            "Register r2 information: allocated at kernel_clone+0x9c/0x440\n",
            "Internal error in jumped",
        ),
        (
            "WARNING: CPU: 0 PID: 1 at a.c:1 .guilty+0x1/0x2\nNIP [c0] .guilty+0x1/0x2\n"
            "Call Trace:\n[c0] [c1] .guilty+0x1/0x2 (unreliable)\n",
            "WARNING in guilty",
        ),
        (
            "BUG: KASAN: use-after-free in memcpy+0x739/0x770 at addr ffff8800b46111c0\n",
            "KASAN: use-after-free in memcpy at addr ADDR",
        ),
        (
            "WARNING: possible circular locking dependency detected\n4.14.0 #22 Not tainted\n",
            "WARNING: possible circular locking dependency detected",
        ),
        (
            "WARNING: CPU: 1 PID: 31 at mm/slab_common.c:935 free_large_kmalloc+0x34/0x12c\n"
            "Call trace:\n free_large_kmalloc+0x34/0x12c\n kfree+0x1/0x2\n guilty+0x1/0x2\n",
            "WARNING in guilty",
        ),
        (
            "BUG: KASAN: out-of-bounds in memcpy+0x1/0x2\nWrite of size 8 at addr 0 by task a/1\n"
            "Call Trace:\n kasan_report+0x1/0x2\n insert_work+0x48/0x350\n"
            " __queue_delayed_work+0x1/0x2\n guilty+0x1/0x2\n",
            "KASAN: out-of-bounds Write in guilty",
        ),
        (
            "BUG: stack guard page was hit at ffffc900190cfff8\nCall Trace:\n"
            + 700 * " again+0x1/0x2\n"
            + " guilty+0x1/0x2\n do_syscall_64+0x1/0x2\n",
            "BUG: stack guard page was hit in guilty",
        ),
    ],
)
def test_a_title_names_no_function_that_is_not_to_blame(report: str, title: str) -> None:
    assert [report.title for report in find_reports(report.encode())] == [title]


@pytest.mark.parametrize("what", ["Kernel mode fault", "Kernel tried to access user memory"])
def test_uml_shows_the_registers_above_a_fault(what: str) -> None:
    report = (
        "[ 0.6] Modules linked in:\n"
        "[ 0.6] Pid: 27, comm: sh Not tainted 6.1.192\n"
        "[ 0.6] RIP: 0033:guilty+0x21/0x6a\n"
        "[ 0.6] RAX: 000000000000002e RBX: 0000000060497ba0\n"
        f"[ 0.6] Kernel panic - not syncing: {what} at addr 0x0, ip 0x6049edda\n"
        "[ 0.6] Call Trace:\n[ 0.6]  [<6049ea10>] its_caller+0x3b/0x3d\n"
    )
    (found,) = find_reports(f"[ 0.5] fine\n{report}".encode())
    assert (found.kind, found.title, found.fatal) == (K.PANIC, f"{what} in guilty", True)
    assert found.detail == report.rstrip()


def test_many_threads_cost_no_more_each() -> None:
    lines = [b"[    0.1][ T%d] BUG: bad thing\n" % number for number in range(5_000)]
    assert len(find_reports(b"".join(lines))) == len(lines)
