# SPDX-License-Identifier: GPL-2.0-only
"""Reports that say BUG, WARNING or INFO: of the kernel's own checks and watchdogs."""

from __future__ import annotations

import re

from lkltest.tap.patterns import MESSAGE
from lkltest.verdict.signatures.form import (
    BUG,
    FUNCTION,
    SANITIZER,
    SANITIZERS,
    WARNING,
    Extent,
    Frames,
    Rows,
    Signature,
)

_SOURCE = rb"[\w./+-]+\.[chS]:[0-9]+"
_ACCESS = re.compile(rb"\b(?P<access>Read|Write) (?:of size|at addr)")
_HELD_AT = re.compile(rb", at: (?:\[<[0-9a-f]+>\] )?(?P<at>" + FUNCTION + rb")")


def _warning_in(sources: bytes, title: str, functions: bytes = rb"\S*") -> Signature:
    """Return the row for the kernel's own WARNING where it is from certain files."""
    where = rb"WARNING: (?:CPU: [^\r\n]{1,40}? at )?(?:\[[^\]]*\] )?"
    return Signature(where + sources + rb":[0-9]+(?: at)? " + functions, WARNING, title)


REPORTS: Rows = (
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
                rb"WARNING: " + SANITIZERS + rb": (?P<what>[^\r\n(]{1,80})",
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
)
