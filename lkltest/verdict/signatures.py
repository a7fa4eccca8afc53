# SPDX-License-Identifier: GPL-2.0-only
"""The table of signatures: how a kernel says that something went wrong, a row a form. Pure.

Sources: what panic(), die(), __warn(), lockdep, the RCU and hung task watchdogs, SLUB, the out of
memory killer, kmemleak and the file systems print; the reports of KASAN, KCSAN, KMSAN, KFENCE and
UBSAN; compiler-rt's for programs built with -fsanitize.

`WARNING: ` and `INFO: ` are closed lists of forms: boot notices and user programs say them, too.
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from enum import Enum

from lkltest.tap.patterns import MESSAGE
from lkltest.verdict.results import ProblemKind


class Extent(Enum):
    """The extent of a report from the line that begins it."""

    LINE = "the line alone"
    TRACE = "to the end of its trace"
    RULER = "to the next line of equal signs"
    REST = "to the end of the log, or the next boot"


class Frames(Enum):
    """Functions of the kernel that say nothing about a report of this kind; see `stack`."""

    USUAL = "those that report, check, lock, copy and allocate"
    TRACE = "the same, and those that stand before the trace: what held or used a lock"
    WAITING = "the usual ones, and those that wait"
    CPU = "all that is not asked for by a dispatcher, and interrupts"


@dataclass(frozen=True, slots=True)
class Signature:
    """One form of a report.

    Attributes:
        pattern: its first line, from a place where no letter stands before; groups are for the
            title.
        kind: what the report is a sign of.
        title: in the form of str.format, with the groups and `{frame}`: the first function of the
            stack that says something.
        extent: where the report ends.
        frames: which functions do not say something.
        registers: whether UML shows the registers above its first line.
        more: what to look for in the whole report; its groups are for the title, too.
        fatal: whether it ends the run: all that follows is part of it.
        follows: whether it is part of a report that was not at its end when it came.
        repeats: whether the same form in the same report is part of it.
    """

    pattern: re.Pattern[bytes]
    kind: ProblemKind
    title: str
    extent: Extent = Extent.TRACE
    frames: Frames = Frames.USUAL
    registers: bool = False
    more: re.Pattern[bytes] | None = None
    fatal: bool = False
    follows: bool = False
    repeats: bool = False


# A report starts where no letter stands before it ("watchdog: BUG: " counts, "DEBUG: " does not);
# the last letter of an ANSI escape is no letter in that sense.
_START = rb"(?:^|(?<![A-Za-z])|(?<=\x1b\[0m)|(?<=\x1b\[[0-9]m)|(?<=\x1b\[[0-9][0-9]m))"
_FUNCTION = rb"[A-Za-z_][\w.$]*"
_SOURCE = rb"[\w./+-]+\.[chS]:[0-9]+"
_ACCESS = re.compile(rb"\b(?P<access>Read|Write) (?:of size|at addr)")
_HELD_AT = re.compile(rb", at: (?:\[<[0-9a-f]+>\] )?(?P<at>" + _FUNCTION + rb")")
_SANITIZERS = rb"(?:Address|HWAddress|Leak|Memory|Thread|UndefinedBehavior|DataFlow)Sanitizer"

BUG, OOPS, PANIC = ProblemKind.BUG, ProblemKind.OOPS, ProblemKind.PANIC
WARNING, SANITIZER = ProblemKind.WARNING, ProblemKind.SANITIZER


def _row(
    pattern: bytes,
    kind: ProblemKind,
    title: str,
    extent: Extent = Extent.TRACE,
    frames: Frames = Frames.USUAL,
    *,
    registers: bool = False,
    more: re.Pattern[bytes] | None = None,
    fatal: bool = False,
    follows: bool = False,
    repeats: bool = False,
) -> Signature:
    compiled = re.compile(_START + pattern.replace(b"FUNCTION", _FUNCTION))
    return Signature(
        compiled, kind, title, extent, frames, registers, more, fatal, follows, repeats
    )


def _warning_in(sources: bytes, title: str, functions: bytes = rb"\S*") -> Signature:
    """Return the row for the kernel's own WARNING where it is from certain files."""
    where = rb"WARNING: (?:CPU: [^\r\n]{1,40}? at )?(?:\[[^\]]*\] )?"
    return _row(where + sources + rb":[0-9]+(?: at)? " + functions, WARNING, title)


