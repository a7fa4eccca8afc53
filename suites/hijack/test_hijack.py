# SPDX-License-Identifier: GPL-2.0-only
"""hijack: ordinary programs whose system calls the preloaded library gives to a kernel of theirs.

Each program starts a kernel of its own, with what a JSON file says. Nothing sleeps: what has to be
there is waited for.
"""

import json
import os
import re
import shutil
import time
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from lkltest.deadline import Deadline
from lkltest.host.disk import find_tool, run_tool
from lkltest.host.helper import Helper
from lkltest.plugin.suite_run import SuiteRun
from lkltest.verdict.exit_status import exit_problem

MACS = ("aa:bb:cc:dd:ee:ff", "aa:bb:cc:dd:ee:aa")
NEIGHBOURS = ("12:34:56:78:9a:bc", "12:34:56:78:9a:be")
PORT = "11223"
_ANSWERED = r"\b[1-9]\d* received"
_UNREACHABLE = re.compile(r"Destination (Host Unreachable|unreachable: Address unreachable)")
"""The words of ping(8), which ends with them when nobody has answered for three seconds."""
_PACKAGES = {"ping": "iputils-ping", "ip": "iproute2", "tc": "iproute2", "netperf": "netperf"}
_NETPERF = {
    "tcp_rr": ("TCP_RR", ""),
    "tcp_stream": ("TCP_STREAM", ""),
    "tcp_maerts": ("TCP_MAERTS", ""),
    "stream, tso and csum": ("TCP_STREAM", "0x883"),
    "maerts, csum and tso": ("TCP_MAERTS", "0x883"),
    "maerts, csum, tso and mrg_rxbuf": ("TCP_MAERTS", "0x8803"),
}


@pytest.mark.parametrize("part", ["basic", "pipe", "tap", "vde"])
def test_hijack(lkl: SuiteRun, part: str) -> None:
    lkl.need("liblkl-hijack.so")
    lkl.require("preload")
    if part != "basic" and not lkl.build.has("LKL_HOST_CONFIG_JSMN"):
        pytest.skip(f"build {lkl.build.directory.name} reads no JSON (libjsmn)")
    if part == "vde":
        require_vde(lkl)
    if part in ("tap", "vde"):
        lkl.network()  # before all else, which runs in it
    hijack = Hijack(lkl, {"LD_PRELOAD": str(lkl.file("liblkl-hijack.so"))})
    {"basic": basic, "pipe": pipe, "tap": tap, "vde": vde}[part](hijack)


def require_vde(lkl: SuiteRun) -> None:
    """Skip the test where the library knows no VDE, or there is no switch for it."""
    if not lkl.build.has("LKL_HOST_CONFIG_VIRTIO_NET_VDE"):
        pytest.skip(f"build {lkl.build.directory.name} has no VDE: make -C tools/lkl vde=yes")
    if find_tool("vde_switch") is None:
        pytest.skip("vde_switch is missing: apt-get install vde2")


def test_zpoline(lkl: SuiteRun) -> None:
    lkl.need("liblkl-zpoline.so")
    lkl.require("preload")
    lowest = Path("/proc/sys/vm/mmap_min_addr").read_text(encoding="ascii").strip()
    if lowest != "0":
        pytest.skip(f"page 0 cannot be mapped: sysctl vm.mmap_min_addr is {lowest}")
    place = lkl.build.features.get("LKL_HOST_CONFIG_ZPOLINE_DIR", "")
    if not Path(place, "libzpoline.so").is_file():
        pytest.skip("libzpoline.so is missing: build LKL with ZPOLINE_DIR=DIR")
    library = lkl.file("liblkl-zpoline.so")
    preload = {
        "LD_PRELOAD": f"{place}/libzpoline.so",
        "LIBZPHOOK": str(library),
        "LKL_HIJACK_ZPOLINE": "1",  # or each of the library's two copies starts a kernel
    }
    basic(Hijack(lkl, preload))


