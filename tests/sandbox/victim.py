# SPDX-License-Identifier: GPL-2.0-only
"""A runner to be killed: `victim.py KIND [PID]`. Prints a line before it starts and one when done.

The programs it runs are as hard to end as can be: daemons in sessions of their own that ignore
SIGTERM and SIGHUP and hold the terminal, beside a program that does the same.
"""

import os
import pty
import signal
import sys
import time

from lkltest.sandbox.scope import NAMESPACE, SUBREAPER, Isolation, Scope, probe

HARD_TO_END = """
trap '' TERM HUP INT
( setsid sh -c 'trap "" TERM HUP INT; sleep 1000 & sleep 1000' & )
setsid sh -c '( sleep 1000 & ) ; sleep 1000' &
sleep 1000
"""


def main() -> None:
    """Open a scope of the kind, run something in it, wait to be killed."""
    kind, pid = sys.argv[1], int(sys.argv[2]) if len(sys.argv) > 2 else None
    if kind == "nohup":
        signal.signal(signal.SIGHUP, signal.SIG_IGN)
    if kind == "devices":
        import pyroute2  # noqa: F401  # so that the kill meets what comes after it

        import lkltest.sandbox.netns  # noqa: F401
    devices = kind == "devices"
    isolation = {"subreaper": Isolation(SUBREAPER)}.get(kind, probe())
    print("start", flush=True)
    with Scope(network=devices, mounts=devices, isolation=isolation, join=pid) as scope:
        master, slave = pty.openpty()
        scope.spawn(
            ["sh", "-c", HARD_TO_END], stdin=slave, stdout=slave, stderr=slave, terminal=True
        )
        os.close(slave)
        if devices and isolation.kind == NAMESPACE:
            make_devices(scope)
        print(scope.folder, flush=True)
        time.sleep(1000)
        os.close(master)


def make_devices(scope: Scope) -> None:
    """One of each kind, and leave the network open."""
    from lkltest.sandbox.netdev import Network, missing_network

    network = Network(scope).__enter__()
    network.veth("left", "right", ["192.0.2.1/24", "fc03::1/64"])
    if not missing_network(tap=True):
        network.tap("tap0", ["198.51.100.1/24"])
    if not missing_network(macvtap=True):
        network.macvtap("macvtap0", "left")
    network.listen("192.0.2.1")


if __name__ == "__main__":
    main()
