# SPDX-License-Identifier: GPL-2.0-only
import pytest

from lkltest.verdict.kernel_log import MAX_REPORTS, Banner, find_banner, find_reports, whole_ktap
from lkltest.verdict.results import ProblemKind

PANIC, OOPS, BUG = ProblemKind.PANIC, ProblemKind.OOPS, ProblemKind.BUG
WARNING, SANITIZER = ProblemKind.WARNING, ProblemKind.SANITIZER


@pytest.mark.parametrize(
    ("line", "kind"),
    [
        ("Kernel panic - not syncing: VFS: Unable to mount root fs on unknown-block(98,0)", PANIC),
        ("\tKernel panic - not syncing: Attempted to kill init!", PANIC),
        ("Oops: 0000 [#1] PREEMPT SMP", OOPS),
        ("Internal error: Oops - BUG: 0 [#1] SMP ARM", OOPS),
        ("Oops[#1]:", OOPS),
        ("Unable to handle kernel NULL pointer dereference at virtual address 00000010", OOPS),
        ("general protection fault, probably for non-canonical address 0xdead: 0000", OOPS),
        ("Kernel mode fault at addr 0x10, ip 0x60001234", PANIC),
        ("BUG: unable to handle page fault for address: ffffc900", BUG),
        ("BUG: sleeping function called from invalid context at mm/slab.h:494", BUG),
        ("watchdog: BUG: soft lockup - CPU#0 stuck for 22s!", BUG),
        ("kernel BUG at fs/ext4/inode.c:2721!", BUG),
        ("WARNING: CPU: 0 PID: 1 at kernel/time/clockevents.c:458 clockevents_register", WARNING),
        ("WARNING: possible circular locking dependency detected", WARNING),
        ("=WARNING: suspicious RCU usage", WARNING),
        ("BUG: KASAN: slab-out-of-bounds in kmalloc_oob_right+0x168/0x2e0", SANITIZER),
        ("BUG: KCSAN: data-race in vfs_read / vfs_write", SANITIZER),
        ("BUG: KFENCE: use-after-free read in test", SANITIZER),
        ("UBSAN: array-index-out-of-bounds in drivers/net/x.c:12:3", SANITIZER),
        ("==123==ERROR: AddressSanitizer: heap-use-after-free on address 0x602", SANITIZER),
        ("AddressSanitizer:DEADLYSIGNAL", SANITIZER),
        ("WARNING: ThreadSanitizer: data race (pid=4)", SANITIZER),
        ("==1==ERROR: LeakSanitizer: detected memory leaks", SANITIZER),
        ("lib/x.c:3:5: runtime error: signed integer overflow: 1 + 2147483647", SANITIZER),
    ],
)
@pytest.mark.parametrize(
    "prefix",
    ["", "[    0.060000] ", "[    0.060000][    T1] ", "<4>[ 1.5] ", "  [    0.060000] "],
)
def test_trouble(line: str, kind: ProblemKind, prefix: str) -> None:
    log = f"fine\n{prefix}{line}\nalso fine\n".encode()
    (report,) = find_reports(log)
    assert report.kind is kind
    assert report.line == line.strip()
    assert report.detail.endswith("also fine")


@pytest.mark.parametrize(
    "line",
    [
        "[    0.027739] Warning: unable to open an initial console.",
        "DEBUG: x",
        "LKL_DEBUG: x",
        "BUG:x",
        "MYWARNING: x",
        "WARNING:",
        "warning: x",
        "random: get_random_bytes called from init_oops_id+0x35/0x40 with crng_init=0",
        "panic=-1 on the command line",
        "reboot: Power down, panic_timeout 0",
        "kasan: KernelAddressSanitizer initialized",
        "runtime error: none so far",
        "Oopsie daisy",
        "",
    ],
)
def test_harmless(line: str) -> None:
    assert find_reports(line.encode() + b"\n") == []


def test_colours_are_no_letters() -> None:
    (report,) = find_reports(
        b"\x1b[32mlkl     |  \x1b[0m\x1b[31mWARNING: x.c:1 at f+0x1/0x2\x1b[0m\r\n"
    )
    assert report.kind is WARNING
    assert "\x1b" not in report.line + report.detail


def test_whole_stack_of_a_panic() -> None:
    stack = "".join(f"[    0.06] frame {number}\n" for number in range(500))
    log = f"before\n[    0.06] Kernel panic - not syncing: oh\n{stack}".encode()
    (report,) = find_reports(log)
    assert report.detail.startswith("[    0.06] Kernel panic")
    assert report.detail.endswith("frame 499")