class Hijack:
    """Programs under the library; each that is tried is a test point."""

    def __init__(self, lkl: SuiteRun, environment: Mapping[str, str]) -> None:
        self.lkl = lkl
        self._environment = environment
        self._files = 0

    def try_(
        self,
        point: str,
        command: Sequence[str],
        *expected: str,
        config: Mapping[str, Any] | None = None,
        environment: Mapping[str, str] | None = None,
        lines: int | None = None,
        wire: str | None = None,
    ) -> None:
        """A test point: the command ends with status 0 and prints what is expected.

        It is repeated while another kernel that it asks for is not there yet. Without the library
        most commands would do the same, so each shows that it had it: by what it prints, or because
        `wire`, the host's end of a device, has heard from the kernel.
        """
        program = self.program(command[0])
        if program is None:
            package = _PACKAGES.get(command[0], command[0])
            self.lkl.skip_point(point, f"{command[0]} is missing: apt-get install {package}")
            return
        settings = {**self._configured(config), **(environment or {})}
        heard = self._heard(wire)
        limit = Deadline(self.lkl.deadlines.plan)
        while True:
            began = time.monotonic()
            ended, said = self.lkl.tool(program, *command[1:], environment=settings)
            seconds = time.monotonic() - began
            if not _UNREACHABLE.search(said) or limit.expired:
                break
        wrong = [f"not found: {text}" for text in expected if not re.search(text, said, re.M)]
        if wire and self._heard(wire) == heard:
            wrong.append(f"nothing came to {wire}: {command[0]} did without the library")
        if problem := exit_problem(ended):
            wrong.append(problem.reason)
        if lines is not None and len(said.splitlines()) != lines:
            wrong.append(f"printed {len(said.splitlines())} lines, not {lines}")
        if "WARN: failed to free" in said:
            wrong.append("memory was not freed")
        self.lkl.point(point, not wrong, "\n".join([said.rstrip("\n"), *wrong]), seconds)

    def _heard(self, device: str | None) -> int:
        """The packets that a device of the run's network has received (proc(5), net/dev)."""
        text = Path(f"/proc/{self.lkl.scope.pid}/net/dev").read_text(encoding="ascii")
        found = re.search(rf"^ *{re.escape(device)}: *\d+ +(\d+)", text, re.M) if device else None
        return int(found[1]) if found else 0

    def start(self, config: Mapping[str, Any]) -> Helper:
        """A kernel that is there until it is stopped."""
        program = self.program("sleep")
        assert program is not None
        environment = self._configured(config)
        return self.lkl.start(
            program, "1800", environment=environment, ends_itself=False, tap=False
        )

    def program(self, name: str) -> str | None:
        """The program; ping as a copy, whose file capabilities do not keep the library away."""
        found = find_tool(name)
        if found is None or name != "ping":
            return found
        copy = self.lkl.scope.folder / name
        if not copy.exists():
            shutil.copy(found, copy)
        return str(copy)

    def _configured(self, config: Mapping[str, Any] | None) -> dict[str, str]:
        if config is None:
            return dict(self._environment)
        self._files += 1
        file = self.lkl.scope.folder / f"hijack-{self._files}.json"
        file.write_text(json.dumps(config), encoding="utf-8")
        return {**self._environment, "LKL_HIJACK_CONFIG_FILE": str(file)}


def basic(hijack: Hijack) -> None:
    """The kernel's own loopback device, and what the configuration can say."""
    told = {"LKL_HIJACK_DEBUG": "1"}
    names = ("Linux version", r"127\.0\.0\.1/8", r"::1/128")
    hijack.try_("ip addr", ["ip", "addr"], *names, environment=told)
    hijack.try_("ip route", ["ip", "route"], "Linux version", environment=told)
    # The host's own loopback device says another ttl.
    ours = {"LKL_HIJACK_SYSCTL": "net.ipv4.ip_default_ttl=77;net.ipv6.conf.lo.hop_limit=77"}
    answer = (_ANSWERED, "ttl=77")
    hijack.try_("ping", ["ping", "-c", "1", "127.0.0.1"], *answer, environment=ours)
    hijack.try_("ping6", ["ping", "-6", "-c", "1", "::1"], *answer, environment=ours)
    if not hijack.lkl.build.has("LKL_HOST_CONFIG_JSMN"):
        return
    dumped = {
        "mount": "proc,sysfs",
        "dump": "/sysfs/class/net/lo/mtu,/sysfs/class/net/lo/dev_id",
        "debug": "1",
    }
    hijack.try_("mount and dump", ["true"], "^65536", "0x0", config=dumped)
    set_ = {
        "mount": "proc",
        "sysctl": "net.ipv4.ip_default_ttl=77",
        "dump": "/proc/sys/net/ipv4/ip_default_ttl",
        "debug": "1",
    }
    hijack.try_("sysctl", ["true"], "^77", config=set_)
    quiet = {"debug": "1", "boot_cmdline": "loglevel=1"}
    hijack.try_("command line", ["true"], config=quiet, lines=1)


