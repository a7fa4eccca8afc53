# SPDX-License-Identifier: GPL-2.0-only
"""Network devices in the namespace of a scope: real ones."""

import json
import os
import shutil
import signal
import socket
import struct
import subprocess
import sys
import threading
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path
from typing import Any

import pytest

from lkltest.sandbox import netdev
from lkltest.sandbox.isolation import SUBREAPER, Isolation
from lkltest.sandbox.netdev import MissingNetwork, Network, Tap, missing_network
from lkltest.sandbox.scope import Scope, ScopeError
from tests.census import MARKER, Census, new_marker
from tests.other_user import run_tests

pytestmark = pytest.mark.skipif(missing_network() is not None, reason=str(missing_network()))
needs_tap = pytest.mark.skipif(
    missing_network(tap=True) is not None, reason=str(missing_network(tap=True))
)
needs_macvtap = pytest.mark.skipif(
    missing_network(macvtap=True) is not None, reason=str(missing_network(macvtap=True))
)
VICTIM = Path(__file__).with_name("victim.py")


@pytest.fixture
def scope() -> Iterator[Scope]:
    with Scope(network=True, mounts=True) as opened:
        yield opened


@pytest.fixture
def network(scope: Scope) -> Iterator[Network]:
    with Network(scope) as opened:
        yield opened


def seen(scope: Scope, *argv: str) -> str:
    """The stdout of a program in the scope."""
    reading, writing = os.pipe()
    child = scope.spawn(argv, stdout=writing, stderr=writing)
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        text = file.read()
    assert child.wait(10) == 0, text
    return text


def links(scope: Scope) -> dict[str, Any]:
    """The devices of a scope by name, as ip(8) in it shows them."""
    if shutil.which("ip") is None:
        pytest.skip("ip is missing: apt-get install iproute2")
    return {link["ifname"]: link for link in json.loads(seen(scope, "ip", "-d", "-j", "addr"))}


def addresses(link: dict[str, Any]) -> dict[str, Any]:
    return {f"{info['local']}/{info['prefixlen']}": info for info in link["addr_info"]}


def attach(scope: Scope, name: str, flags: int) -> None:
    """Attach to a TAP device as a program in the scope does."""
    code = (
        "import fcntl, os, struct, sys\n"
        "tun = os.open('/dev/net/tun', os.O_RDWR)\n"
        "fcntl.ioctl(tun, 0x400454CA, struct.pack('16sH22x', sys.argv[1].encode(),"
        " int(sys.argv[2])))\n"
    )
    assert seen(scope, sys.executable, "-I", "-S", "-c", code, name, str(flags)) == ""


def test_loopback_is_up(scope: Scope, network: Network) -> None:
    assert "UP" in links(scope)["lo"]["flags"]
    with network.listen("127.0.0.1") as server, network.open_socket(socket.AF_INET) as client:
        client.connect(server.getsockname())


@needs_tap
def test_tap(scope: Scope, network: Network) -> None:
    wanted = ["192.168.113.1/24", "fc03::1/64"]
    assert network.tap("lkltap", wanted) == Tap("lkltap", tuple(wanted))
    link = links(scope)["lkltap"]
    assert "UP" in link["flags"]
    assert link["linkinfo"]["info_data"]["type"] == "tap"
    assert set(wanted) <= set(addresses(link))
    assert not addresses(link)["fc03::1/64"].get("tentative")
    for address in ("192.168.113.1", "fc03::1"):
        network.listen(address).close()
    attach(scope, "lkltap", 0x0002 | 0x1000 | 0x4000)  # LKL's: IFF_TAP, IFF_NO_PI, IFF_VNET_HDR
    attach(scope, "lkltap", 0x0002 | 0x1000)
    assert "lkltap" in links(scope)  # persistent


def test_veth(scope: Scope, network: Network) -> None:
    network.veth("left", "right", ["192.168.114.1/24", "fc04::1/64"])
    found = links(scope)
    assert {"UP", "LOWER_UP"} <= set(found["left"]["flags"]) & set(found["right"]["flags"])
    assert {"192.168.114.1/24", "fc04::1/64"} <= set(addresses(found["right"]))
    network.listen("fc04::1").close()


