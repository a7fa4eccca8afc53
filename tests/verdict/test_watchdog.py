# SPDX-License-Identifier: GPL-2.0-only
"""lkltest.verdict.watchdog: a kernel's word that it hangs, and what only looks like one."""

import pytest

from lkltest.verdict.watchdog import Watchdog


@pytest.mark.parametrize(
    "line",
    [
        "[   24.080000] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:27]",
        "<0>[   24.080000][   T27] watchdog: BUG: soft lockup - CPU#0 stuck for 22s! [sh:27]",
        "NMI watchdog: Watchdog detected hard LOCKUP on cpu 0",
        "[   10.160000] INFO: task sh:26 blocked for more than 5 seconds.",
        "[   10.160000] INFO: task sh:26 blocked in I/O wait for more than 120 seconds.",
        "[   60.000000] rcu: INFO: rcu_sched self-detected stall on CPU",
        "[   60.000000] rcu: INFO: rcu_preempt detected stalls on CPUs/tasks:",
    ],
)
def test_a_report_is_known_however_it_arrives(line: str) -> None:
    stream = f"1..1\n* 1 hang\n{line}\r\n".encode()
    assert Watchdog().feed(stream)
    bit_by_bit = Watchdog()
    assert any(bit_by_bit.feed(stream[at : at + 1]) for at in range(len(stream)))


@pytest.mark.parametrize(
    "text",
    [
        "  [   10.2] INFO: task host0:1 blocked for more than 5 seconds.\n",  # in a point's log
        "ok 1 soft lockup - CPU#0 is found\n",
        "# BUG: soft lockup - CPU#0\n",
        "[    1.0] lkdtm: Performing direct entry SOFTLOCKUP\n",
        "[    0.5] watchdog: Delayed init of the lockup detector failed: -19\n",
        "[    0.5] PCI: detected stall\n",
        "",
    ],
)
def test_what_is_no_report(text: str) -> None:
    assert not Watchdog().feed(text.encode())