_OUT_OF_MEMORY = _row(
    rb"(?:Memory cgroup out|Out) of memory: Kill(?:ed)? process [0-9]+ \((?P<what>[^)]*)\)",
    BUG,
    "out of memory: killed {what}",
    Extent.LINE,
)
_EXT_ERROR = _row(
    rb"(?P<what>EXT[234])-fs error \(device [^)]*\)(?:: (?P<at>FUNCTION))?",
    BUG,
    "{what}-fs error in {at}",
    Extent.LINE,
)

TABLE: tuple[tuple[bytes, tuple[Signature, ...]], ...] = (
    (
        b"BUG: K",
        (
            _row(
                rb"BUG: KASAN: (?:double-free or )?(?:invalid-free|double-free)\b",
                SANITIZER,
                "KASAN: invalid-free in {frame}",
                Extent.RULER,
            ),
            _row(
                rb"BUG: KASAN: (?P<what>[a-z-]+)(?: on address| in|:|$)",
                SANITIZER,
                "KASAN: {what} {access} in {frame}",
                Extent.RULER,
                more=_ACCESS,
            ),
            _row(
                rb"BUG: KMSAN: (?P<what>[\w-]+)",
                SANITIZER,
                "KMSAN: {what} in {frame}",
                Extent.RULER,
            ),
            _row(
                rb"BUG: KCSAN: (?P<what>[a-z: -]+ in FUNCTION(?: / FUNCTION)?)",
                SANITIZER,
                "KCSAN: {what}",
                Extent.RULER,
            ),
            _row(
                rb"BUG: KFENCE: (?P<what>[a-z -]+) in ",
                SANITIZER,
                "KFENCE: {what} in {frame}",
                Extent.RULER,
            ),
            _row(rb"BUG: K[A-Z]{2,5}N: (?P<what>[^\r\n]{1,80})", SANITIZER, "{what}", Extent.RULER),
        ),
    ),
    (
        b"BUG: ",
        (
            _row(
                rb"BUG: (?:unable to handle (?:kernel paging request|page fault)"
                rb"|Unable to handle kernel data access)",
                BUG,
                "BUG: unable to handle kernel paging request in {frame}",
            ),
            _row(
                rb"BUG: (?:unable to handle )?[Kk]ernel NULL pointer dereference",
                BUG,
                "BUG: unable to handle kernel NULL pointer dereference in {frame}",
            ),
            _row(rb"BUG: [Uu]nable to handle kernel", BUG, "BUG: unable to handle kernel"),
            _row(
                rb"BUG: (?P<what>(?:spin|rw)lock (?:[a-z ]+?|\S+))"
                rb"(?: on CPU| CPU#|, |$)",
                BUG,
                "BUG: {what} in {frame}",
            ),
            _row(
                rb"BUG: soft lockup",
                BUG,
                "BUG: soft lockup in {frame}",
                frames=Frames.CPU,
                repeats=True,
            ),
            _row(rb"BUG: workqueue lockup", BUG, "BUG: workqueue lockup", repeats=True),
            _row(
                rb"BUG: [^\r\n]*still has locks held!", BUG, "BUG: still has locks held in {frame}"
            ),
            _row(
                rb"BUG: scheduling while atomic",
                BUG,
                "BUG: scheduling while atomic in {frame}",
                frames=Frames.TRACE,
            ),
            _row(
                rb"BUG: (?P<what>bad unlock balance|held lock freed)", BUG, "BUG: {what} in {frame}"
            ),
            _row(rb"BUG: (?P<what>Bad page (?:state|cache))", BUG, "BUG: {what} in {frame}"),
            _row(rb"BUG: (?P<what>Bad page map)", BUG, "BUG: {what}"),
            _row(
                rb"BUG: Dentry [^\r\n]*still in use(?: \([0-9]+\) \[(?P<at>\w+))?",
                BUG,
                "BUG: Dentry still in use in {at}",
            ),
            _row(
                rb"BUG: (?P<what>lock held when returning to user space)",
                BUG,
                "BUG: {what} in {frame}",
            ),
            _row(
                rb"BUG: (?P<what>sleeping function called from invalid context)",
                BUG,
                "BUG: {what} in {frame}",
                frames=Frames.TRACE,
            ),
            _row(
                rb"BUG: using (?P<what>\w+)\(\) in preemptible",
                BUG,
                "BUG: using {what}() in preemptible code in {frame}",
                frames=Frames.TRACE,
            ),
            _row(rb"BUG: memory leak", BUG, "memory leak in {frame}"),
            _row(
                rb"BUG: [^\r\n]*stack guard page was hit",
                BUG,
                "BUG: stack guard page was hit in {frame}",
                frames=Frames.CPU,
            ),
            _row(rb"BUG: Invalid wait context", BUG, "WARNING: locking bug in {frame}"),
            _row(
                rb"BUG: (?P<what>workqueue leaked lock or atomic)",
                BUG,
                "BUG: {what} in {at}",
                more=re.compile(rb"last function: (?P<at>\w+)"),
            ),
            _row(rb"BUG: failure at \S+?/(?P<at>\w+)\(\)!", BUG, "kernel BUG in {at}"),
            _row(
                rb"(?<!Oops - )BUG: (?P<what>[^\r\n]{0,120}?)"
                rb"(?: \w+:[0-9a-fx]+\b[^\r\n]*)?(?:[\r\n]|$)",
                BUG,
                "BUG: {what}",
            ),
        ),
    ),
    (
        b"BUG ",
        (
            _row(rb"[Kk]ernel BUG at (?:\S*/)?mm/usercopy\.c", BUG, "BUG: bad usercopy in {frame}"),
            _row(
                rb"[Kk]ernel BUG at (?:\S*/)?lib/list_debug\.c",
                BUG,
                "BUG: corrupted list in {frame}",
            ),
            _row(rb"[Kk]ernel BUG at ", BUG, "kernel BUG in {frame}"),
            _row(rb"Kernel BUG (?P<what>[^\r\n]{1,120})", BUG, "kernel BUG {what}"),
            _row(
                rb"BUG \S+ ?\((?:Not tainted|Tainted: [^)]*)\): (?!kasan: )(?P<what>[^\r\n]{1,80})",
                BUG,
                "BUG: {what}",
                Extent.RULER,
            ),
        ),
    ),
    (
        b"WARNING: ",
        (
            _warning_in(rb"(?:\S*/)?lib/debugobjects\.c", "WARNING: ODEBUG bug in {frame}"),
            _warning_in(rb"(?:\S*/)?mm/usercopy\.c", "WARNING: bad usercopy in {frame}"),
            _warning_in(rb"(?:\S*/)?lib/kobject\.c", "WARNING: kobject bug in {frame}"),
            _warning_in(
                rb"(?:\S*/)?fs/proc/generic\.c", "WARNING: proc registration bug in {frame}"
            ),
            _warning_in(rb"(?:\S*/)?lib/refcount\.c", "WARNING: refcount bug in {frame}"),
            _warning_in(
                rb"(?:\S*/)?kernel/locking/lockdep\.c",
                "WARNING: locking bug in {frame}",
                rb"[^\r\n]*lock_",
            ),
            _warning_in(
                rb"(?:\S*/)?mm/vmalloc\.c",
                "WARNING: zero-size vmalloc in {frame}",
                rb"[^\r\n]*__vmalloc_node",
            ),
            _warning_in(
                rb"(?:\S*/)?mm/\w+\.c", "WARNING: kmalloc bug in {frame}", rb"[^\r\n]*k?.?malloc"
            ),
            _warning_in(rb"\S+", "WARNING in {frame}/usb_submit_urb", rb"usb_submit_urb"),
            _row(
                rb"WARNING: (?:CPU: [^\r\n]{1,40}? at )?(?:\[[^\]]*\] )?"
                + _SOURCE
                + rb"(?: at)? FUNCTION",
                WARNING,
                "WARNING in {frame}",
            ),
            _row(
                rb"WARNING: (?:CPU: [^\r\n]{1,40}? at |" + _SOURCE + rb" at )",
                WARNING,
                "WARNING in {frame}",
            ),
            _row(
                rb"WARNING: (?:possible (?:circular locking|recursive locking|irq lock inversion)"
                rb"|\S+-safe -> \S+-unsafe lock order)",
                WARNING,
                "possible deadlock in {frame}",
            ),
            _row(
                rb"WARNING: inconsistent lock state",
                WARNING,
                "inconsistent lock state in {frame}",
                frames=Frames.TRACE,
            ),
            _row(
                rb"WARNING: (?P<what>bad unlock balance|held lock freed)",
                WARNING,
                "WARNING: {what} in {frame}",
            ),
            _row(
                rb"WARNING: (?P<what>suspicious RCU usage)",
                WARNING,
                "WARNING: {what} in {frame}",
                frames=Frames.TRACE,
            ),
            _row(
                rb"WARNING: [^\r\n]*still has locks held!",
                WARNING,
                "WARNING: still has locks held in {at}",
                more=_HELD_AT,
            ),
            _row(
                rb"WARNING: Nested lock was not taken",
                WARNING,
                "WARNING: nested lock was not taken in {frame}",
            ),
            _row(
                rb"WARNING: (?P<what>lock held when returning to user space"
                rb"|suspicious [^\r\n]{1,80})",
                WARNING,
                "WARNING: {what} in {frame}",
            ),
            _row(
                rb"WARNING: kernel stack (?P<what>regs|frame pointer) at +\S+ in \S+ has bad"
                rb"(?P<which> '\w+')? value",
                WARNING,
                "WARNING: kernel stack {what} has bad{which} value",
            ),
            _row(  # another message cut its line, or the console damaged it
                rb"WARNING: (?:CPU: [0-9]+ PID: |C?P?U?:? ?" + MESSAGE + rb")",
                WARNING,
                "WARNING",
            ),
            _row(rb"WARNING: ODEBUG bug", WARNING, "WARNING: ODEBUG bug in {frame}"),
            _row(
                rb"WARNING: " + _SANITIZERS + rb": (?P<what>[^\r\n(]{1,80})",
                SANITIZER,
                "{what}",
                Extent.RULER,
            ),
        ),
    ),
    (
        b"INFO: ",
        (
            _row(
                rb"INFO: (?:possible (?:circular locking|recursive locking|irq lock inversion)"
                rb"|\S+-safe -> \S+-unsafe lock order)",
                WARNING,
                "possible deadlock in {frame}",
            ),
            _row(
                rb"INFO: inconsistent lock state",
                WARNING,
                "inconsistent lock state in {frame}",
                frames=Frames.TRACE,
            ),
            _row(
                rb"INFO: (?P<what>suspicious RCU usage)",
                WARNING,
                "INFO: {what} in {frame}",
                frames=Frames.TRACE,
            ),
            _row(
                rb"INFO: rcu_\w+ (?:self-)?detected(?: expedited)? stalls?",
                BUG,
                "INFO: rcu detected stall in {frame}",
                frames=Frames.CPU,
                repeats=True,
            ),
            _row(
                rb"INFO: (?P<what>trying to register non-static key)",
                BUG,
                "INFO: {what} in {frame}",
                frames=Frames.TRACE,
            ),
            _row(
                rb"INFO: task [^\r\n]{1,40} blocked (?:in I/O wait )?for more than [0-9]+ seconds",
                BUG,
                "INFO: task hung in {frame}",
                frames=Frames.WAITING,
                repeats=True,
            ),
            _row(
                rb"INFO: (?P<what>(?:Allocated|Freed) in FUNCTION\+\S* age=[^\r\n]{1,60})",
                BUG,
                "INFO: {what}",
                follows=True,
            ),
            _row(
                rb"INFO: task [^\r\n]{1,40} can't die for more than",
                BUG,
                "INFO: task can't die in {frame}",
                frames=Frames.WAITING,
                repeats=True,
            ),
        ),
    ),
    (
        b"Unable to handle kernel",
        (
            _row(
                rb"Unable to handle kernel"
                rb" (?P<what>paging request|NULL pointer dereference|access to user memory)",
                OOPS,
                "BUG: unable to handle kernel {what} in {frame}",
                follows=True,
            ),
            _row(rb"Unable to handle kernel", OOPS, "BUG: unable to handle kernel", follows=True),
        ),
    ),
    (
        b"[#",
        (
            _row(
                rb"[^\r\n]*?general protection fault[^\r\n]*\[#",
                OOPS,
                "general protection fault in {frame}",
                follows=True,
            ),
            _row(rb"divide_error: [^\r\n]*\[#", OOPS, "divide error in {frame}", follows=True),
            _row(rb"stack segment: ", OOPS, "stack segment fault in {frame}", follows=True),
            _row(
                rb"(?P<what>divide|invalid|double|int3|bounds|coprocessor|alignment|debug)"
                rb"(?P<more>[ _](?:error|opcode|fault|TSS|segment overrun|check))?: [^\r\n]*\[#",
                OOPS,
                "{what}{more} in {frame}",
                follows=True,
            ),
            _row(rb"Internal error: [^\r\n]*\[#", OOPS, "Internal error in {frame}", follows=True),
            _row(
                rb"(?P<what>\w[\w ,.-]{1,60}): [^\r\n]{0,60}\[#[0-9]{1,4}\]",
                OOPS,
                "{what} in {frame}",
                follows=True,
            ),
            _row(rb"Oops\[#[0-9]{1,4}\]:", OOPS, "Oops in {frame}", follows=True),
        ),
    ),
    (b"Oops", (_row(rb"Oops(?:: | - )", OOPS, "Oops in {frame}", follows=True),)),
    (
        b"general protection fault",
        (
            _row(
                rb"general protection fault\b(?! ip:)[^\r\n]*:",
                OOPS,
                "general protection fault in {frame}",
                follows=True,
            ),
        ),
    ),
    (b"PANIC: ", (_row(rb"PANIC: double fault", PANIC, "PANIC: double fault in {frame}"),)),
    (b"Unhandled fault: ", (_row(rb"Unhandled fault: ", OOPS, "Unhandled fault in {frame}"),)),
    (
        b"Kernel mode fault",
        (
            _row(
                rb"(?:Kernel panic - not syncing: )?Kernel mode fault at",
                PANIC,
                "Kernel mode fault in {frame}",
                Extent.REST,
                registers=True,
                fatal=True,
            ),
        ),
    ),
    (b"Alignment trap: ", (_row(rb"Alignment trap: ", OOPS, "Alignment trap in {frame}"),)),
    (
        b"Kernel tried to access",
        (
            _row(
                rb"(?:Kernel panic - not syncing: )?Kernel tried to access",
                PANIC,
                "Kernel tried to access user memory in {frame}",
                Extent.REST,
                registers=True,
                fatal=True,
            ),
        ),
    ),
    (
        b"Kernel panic",
        (
            _row(
                rb"Kernel panic - not syncing: "
                rb"(?P<what>(?:Fatal exception|(?:\w+: )?panic_on_\w+ set|BUG!"
                rb"|hung_task: blocked tasks|softlockup: hung tasks|RCU Stall|Machine halted"
                rb"|scheduling while atomic|Oops|Aiee, killing interrupt handler))",
                PANIC,
                "kernel panic: {what}",
                Extent.REST,
                fatal=True,
                follows=True,
            ),
            _row(
                rb"Kernel panic - not syncing: stack-protector: ",
                PANIC,
                "kernel panic: stack is corrupted in {frame}",
                Extent.REST,
                fatal=True,
            ),
            _row(
                rb"Kernel panic - not syncing: corrupted stack end",
                PANIC,
                "kernel panic: corrupted stack end in {frame}",
                Extent.REST,
                Frames.CPU,
                fatal=True,
            ),
            _row(
                rb"Kernel panic - not syncing: kernel stack overflow",
                PANIC,
                "kernel stack overflow in {frame}",
                Extent.REST,
                Frames.CPU,
                fatal=True,
            ),
            _row(
                rb"Kernel panic - not syncing: (?P<what>Attempted to kill init!|[^\r\n]{0,160})",
                PANIC,
                "kernel panic: {what}",
                Extent.REST,
                fatal=True,
            ),
        ),
    ),
    (
        b"UBSAN: ",
        (
            _row(
                rb"UBSAN: Undefined behaviour",
                SANITIZER,
                "UBSAN: undefined-behaviour in {frame}",
                Extent.RULER,
            ),
            _row(rb"UBSAN: (?P<what>[\w-]+)", SANITIZER, "UBSAN: {what} in {frame}", Extent.RULER),
        ),
    ),
    (
        b"Sanitizer:",
        (
            _row(
                rb"(?:ERROR: |SUMMARY: )?" + _SANITIZERS + rb":\s?(?P<what>[^\r\n]{0,80})",
                SANITIZER,
                "{what}",
                follows=True,
                repeats=True,
            ),
        ),
    ),
    (
        b"runtime error: ",
        (
            _row(
                rb"[0-9]+:[0-9]+: runtime error: (?P<what>[^\r\n]{1,120})",
                SANITIZER,
                "runtime error: {what}",
            ),
        ),
    ),
    (
        b"LOCKUP",
        (
            _row(
                rb"(?:Watchdog detected|NMI watchdog: Watchdog detected) hard LOCKUP",
                BUG,
                "hard LOCKUP in {frame}",
                frames=Frames.CPU,
            ),
        ),
    ),
    (
        b"kmemleak: ",
        (
            _row(
                rb"kmemleak: [0-9]+ new suspected memory leaks?",
                BUG,
                "kmemleak: new suspected memory leaks",
                Extent.LINE,
            ),
        ),
    ),
    (
        b"page allocation failure",
        (
            _row(
                rb"page allocation failure: order:",
                WARNING,
                "page allocation failure in {frame}",
            ),
        ),
    ),
    (b"Out of memory: ", (_OUT_OF_MEMORY,)),
    (b"Memory cgroup out of memory: ", (_OUT_OF_MEMORY,)),
    (b"EXT2-fs error", (_EXT_ERROR,)),
    (b"EXT3-fs error", (_EXT_ERROR,)),
    (b"EXT4-fs error", (_EXT_ERROR,)),
    (b"BTRFS error", (_row(rb"BTRFS error \(", BUG, "{line}", Extent.LINE),)),
    (b"BTRFS critical", (_row(rb"BTRFS critical \(", BUG, "{line}", Extent.LINE),)),
    (
        b"FAT-fs (",
        (
            _row(
                rb"FAT-fs \([^)]*\): error, (?P<what>[^\r\n]{1,80})",
                BUG,
                "FAT-fs error: {what}",
                Extent.LINE,
            ),
        ),
    ),
    (
        b"XFS (",
        (
            _row(
                rb"XFS \([^)]*\): (?P<what>[^\r\n]{0,60}?(?:[Cc]orruption|error)[^\r\n]{0,60})",
                BUG,
                "XFS: {what}",
                Extent.LINE,
            ),
        ),
    ),
    (
        b"I/O error",
        (
            _row(
                rb"(?:I/O error, dev|Buffer I/O error on dev(?:ice)?) (?!\w+rpmb)(?P<what>\w+)",
                BUG,
                "I/O error on {what}",
                Extent.LINE,
            ),
        ),
    ),
    (
        b"unregister_netdevice: ",
        (
            _row(
                rb"unregister_netdevice: waiting for \S+ to become free",
                BUG,
                "unregister_netdevice: waiting for DEV to become free",
                Extent.LINE,
                repeats=True,
            ),
        ),
    ),
    (
        b"VFS: ",
        (
            _row(
                rb"VFS: Close: file count is 0",
                BUG,
                "VFS: Close: file count is zero (use-after-free)",
                Extent.LINE,
            ),
            _row(
                rb"VFS: Busy inodes after unmount",
                BUG,
                "VFS: Busy inodes after unmount (use-after-free)",
                Extent.LINE,
            ),
        ),
    ),
)

WORDS: tuple[bytes, ...] = tuple(words for words, _ in TABLE)