def test_veth_finishes_checksums(network: Network) -> None:
    """A packet socket on one end sees a right UDP checksum from the other."""
    network.veth("left", "right", ["192.168.114.1/24"])
    raw = network.open_socket(socket.AF_PACKET, socket.SOCK_RAW)
    raw.bind(("left", 0x0800))
    raw.settimeout(5)
    sender = network.open_socket(socket.AF_INET, socket.SOCK_DGRAM)
    sender.setsockopt(socket.SOL_SOCKET, socket.SO_BROADCAST, 1)
    sender.bind(("192.168.114.1", 0))
    sender.sendto(b"lkltest!", ("192.168.114.255", 9))
    packet = raw.recv(2048)[14:]
    datagram = packet[20:]
    pseudo = packet[12:20] + struct.pack(">HH", 17, len(datagram))
    words = sum(struct.unpack(f">{(len(pseudo) + len(datagram)) // 2}H", pseudo + datagram))
    assert (words & 0xFFFF) + (words >> 16) == 0xFFFF


@needs_macvtap
def test_macvtap_nodes_of_two_scopes(scope: Scope, network: Network) -> None:
    """Same names, same moment, two devices."""
    with Scope(network=True, mounts=True) as other, Network(other) as second:
        nodes = {}
        for where, devices in ((scope, network), (other, second)):
            devices.veth("left", "right")
            node = devices.macvtap("lklmacvtap", "left")
            assert "macvtap" in links(where)["lklmacvtap"]["linkinfo"]["info_kind"]
            assert not node.exists()  # not outside
            nodes[where.pid] = seen(where, "stat", "-c", "%t:%T", os.fspath(node))
            attach_macvtap = f"exec 5<>{node} && echo opened"
            assert seen(where, "sh", "-c", attach_macvtap) == "opened\n"
        assert len(set(nodes.values())) == 2


def test_the_machine_does_not_see_them(network: Network) -> None:
    before = {name for _, name in socket.if_nameindex()}
    network.veth("lklleft", "lklright", ["192.168.114.1/24"])
    assert not {"lklleft", "lklright"} & {name for _, name in socket.if_nameindex()}
    assert before
    with socket.socket() as outside, pytest.raises(OSError, match="assign requested address"):
        outside.bind(("192.168.114.1", 0))


def test_two_networks_with_the_same_names() -> None:
    with ExitStack() as stack:
        servers = []
        for _ in range(2):
            scope = stack.enter_context(Scope(network=True))
            network = stack.enter_context(Network(scope))
            network.veth("left", "right", ["192.168.114.1/24", "fc04::1/64"])
            servers.append(network.listen("192.168.114.1", 7777))
        assert {server.getsockname() for server in servers} == {("192.168.114.1", 7777)}


@pytest.mark.parametrize("address", ["127.0.0.1", "::1"])
def test_a_peer_for_programs(scope: Scope, network: Network, address: str) -> None:
    """The runner serves a program of the scope through a listening socket."""
    server = network.listen(address)

    def echo() -> None:
        connection, _ = server.accept()
        with connection:
            while data := connection.recv(65536):
                connection.sendall(data)

    thread = threading.Thread(target=echo)
    thread.start()
    code = (
        "import socket, sys\n"
        "peer = socket.create_connection((sys.argv[1], int(sys.argv[2])), 10)\n"
        "peer.sendall(b'hello')\n"
        "print(peer.recv(100).decode())\n"
    )
    port = str(server.getsockname()[1])
    assert seen(scope, sys.executable, "-c", code, address, port) == "hello\n"
    thread.join(10)
    assert not thread.is_alive()


