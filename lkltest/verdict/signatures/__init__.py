# SPDX-License-Identifier: GPL-2.0-only
"""The table of signatures: how a kernel says that something went wrong, a row a form. Pure.

Sources: what panic(), die(), __warn(), lockdep, the RCU and hung task watchdogs, SLUB, the out of
memory killer, kmemleak and the file systems print; the reports of KASAN, KCSAN, KMSAN, KFENCE and
UBSAN; compiler-rt's for programs built with -fsanitize.

`WARNING: ` and `INFO: ` are closed lists of forms: boot notices and user programs say them, too.
"""

from __future__ import annotations

from lkltest.verdict.signatures.faults import FAULTS
from lkltest.verdict.signatures.form import Rows
from lkltest.verdict.signatures.reports import REPORTS
from lkltest.verdict.signatures.subsystems import SUBSYSTEMS

TABLE: Rows = (*REPORTS, *FAULTS, *SUBSYSTEMS)
WORDS: tuple[bytes, ...] = tuple(words for words, _ in TABLE)
