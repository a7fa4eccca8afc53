# SPDX-License-Identifier: GPL-2.0-only
"""The table of signatures: how a kernel says that something went wrong, a row a form. Pure.

Sources: what panic(), die(), __warn(), lockdep, the RCU and hung task watchdogs, SLUB, the out of
memory killer, kmemleak and the file systems print; the reports of KASAN, KCSAN, KMSAN, KFENCE and
UBSAN; compiler-rt's for programs built with -fsanitize.

`WARNING: ` and `INFO: ` are closed lists of forms: boot notices and user programs say them, too.
"""

from __future__ import annotations

import functools
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
        form: a pattern of its first line, from a place where no letter stands before; its groups
            are for the title.
        kind: what the report is a sign of.
        title: in the form of str.format, with the groups and `{frame}`: the first function of the
            stack that says something.
        extent: where the report ends.
        frames: which functions do not say something.
        registers: whether UML shows the registers above its first line.
        more: what to look for in the whole report; its groups are for the title, too.
        bare: the title where neither that nor a function was found: what the line itself says.
        fatal: whether it ends the run: all that follows is part of it.
        follows: whether it is part of a report that was not at its end when it came.
        repeats: whether the same form in the same report is part of it.
    """

    form: bytes
    kind: ProblemKind
    title: str
    extent: Extent = Extent.TRACE
    frames: Frames = Frames.USUAL
    registers: bool = False
    more: re.Pattern[bytes] | None = None
    bare: str = ""
    fatal: bool = False
    follows: bool = False
    repeats: bool = False

    @property
    def pattern(self) -> re.Pattern[bytes]:
        """The form, compiled when a log is first looked at for it: few are."""
        return _compiled(self.form)


@functools.cache
def _compiled(form: bytes) -> re.Pattern[bytes]:
    return re.compile(_START + form.replace(b"FUNCTION", _FUNCTION))


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


def _warning_in(sources: bytes, title: str, functions: bytes = rb"\S*") -> Signature:
    """Return the row for the kernel's own WARNING where it is from certain files."""
    where = rb"WARNING: (?:CPU: [^\r\n]{1,40}? at )?(?:\[[^\]]*\] )?"
    return Signature(where + sources + rb":[0-9]+(?: at)? " + functions, WARNING, title)


_OUT_OF_MEMORY = Signature(
    rb"(?:Memory cgroup out|Out) of memory: Kill(?:ed)? process [0-9]+ \((?P<what>[^)]*)\)",
    BUG,
    "out of memory: killed {what}",
    Extent.LINE,
)
_EXT_ERROR = Signature(
    rb"(?P<what>EXT[234])-fs error \(device [^)]*\)(?:: (?P<at>FUNCTION))?",
    BUG,
    "{what}-fs error in {at}",
    Extent.LINE,
)