def test_trace_of_a_warning_ends_at_its_marker() -> None:
    log = b"WARNING: CPU: 0 PID: 1 at a.c:1\n frame\n---[ end trace 0123 ]---\nunrelated\n"
    (report,) = find_reports(log)
    assert report.detail == "WARNING: CPU: 0 PID: 1 at a.c:1\n frame\n---[ end trace 0123 ]---"


def test_of_many_only_the_first_and_what_ends_the_run_have_a_report() -> None:
    log = b"".join(b"BUG: number %d\n" % number for number in range(1000))
    reports = find_reports(log + b"Kernel panic - not syncing: at last\nstack\n")
    assert [report.line for report in reports[:2]] == ["BUG: number 0", "BUG: number 1"]
    assert len(reports) == 1001
    assert [bool(report.detail) for report in reports[:1000]].count(True) == MAX_REPORTS
    assert reports[-1].title == "kernel panic: at last"
    assert reports[-1].detail.endswith("stack")


@pytest.mark.parametrize(
    ("line", "banner"),
    [
        (
            "[    0.000000] Linux version 4.9.0 (root@lab) (gcc version 12.2.0 "
            "(Debian 12.2.0-14+deb12u1) ) #1 Sat Nov 21 06:25:32 UTC 2026",
            Banner("4.9.0", "gcc version 12.2.0 (Debian 12.2.0-14+deb12u1)"),
        ),
        (
            "Linux version 6.1.0 (root@lab) (gcc (Debian 12.2.0-14+deb12u1) 12.2.0, "
            "GNU ld (GNU Binutils for Debian) 2.40) #2 Sat Nov 21 06:25:32 UTC 2026",
            Banner("6.1.0", "gcc (Debian 12.2.0-14+deb12u1) 12.2.0"),
        ),
        (
            "Linux version 6.1.0 (root@lab) (Debian clang version 16.0.6 (15~deb12u1), "
            "GNU ld (GNU Binutils) 2.40) #1 Sat Nov 21",
            Banner("6.1.0", "Debian clang version 16.0.6 (15~deb12u1)"),
        ),
        ("lkl2    |   Linux version 6.12.0 (lkl)", Banner("6.12.0", "")),
        ("Linux version 5 ((((", Banner("5", "")),
        ("Linux version 5 )) (a) )( (b) ((c)", Banner("5", "")),
    ],
)
def test_banner(line: str, banner: Banner) -> None:
    assert find_banner(b"x\n" + line.encode() + b"\ny\n") == banner


@pytest.mark.parametrize("log", [b"", b"Linux version \n", b"Linux versions of x\n"])
def test_no_banner(log: bytes) -> None:
    assert find_banner(log) is None


@pytest.mark.parametrize("stamp", [b"", b"[    2.950000] "])
def test_ktap_is_whole_when_its_last_result_is_there(stamp: bytes) -> None:
    lines = [b"KTAP version 1", b"1..2", b"    1..1", b"    ok 2 inner", b"ok 1 a", b"not ok 2 b"]
    ktap = [stamp + line + b"\n" for line in lines]
    assert whole_ktap(b"".join([*ktap, b"[    3.0] Run /init\n"])) == b"".join(ktap)
    assert not whole_ktap(b"".join(ktap[:-1]))
    assert not whole_ktap(b"")


def test_reports_of_a_sanitizers_own_suite_are_expected_there_alone() -> None:
    ruler = b"[    0.1] " + b"=" * 66 + b"\n"
    report = ruler + b"[    0.1] BUG: KASAN: slab-out-of-bounds in f+0x1/0x2\n" + ruler
    begin, end = b"[    0.1]     # Subtest: kasan\n", b"[    0.1] ok 1 - kasan\n"
    panic = b"[    0.1] Kernel panic - not syncing: x\n"
    assert find_reports(begin + report * 3 + end) == []
    assert len(find_reports(begin + report + end + report)) == 1
    assert [each.kind for each in find_reports(begin + report + panic + end)] == [ProblemKind.PANIC]
    assert len(find_reports(begin.replace(b"kasan", b"list") + report + end)) == 1
    assert len(find_reports(begin + report)) == 1, "the suite did not come to its end"


@pytest.mark.parametrize(
    "text", ["waitingBUG: bad", "7Kernel panic - not syncing: bad", "a BUG: bad"]
)
def test_a_report_begins_behind_what_a_program_had_begun(text: str) -> None:
    assert [report.title.endswith("bad") for report in find_reports(f"{text}\n".encode())] == [True]
    assert find_reports(b"DEBUG: bad\nSOFTWARNING: CPU: 0 PID: 1 at a.c:1 f+0x1/0x2\n") == []
