# SPDX-License-Identifier: GPL-2.0-only
"""Faults that a processor saw, and the end of the kernel."""

from __future__ import annotations

from lkltest.verdict.signatures.form import OOPS, PANIC, Extent, Frames, Rows, Signature

FAULTS: Rows = (
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
            Signature(  # a console may damage what follows the word
                rb"Kernel panic - not (?:syncing: )?"
                rb"(?P<what>Attempted to kill init!|[^\r\n]{0,160})",
                PANIC,
                "kernel panic: {what}",
                Extent.REST,
                fatal=True,
            ),
        ),
    ),
)