TABLE: tuple[tuple[bytes, tuple[Signature, ...]], ...] = (
    (
        b"BUG: K",
        (
            Signature(
                rb"BUG: KASAN: (?:double-free or )?(?:invalid-free|double-free)\b",
                SANITIZER,
                "KASAN: invalid-free in {frame}",
                Extent.RULER,
            ),
            Signature(
                rb"BUG: KASAN: (?P<what>[a-z-]+)(?: on address| in|:|$)(?P<rest>[^\r\n]*)",
                SANITIZER,
                "KASAN: {what} {access} in {frame}",
                Extent.RULER,
                more=_ACCESS,
                bare="KASAN: {what} in {rest}",
            ),
            Signature(
                rb"BUG: KMSAN: (?P<what>[\w-]+)",
                SANITIZER,
                "KMSAN: {what} in {frame}",
                Extent.RULER,
            ),
            Signature(
                rb"BUG: KCSAN: (?P<what>[a-z: -]+ in FUNCTION(?: / FUNCTION)?)",
                SANITIZER,
                "KCSAN: {what}",
                Extent.RULER,
            ),
            Signature(
                rb"BUG: KFENCE: (?P<what>[a-z -]+) in ",
                SANITIZER,
                "KFENCE: {what} in {frame}",
                Extent.RULER,
            ),
            Signature(
                rb"BUG: K[A-Z]{2,5}N: (?P<what>[^\r\n]{1,80})", SANITIZER, "{what}", Extent.RULER
            ),
        ),
    ),
    (
        b"BUG: ",
        (
            Signature(
                rb"BUG: (?:unable to handle (?:kernel paging request|page fault)"
                rb"|Unable to handle kernel data access)",
                BUG,
                "BUG: unable to handle kernel paging request in {frame}",
            ),
            Signature(
                rb"BUG: (?:unable to handle )?[Kk]ernel NULL pointer dereference",
                BUG,
                "BUG: unable to handle kernel NULL pointer dereference in {frame}",
            ),
            Signature(rb"BUG: [Uu]nable to handle kernel", BUG, "BUG: unable to handle kernel"),
            Signature(
                rb"BUG: (?P<what>(?:spin|rw)lock (?:[a-z ]+?|\S+))"
                rb"(?: on CPU| CPU#|, |$)",
                BUG,
                "BUG: {what} in {frame}",
            ),
            Signature(
                rb"BUG: soft lockup",
                BUG,
                "BUG: soft lockup in {frame}",
                frames=Frames.CPU,
                repeats=True,
            ),
            Signature(rb"BUG: workqueue lockup", BUG, "BUG: workqueue lockup", repeats=True),
            Signature(
                rb"BUG: [^\r\n]*still has locks held!", BUG, "BUG: still has locks held in {frame}"
            ),
            Signature(
                rb"BUG: scheduling while atomic",
                BUG,
                "BUG: scheduling while atomic in {frame}",
                frames=Frames.TRACE,
            ),
            Signature(
                rb"BUG: (?P<what>bad unlock balance|held lock freed)", BUG, "BUG: {what} in {frame}"
            ),
            Signature(rb"BUG: (?P<what>Bad page (?:state|cache))", BUG, "BUG: {what} in {frame}"),
            Signature(rb"BUG: (?P<what>Bad page map)", BUG, "BUG: {what}"),
            Signature(
                rb"BUG: Dentry [^\r\n]*still in use(?: \([0-9]+\) \[(?P<at>\w+))?",
                BUG,
                "BUG: Dentry still in use in {at}",
            ),
            Signature(
                rb"BUG: (?P<what>lock held when returning to user space)",
                BUG,
                "BUG: {what} in {frame}",
            ),
            Signature(
                rb"BUG: (?P<what>sleeping function called from invalid context)",
                BUG,
                "BUG: {what} in {frame}",
                frames=Frames.TRACE,
            ),
            Signature(
                rb"BUG: using (?P<what>\w+)\(\) in preemptible",
                BUG,
                "BUG: using {what}() in preemptible code in {frame}",
                frames=Frames.TRACE,
            ),
            Signature(rb"BUG: memory leak", BUG, "memory leak in {frame}"),
            Signature(
                rb"BUG: [^\r\n]*stack guard page was hit",
                BUG,
                "BUG: stack guard page was hit in {frame}",
                frames=Frames.CPU,
            ),
            Signature(rb"BUG: Invalid wait context", BUG, "WARNING: locking bug in {frame}"),
            Signature(
                rb"BUG: (?P<what>workqueue leaked lock or atomic)",
                BUG,
                "BUG: {what} in {at}",
                more=re.compile(rb"last function: (?P<at>\w+)"),
            ),
            Signature(rb"BUG: failure at \S+?/(?P<at>\w+)\(\)!", BUG, "kernel BUG in {at}"),
            Signature(
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
            Signature(
                rb"[Kk]ernel BUG at (?:\S*/)?mm/usercopy\.c", BUG, "BUG: bad usercopy in {frame}"
            ),
            Signature(
                rb"[Kk]ernel BUG at (?:\S*/)?lib/list_debug\.c",
                BUG,
                "BUG: corrupted list in {frame}",
            ),
            Signature(rb"[Kk]ernel BUG at ", BUG, "kernel BUG in {frame}"),
            Signature(rb"Kernel BUG (?P<what>[^\r\n]{1,120})", BUG, "kernel BUG {what}"),
            Signature(
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
                rb"(?:\S*/)?mm/\w+\.c",
                "WARNING: kmalloc bug in {frame}",
                rb"(?!free)[^\r\n]*k?.?malloc",
            ),
            _warning_in(rb"\S+", "WARNING in {frame}/usb_submit_urb", rb"usb_submit_urb"),
            Signature(
                rb"WARNING: CPU: [^\r\n]{1,40}? at (?:\[[^\]]*\] )?" + _SOURCE + rb" FUNCTION",
                WARNING,
                "WARNING in {frame}",
            ),
            Signature(  # before CPU had a word in it, and since 6.19
                rb"WARNING: (?:\[[^\]]*\] )?" + _SOURCE + rb"(?: at)? FUNCTION(?:\+0x|\(\)|, CPU#)",
                WARNING,
                "WARNING in {frame}",
            ),
            Signature(
                rb"WARNING: (?:CPU: [^\r\n]{1,40}? at |"
                + _SOURCE
                + rb" at (?:(?:0x)?[0-9a-f]{8}|[^\r\n]{0,80}, CPU#))",
                WARNING,
                "WARNING in {frame}",
            ),
            Signature(
                rb"WARNING: (?:possible (?:circular locking|recursive locking|irq lock inversion)"
                rb"|\S+-safe -> \S+-unsafe lock order)",
                WARNING,
                "possible deadlock in {frame}",
                bare="{line}",
            ),
            Signature(
                rb"WARNING: inconsistent lock state",
                WARNING,
                "inconsistent lock state in {frame}",
                frames=Frames.TRACE,
            ),
            Signature(
                rb"WARNING: (?P<what>bad unlock balance|held lock freed)",
                WARNING,
                "WARNING: {what} in {frame}",
            ),
            Signature(
                rb"WARNING: (?P<what>suspicious RCU usage)",
                WARNING,
                "WARNING: {what} in {frame}",
                frames=Frames.TRACE,
            ),
            Signature(
                rb"WARNING: [^\r\n]*still has locks held!",
                WARNING,
                "WARNING: still has locks held in {at}",
                more=_HELD_AT,
            ),
            Signature(
                rb"WARNING: Nested lock was not taken",
                WARNING,
                "WARNING: nested lock was not taken in {frame}",
            ),
            Signature(
                rb"WARNING: (?P<what>lock held when returning to user space"
                rb"|suspicious [^\r\n]{1,80})",
                WARNING,
                "WARNING: {what} in {frame}",
            ),
            Signature(
                rb"WARNING: kernel stack (?P<what>regs|frame pointer) at +\S+ in \S+ has bad"
                rb"(?P<which> '\w+')? value",
                WARNING,
                "WARNING: kernel stack {what} has bad{which} value",
            ),
            Signature(  # another message cut its line, or the console damaged it
                rb"WARNING: (?:CPU: [0-9]+ PID: |C?P?U?:? ?" + MESSAGE + rb")",
                WARNING,
                "WARNING",
            ),
            Signature(rb"WARNING: ODEBUG bug", WARNING, "WARNING: ODEBUG bug in {frame}"),
            Signature(
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
            Signature(
                rb"INFO: (?:possible (?:circular locking|recursive locking|irq lock inversion)"
                rb"|\S+-safe -> \S+-unsafe lock order)",
                WARNING,
                "possible deadlock in {frame}",
                bare="{line}",
            ),
            Signature(
                rb"INFO: inconsistent lock state",
                WARNING,
                "inconsistent lock state in {frame}",
                frames=Frames.TRACE,
            ),
            Signature(
                rb"INFO: (?P<what>suspicious RCU usage)",
                WARNING,
                "INFO: {what} in {frame}",
                frames=Frames.TRACE,
            ),
            Signature(
                rb"INFO: rcu_\w+ (?:self-)?detected(?: expedited)? stalls?",
                BUG,
                "INFO: rcu detected stall in {frame}",
                frames=Frames.CPU,
                repeats=True,
            ),
            Signature(
                rb"INFO: (?P<what>trying to register non-static key)",
                BUG,
                "INFO: {what} in {frame}",
                frames=Frames.TRACE,
            ),
            Signature(
                rb"INFO: task [^\r\n]{1,40} blocked (?:in I/O wait )?for more than [0-9]+ seconds",
                BUG,
                "INFO: task hung in {frame}",
                frames=Frames.WAITING,
                repeats=True,
            ),
            Signature(
                rb"INFO: (?P<what>(?:Allocated|Freed) in FUNCTION\+\S* age=[^\r\n]{1,60})",
                BUG,
                "INFO: {what}",
                follows=True,
            ),
            Signature(
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
            Signature(
                rb"Unable to handle kernel"
                rb" (?P<what>paging request|NULL pointer dereference|access to user memory)",
                OOPS,
                "BUG: unable to handle kernel {what} in {frame}",
                follows=True,
            ),
            Signature(
                rb"Unable to handle kernel (?P<what>pointer dereference|access)\b",
                OOPS,
                "BUG: unable to handle kernel {what} in {frame}",
                follows=True,
            ),
            Signature(
                rb"Unable to handle kernel", OOPS, "BUG: unable to handle kernel", follows=True
            ),
        ),
    ),
    (
        b"[#",
        (
            Signature(
                rb"[^\r\n]*?general protection fault[^\r\n]*\[#",
                OOPS,
                "general protection fault in {frame}",
                follows=True,
            ),
            Signature(rb"divide_error: [^\r\n]*\[#", OOPS, "divide error in {frame}", follows=True),
            Signature(rb"stack segment: ", OOPS, "stack segment fault in {frame}", follows=True),
            Signature(
                rb"(?P<what>divide|invalid|double|int3|bounds|coprocessor|alignment|debug)"
                rb"(?P<more>[ _](?:error|opcode|fault|TSS|segment overrun|check))?: [^\r\n]*\[#",
                OOPS,
                "{what}{more} in {frame}",
                follows=True,
            ),
            Signature(
                rb"Internal error: [^\r\n]*\[#", OOPS, "Internal error in {frame}", follows=True
            ),
            Signature(
                rb"(?P<what>\w[\w ,.-]{1,60}): [^\r\n]{0,60}\[#[0-9]{1,4}\]",
                OOPS,
                "{what} in {frame}",
                follows=True,
            ),
            Signature(rb"Oops ?\[#[0-9]{1,4}\]", OOPS, "Oops in {frame}", follows=True),
            Signature(  # of MIPS and SPARC
                rb"Kernel (?P<what>bug detected|bad [\w ]{1,20}?) ?\[#[0-9]{1,4}\]",
                OOPS,
                "kernel {what} in {frame}",
                follows=True,
            ),
        ),
    ),
    (
        b"Oops",
        (Signature(rb"(?<!syncing: )Oops(?:: | - )", OOPS, "Oops in {frame}", follows=True),),
    ),
    (
        b"general protection fault",
        (
            Signature(
                rb"general protection fault\b(?! ip:)[^\r\n]*:",
                OOPS,
                "general protection fault in {frame}",
                follows=True,
            ),
        ),
    ),
    (b"PANIC: ", (Signature(rb"PANIC: double fault", PANIC, "PANIC: double fault in {frame}"),)),
    (b"Unhandled fault: ", (Signature(rb"Unhandled fault: ", OOPS, "Unhandled fault in {frame}"),)),
    (
        b"Kernel mode fault",
        (
            Signature(
                rb"(?:Kernel panic - not syncing: )?Kernel mode fault at",
                PANIC,
                "Kernel mode fault in {frame}",
                Extent.REST,
                registers=True,
                fatal=True,
            ),
        ),
    ),
    (b"Alignment trap: ", (Signature(rb"Alignment trap: ", OOPS, "Alignment trap in {frame}"),)),
    (
        b"Kernel tried to access",
        (
            Signature(
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
            Signature(
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
            Signature(
                rb"Kernel panic - not syncing: stack-protector: ",
                PANIC,
                "kernel panic: stack is corrupted in {frame}",
                Extent.REST,
                fatal=True,
            ),
            Signature(
                rb"Kernel panic - not syncing: corrupted stack end",
                PANIC,
                "kernel panic: corrupted stack end in {frame}",
                Extent.REST,
                Frames.CPU,
                fatal=True,
            ),
            Signature(
                rb"Kernel panic - not syncing: kernel stack overflow",
                PANIC,
                "kernel stack overflow in {frame}",
                Extent.REST,
                Frames.CPU,
                fatal=True,
            ),
            Signature(
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
            Signature(
                rb"UBSAN: Undefined behaviour",
                SANITIZER,
                "UBSAN: undefined-behaviour in {frame}",
                Extent.RULER,
            ),
            Signature(
                rb"UBSAN: (?P<what>[\w-]+)", SANITIZER, "UBSAN: {what} in {frame}", Extent.RULER
            ),
        ),
    ),
    (
        b"Sanitizer:",
        (
            Signature(
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
            Signature(
                rb"[0-9]+:[0-9]+: runtime error: (?P<what>[^\r\n]{1,120})",
                SANITIZER,
                "runtime error: {what}",
            ),
        ),
    ),
    (
        b"LOCKUP",
        (
            Signature(
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
            Signature(
                rb"kmemleak: [0-9]+ new suspected memory leaks?",
                BUG,
                "kmemleak: new suspected memory leaks",
                Extent.LINE,
            ),
        ),
    ),
    (
        b"Disabling IRQ #",  # after the stack of an interrupt that nobody cared about
        (Signature(rb"Disabling IRQ #[0-9]+", BUG, "irq NUM: nobody cared", Extent.LINE),),
    ),
    (
        b"Sense Key : ",
        (
            Signature(
                rb"\[(?P<what>\w+)\] [^\r\n]{0,30}Sense Key : (?:Medium|Hardware) Error",
                BUG,
                "I/O error on {what}",
                Extent.LINE,
            ),
        ),
    ),
    (
        b"NETDEV WATCHDOG: CPU: ",
        (
            Signature(
                rb"NETDEV WATCHDOG: CPU: [0-9]+: transmit queue",
                BUG,
                "NETDEV WATCHDOG: transmit queue timed out",
                Extent.LINE,
            ),
        ),
    ),
    (
        b"CSD lock",
        (
            Signature(
                rb"Detected non-responsive CSD lock", BUG, "non-responsive CSD lock in {frame}"
            ),
        ),
    ),
    (
        b"CFI failure",
        (
            Signature(rb"CFI failure at (?P<at>FUNCTION)", BUG, "CFI failure in {at}"),
            Signature(rb"CFI failure \(target: (?P<at>FUNCTION)", BUG, "CFI failure: call of {at}"),
        ),
    ),
    (
        b"Slab c",
        (
            Signature(rb"Slab corruption ", BUG, "slab corruption in {frame}"),
            Signature(rb"Slab cache still has objects", BUG, "{line}", Extent.LINE),
        ),
    ),
    (
        b"Kernel Fault: ",
        (
            Signature(
                rb"Kernel Fault: Code=[0-9]+ \((?P<what>[^)]{1,60})\)",
                OOPS,
                "Kernel Fault: {what} in {frame}",
            ),
        ),
    ),
    (
        b"page allocation failure",
        (
            Signature(
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
    (b"BTRFS error", (Signature(rb"BTRFS error \(", BUG, "{line}", Extent.LINE),)),
    (b"BTRFS: error", (Signature(rb"BTRFS: error \(", BUG, "{line}", Extent.LINE),)),
    (
        b"BTRFS warning",
        (
            Signature(
                rb"BTRFS warning \([^)]*\): (?:csum failed|checksum (?:verify failed|error))",
                BUG,
                "BTRFS: checksum error",
                Extent.LINE,
            ),
        ),
    ),
    (
        b"SQUASHFS error",
        (
            Signature(
                rb"(?P<what>SQUASHFS error: (?!Can't find)[^\r\n]{1,80})",
                BUG,
                "{what}",
                Extent.LINE,
            ),
        ),
    ),
    (
        b"UBIFS error",
        (
            Signature(
                rb"UBIFS error \([^)]*\):? (?P<what>\w+)", BUG, "UBIFS error: {what}", Extent.LINE
            ),
        ),
    ),
    (
        b"F2FS-fs (",
        (
            Signature(
                rb"F2FS-fs \([^)]*\): "
                rb"(?P<what>[^\r\n]{0,60}?(?:[Ii]nconsistent|[Cc]orrupt)[^\r\n]{0,40})",
                BUG,
                "F2FS: {what}",
                Extent.LINE,
            ),
        ),
    ),
    (b"BTRFS critical", (Signature(rb"BTRFS critical \(", BUG, "{line}", Extent.LINE),)),
    (
        b"FAT-fs (",
        (
            Signature(
                rb"exFAT-fs \([^)]*\): error, (?P<what>[^\r\n]{1,80})",
                BUG,
                "exFAT-fs error: {what}",
                Extent.LINE,
            ),
            Signature(
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
            Signature(
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
            Signature(
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
            Signature(
                rb"unregister_netdevice: waiting for \S+ to become free",
                BUG,
                "unregister_netdevice: waiting for DEV to become free",
                Extent.LINE,
            ),
        ),
    ),
    (
        b"VFS: ",
        (
            Signature(
                rb"VFS: Close: file count is 0",
                BUG,
                "VFS: Close: file count is zero (use-after-free)",
                Extent.LINE,
            ),
            Signature(
                rb"VFS: Busy inodes after unmount",
                BUG,
                "VFS: Busy inodes after unmount (use-after-free)",
                Extent.LINE,
            ),
        ),
    ),
)

WORDS: tuple[bytes, ...] = tuple(words for words, _ in TABLE)