def pipe(hijack: Hijack) -> None:
    """Two kernels, joined by two FIFOs."""
    up, down = hijack.lkl.scope.folder / "up", hijack.lkl.scope.folder / "down"
    os.mkfifo(up)
    os.mkfifo(down)
    alone = configuration([interface("pipe", f"{up}|{down}", 2)])
    hijack.try_("set up", ["ip", "addr"], "eth0", address(2), MACS[0], config=alone)
    peer = hijack.start(configuration([interface("pipe", f"{up}|{down}", 1)], gateway=2))
    here = configuration([interface("pipe", f"{down}|{up}", 2)])
    for point, words in {"ping": [address(1)], "ping6": ["-6", address6(1)]}.items():
        hijack.try_(point, ["ping", "-c", "1", "-w", "30", *words], _ANSWERED, config=here)
    peer.stop()


def tap(hijack: Hijack) -> None:
    """Kernels at a TAP device of the run's own network."""
    network = hijack.lkl.network()
    for number in range(2):
        network.tap(f"tap{number}", (f"{address(1, number)}/24", f"{address6(1, number)}/64"))
    first, second = interface("tap", "tap0", 2), interface("tap", "tap1", 2, number=1)
    one = configuration([first])
    names = ("eth0", address(2), MACS[0], address6(2))
    hijack.try_("set up", ["ip", "addr"], *names, config={**one, "boot_cmdline": "", "debug": "1"})
    ping(hijack, one, 0)
    be_pinged(hijack, one)
    neighbours(hijack, [first], "")
    for point, (test, offload) in _NETPERF.items():
        netperf(hijack, point, test, {**first, **({"offload": offload} if offload else {})})
    fq = configuration([{**first, "qdisc": "root|fq"}])
    hijack.try_("qdisc", ["tc", "-s", "-d", "qdisc", "show"], "qdisc fq", "throttled", config=fq)
    both = configuration([first, second])
    more = ("eth1", address(2, 1), MACS[1], address6(2, 1))
    hijack.try_("two interfaces", ["ip", "addr"], *names, *more, config=both)
    for number in range(2):
        ping(hijack, both, number, f" (two interfaces, {number})")
    neighbours(hijack, [first, second], " (two interfaces)")
    tables(hijack, [first, second])


def vde(hijack: Hijack) -> None:
    """A kernel at a switch of VDE's, which has the host's TAP device, too."""
    lkl, place, program = hijack.lkl, hijack.lkl.scope.folder / "switch", find_tool("vde_switch")
    assert program is not None
    lkl.network().tap("tap0", (f"{address(1)}/24", f"{address6(1)}/64"))
    words = ("-t", "tap0", "-s", str(place))
    switch = lkl.start(program, *words, ends_itself=False, tap=False)
    there = switch.wait_until((place / "ctl").exists, lkl.deadlines.plan)
    lkl.point("switch", there, "" if there else switch.told())
    if not there:
        return
    config = configuration([interface("vde", str(place), 2)])
    names = ("eth0", address(2), MACS[0], address6(2))
    hijack.try_("set up", ["ip", "addr"], *names, config={**config, "boot_cmdline": ""})
    ping(hijack, config, 0)
    be_pinged(hijack, config)
    switch.stop()


def ping(hijack: Hijack, config: Mapping[str, Any], number: int, more: str = "") -> None:
    """The kernel reaches the host."""
    for point, words in {
        "ping": [address(1, number)],
        "ping6": ["-6", address6(1, number)],
    }.items():
        command = ["ping", "-c", "1", "-w", "30", *words]
        hijack.try_(f"{point}{more}", command, _ANSWERED, config=config, wire=f"tap{number}")


