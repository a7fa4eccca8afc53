# SPDX-License-Identifier: GPL-2.0-only
"""Sanitizers, and what memory, devices and file systems say of themselves."""

from __future__ import annotations

from lkltest.verdict.signatures.form import (
    BUG,
    OOPS,
    SANITIZER,
    SANITIZERS,
    WARNING,
    Extent,
    Frames,
    Rows,
    Signature,
)

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

SUBSYSTEMS: Rows = (
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
                rb"(?:ERROR: |SUMMARY: )?" + SANITIZERS + rb":\s?(?P<what>[^\r\n]{0,80})",
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