class TestRefusals:
    """Refusals: MissingNetwork where it is the machine's fault, else OSError."""

    def test_names_that_exist(self, network: Network) -> None:
        network.veth("left", "right")
        with pytest.raises(FileExistsError, match="left"):
            network.veth("left", "other")

    @pytest.mark.parametrize("name", ["", "x" * 16])
    def test_names_of_a_wrong_length(self, network: Network, name: str) -> None:
        with pytest.raises(OSError, match="1 to 15 bytes"):
            network.offload_off(name)

    def test_unknown_device(self, network: Network) -> None:
        with pytest.raises(OSError, match="nothing"):
            network.offload_off("nothing")

    def test_wrong_address(self, network: Network) -> None:
        with pytest.raises(OSError, match=r"192\.0\.2\.99"):
            network.listen("192.0.2.99")

    def test_device_of_tun(self, network: Network, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(netdev, "TUN", Path("/nonexistent/tun"))
        with pytest.raises(MissingNetwork, match="modprobe tun"):
            network.tap("lkltap")
        monkeypatch.setattr(netdev, "TUN", Path("/"))
        with pytest.raises(MissingNetwork, match="cannot open /") as caught:
            network.tap("lkltap")
        assert "\n" not in caught.value.reason

    @needs_macvtap
    def test_macvtap_without_mounts(self) -> None:
        with Scope(network=True) as scope, Network(scope) as network:
            network.veth("left", "right")
            with pytest.raises(OSError, match="mounts"):
                network.macvtap("lklmacvtap", "left")

    def test_no_namespaces(self) -> None:
        with (
            Scope(isolation=Isolation(SUBREAPER)) as scope,
            pytest.raises(MissingNetwork, match="namespaces"),
        ):
            Network(scope).__enter__()

    def test_not_open(self, scope: Scope) -> None:
        with pytest.raises(ScopeError, match="not open"):
            Network(scope).veth("left", "right")

    def test_the_scope_is_gone(self) -> None:
        with Scope(network=True) as scope:
            pass
        with pytest.raises(ScopeError, match="not open"):
            Network(scope).__enter__()

    def test_the_machines_own_namespace_is_never_entered(self) -> None:
        with Scope() as scope, pytest.raises(ScopeError, match="no network of its own"):
            Network(scope).__enter__()

    def test_nsenter_is_missing(self, scope: Scope, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(scope, "user", True)
        monkeypatch.setenv("PATH", "/nonexistent")
        with pytest.raises(MissingNetwork, match=r"^nsenter is missing \(package util-linux\)$"):
            Network(scope).__enter__()


def test_nothing_is_left(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    marker = new_marker()
    monkeypatch.setenv(MARKER, marker)
    monkeypatch.setenv("TMPDIR", os.fspath(tmp_path))
    threads = threading.active_count()
    descriptors = len(list(Path("/proc/self/fd").iterdir()))
    census = Census.take(marker, tmp_path)
    for _ in range(3):
        with Scope(network=True, mounts=True) as scope, Network(scope) as network:
            network.veth("left", "right", ["192.168.114.1/24"])
            network.listen("192.168.114.1")
    assert census.left() == []
    assert threading.active_count() == threads
    assert len(list(Path("/proc/self/fd").iterdir())) == descriptors


@needs_macvtap
def test_kill_of_the_runner(tmp_path: Path) -> None:
    """Also /dev/tapN goes, which stands in the machine's own /dev."""
    marker = new_marker()
    census = Census.take(marker, tmp_path)
    command = [sys.executable, os.fspath(VICTIM), "devices"]
    environment = {**os.environ, MARKER: marker, "TMPDIR": os.fspath(tmp_path)}
    with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE, text=True) as victim:
        assert victim.stdout is not None
        assert victim.stdout.readline() == "start\n"
        assert victim.stdout.readline().startswith(os.fspath(tmp_path))
        assert [name for name in census.new() if name.startswith("process")]
        victim.send_signal(signal.SIGKILL)
    assert census.left() == []


@pytest.mark.skipif(os.geteuid() != 0, reason="is the test of a user when run as one")
def test_all_of_it_as_a_user(tmp_path: Path) -> None:
    """The tests above, by a user without privileges who may open /dev/net/tun."""
    script = 'mount -t tmpfs x "$0" && mknod -m 666 "$0/tun" c 10 200 && '
    script += 'mount --bind "$0/tun" /dev/net/tun && exec "$@"'
    # In a mount namespace of its own: the machine's /dev/net/tun is not touched.
    here = script if netdev.TUN.exists() else 'exec "$@"'
    run_tests(__file__, before=["unshare", "--mount", "sh", "-c", here, os.fspath(tmp_path)])


def test_root_of_a_user_namespace_makes_no_macvtap() -> None:
    command = ["unshare", "--user", "--map-root-user", sys.executable, "-c"]
    script = "from lkltest.sandbox.netdev import missing_network as m; print(m(macvtap=True))"
    done = subprocess.run([*command, script], capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no user namespaces here: {done.stderr.strip()}")
    assert done.stdout == "only root can make the device node of a macvtap: run as root\n"