def be_pinged(hijack: Hijack, config: Mapping[str, Any]) -> None:
    """The host reaches the kernel, 65 times; once it answers at all."""
    points = {"ping the kernel": [address(2)], "ping6 the kernel": ["-6", address6(2)]}
    if find_tool("ping") is None:
        for point in points:
            hijack.lkl.skip_point(point, "ping is missing: apt-get install iputils-ping")
        return
    lkl = hijack.lkl
    kernel = hijack.start(config)
    limit = Deadline(lkl.deadlines.plan)
    for point, words in points.items():
        while run_tool(lkl.scope, ("ping", "-c", "1", "-W", "1", *words), None)[0] != 0:
            if limit.expired:
                break
        command = ("ping", "-q", "-i", "0.01", "-c", "65", *words)
        began = time.monotonic()
        status, said = run_tool(lkl.scope, command, None)
        seconds = time.monotonic() - began
        lkl.point(point, status == 0 and " 0% packet loss" in said, said, seconds)
    kernel.stop()


def neighbours(hijack: Hijack, interfaces: list[dict[str, str]], more: str) -> None:
    """Neighbours that the configuration names, and the gateways."""
    known = [f"{address(100)}|{NEIGHBOURS[0]}", f"{address6(100)}|{NEIGHBOURS[1]}"]
    config = configuration([{**interfaces[0], "neigh": ";".join(known)}, *interfaces[1:]])
    show = {
        "neighbours": (["ip", "neighbor", "show"], NEIGHBOURS),
        "gateway": (["ip", "route", "show"], (f"default via {address(1)}",)),
        "gateway of IPv6": (["ip", "-6", "route", "show"], (f"default via {address6(1)}",)),
    }
    for point, (command, expected) in show.items():
        hijack.try_(f"{point}{more}", command, *expected, config=config)


def tables(hijack: Hijack, interfaces: list[dict[str, str]]) -> None:
    """A routing table for each interface and family."""
    gateways = [
        {"ifgateway": address(1, number), "ifgateway6": address6(1, number)} for number in range(2)
    ]
    config = configuration(
        [{**one, **more} for one, more in zip(interfaces, gateways, strict=True)]
    )
    show = ["ip", "rule", "show"]
    hijack.try_("rules", show, address(2), address(2, 1), config=config)
    show6 = ["ip", "-6", "rule", "show"]
    hijack.try_("rules of IPv6", show6, address6(2), address6(2, 1), config=config)
    for table, (option, expected) in {
        "4": ("-4", [address(1)]),
        "5": ("-6", ["fc03::", address6(1)]),
        "6": ("-4", [address(1, 1)]),
        "7": ("-6", ["fc04::", address6(1, 1)]),
    }.items():
        show = ["ip", option, "route", "show", "table", table]
        hijack.try_(f"table {table}", show, *expected, config=config)


def netperf(hijack: Hijack, point: str, test: str, device: dict[str, str]) -> None:
    """A measurement against a server on the host's side of the wire."""
    lkl, name = hijack.lkl, f"netperf {point}"
    server = find_tool("netserver")
    if server is None or find_tool("netperf") is None:
        lkl.skip_point(name, "netperf is missing: apt-get install netperf (non-free)")
        return
    serving = lkl.start(server, "-D", "-p", PORT, ends_itself=False, tap=False)
    listening = ("ss", "-Hltn", f"sport = :{PORT}")
    serving.wait_until(lambda: bool(run_tool(lkl.scope, listening, None)[1]), lkl.deadlines.plan)
    command = ["netperf", "-p", PORT, "-H", address(1), "-t", test, "-l", "1"]
    hijack.try_(name, command, config=configuration([device]), wire="tap0")
    serving.stop()


def interface(kind: str, parameter: str, host: int, *, number: int = 0) -> dict[str, str]:
    """An interface of the configuration with address `host` in network `number`."""
    return {
        "type": kind,
        "param": parameter,
        "ip": address(host, number),
        "masklen": "24",
        "ipv6": address6(host, number),
        "masklen6": "64",
        "mac": MACS[number],
    }


def configuration(interfaces: list[dict[str, str]], gateway: int = 1) -> dict[str, Any]:
    """The whole file. The kernel does not wait for others with its addresses, which takes seconds:
    the point "set up" has that.
    """
    gateways = {"gateway": address(gateway), "gateway6": address6(gateway)}
    quick = " ".join(f"sysctl.net.ipv6.conf.eth{n}.accept_dad=0" for n in range(len(interfaces)))
    return {**gateways, "boot_cmdline": quick, "interfaces": interfaces}


def address(host: int, number: int = 0) -> str:
    """An address in the network of an interface."""
    return f"192.168.{113 + number}.{host}"


def address6(host: int, number: int = 0) -> str:
    """The same in IPv6."""
    return f"fc0{3 + number}::{host}"
