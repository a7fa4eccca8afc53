# SPDX-License-Identifier: GPL-2.0-only
"""net: a network device of each back end, ICMP echo, and a TCP echo with a checksum both ways.

No network but the run's own is touched: devices are made in its namespace, where the peer is.
"""

import contextlib
import os
from pathlib import Path

import pytest

from lkltest.host.api import Interface
from lkltest.plugin.suite_run import SuiteRun
from lkltest.sandbox.netdev import Network
from lkltest.verdict.results import Outcome

from .frame_wire import FrameWire

KERNEL, KERNEL6 = "192.168.113.2", "fc03::2"
PEER, PEER6 = "192.168.113.1", "fc03::1"
PEER_ADDRESSES = (f"{PEER}/24", f"{PEER6}/64")
TCP_PORT = 7007
TCP_BYTES = 4 << 20


@pytest.mark.parametrize("backend", ["loopback", "pipe", "tap", "raw", "macvtap"])
def test_net(lkl: SuiteRun, backend: str) -> None:
    lkl.need("net-test")
    lkl.require("net", f"net:{backend}")
    if backend == "loopback":
        environment = extras(lkl, "::1")
        lkl.run("net-test", "--backend", "loopback", "--dst", "127.0.0.1", environment=environment)
    elif backend == "pipe":
        run_pair(lkl)
    else:
        network = lkl.network(mounts=backend == "macvtap")
        run_with_peer(lkl, backend, network, make_interface(network, backend))


def run_pair(lkl: SuiteRun) -> None:
    """Two kernels, joined by FIFOs; the second serves the first one's TCP echo."""
    if not lkl.build.has("LKLTEST_NET_TCP"):
        run_upstream_pair(lkl)
        return
    up, down = make_fifos(lkl, "up", "down")
    common = ("--backend", "pipe", "--netmask-len", "24")
    server = lkl.start(
        *("net-test", *common, "--ifname", f"{down}|{up}", "--ip", PEER),
        environment={"LKLTEST_TCP_LISTEN": "2", "LKLTEST_IP6": PEER6},
    )
    # Its address is set then. A ping before that is lost, and the program waits a second for one.
    server.wait_for("sleep", lkl.deadlines.plan)
    lkl.run(
        *("net-test", *common, "--ifname", f"{up}|{down}", "--ip", KERNEL, "--dst", PEER),
        environment=extras(lkl, PEER6, KERNEL6),
    )


def run_upstream_pair(lkl: SuiteRun) -> None:
    """Upstream's programs: the second cannot serve, it stays up until it is ended."""
    common = ("--backend", "pipe", "--netmask-len", "24")
    with contextlib.ExitStack() as stack:
        if lkl.host.network() is None:
            a_in, a_out, b_in, b_out = make_fifos(lkl, "a-in", "a-out", "b-in", "b-out")
            stack.enter_context(FrameWire(a_out, b_in, b_out, a_in))
        else:  # their FIFOs are on another machine, where nothing of ours could stand between
            a_in, a_out = b_out, b_in = make_fifos(lkl, "up", "down")
        server = lkl.start(
            *("net-test", *common, "--ifname", f"{b_in}|{b_out}", "--ip", PEER),
            *("--sleep", "1800"),
            ends_itself=False,
        )
        server.wait_for("sleep", lkl.deadlines.plan)
        lkl.run(
            *("net-test", *common, "--ifname", f"{a_in}|{a_out}", "--ip", KERNEL, "--dst", PEER),
            environment=extras(lkl, PEER6, KERNEL6),
        )


def make_fifos(lkl: SuiteRun, *names: str) -> list[Path]:
    paths = [lkl.scope.folder / name for name in names]
    for path in paths:
        os.mkfifo(path)
    return paths


def make_interface(network: Network, backend: str) -> Interface:
    """The kernel's end of a wire whose other end has the peer's addresses."""
    if backend == "tap":
        return Interface(network.tap("tap0", PEER_ADDRESSES).name)
    network.veth("v0", "v1", PEER_ADDRESSES)
    if backend == "raw":
        # Without a card that would do it, a checksum left to the card is never made.
        network.offload_off("v1")
        return Interface("v0")
    return Interface("macvtap0", network.macvtap("macvtap0", "v0"))


def run_with_peer(lkl: SuiteRun, backend: str, network: Network, interface: Interface) -> None:
    """One kernel at the end of a real wire, an echo peer on the host's side of it."""
    with network.echo((PEER, PEER6), TCP_PORT) as peer:
        result = lkl.run(
            *("net-test", "--backend", backend, "--ifname", interface, "--ip", KERNEL),
            *("--netmask-len", "24", "--dst", PEER),
            environment=extras(lkl, PEER6, KERNEL6),
        )
    if lkl.build.has("LKLTEST_NET_TCP") and peer is not None:
        tried = [point for point in result.points if point.name in ("tcp", "tcp6")]
        expected = TCP_BYTES * sum(point.outcome is not Outcome.SKIPPED for point in tried)
        log = "\n".join([f"{peer.echoed} of {expected} bytes echoed", *peer.errors])
        lkl.point("tcp_peer", peer.echoed == expected and not peer.errors, log)


def extras(lkl: SuiteRun, destination6: str, address6: str | None = None) -> dict[str, str]:
    """Abilities of lkltest's own programs alone, asked for through the environment."""
    environment: dict[str, str] = {}
    if lkl.build.has("LKLTEST_NET_TCP"):
        environment |= {"LKLTEST_TCP": str(TCP_BYTES), "LKLTEST_TCP_PORT": str(TCP_PORT)}
    else:
        lkl.skip_point("tcp", "only lkltest's own net-test has a TCP echo")
    if lkl.build.has("LKLTEST_NET_IPV6"):
        environment["LKLTEST_DST6"] = destination6
        if address6:
            environment |= {"LKLTEST_IP6": address6, "LKLTEST_NETMASK6_LEN": "64"}
    else:
        lkl.skip_point("icmp6", "only lkltest's own net-test has IPv6")
    return environment
