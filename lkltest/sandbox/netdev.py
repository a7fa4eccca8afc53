# SPDX-License-Identifier: GPL-2.0-only
"""Network devices of a run: TAP, veth and macvtap in the network namespace of its scope.

Nothing is ever cleaned up: the devices die with the namespace, and that with the scope. A device or
a socket keeps no namespace alive beyond the runner. As root it takes a thread and milliseconds, as
a user a helper process and 0.2 s. See network_namespaces(7).
"""

import contextlib
import errno
import functools
import os
import socket
import stat
import subprocess
from collections.abc import Iterator, Sequence
from contextlib import ExitStack
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Self

from lkltest.errors import Unavailable
from lkltest.sandbox.scope import NAMESPACE, Scope, ScopeError, probe
from lkltest.sandbox.tcp_echo import EchoPeer

if TYPE_CHECKING:
    from lkltest.sandbox.netns import Netns

TUN = Path("/dev/net/tun")


class MissingNetwork(Unavailable):
    """A device that this machine or this user cannot have; the text says what is missing."""

    @property
    def reason(self) -> str:
        """One line: what is missing and what to do."""
        return str(self)


@dataclass(frozen=True, slots=True)
class Tap:
    """A TAP device: its name, and the addresses of the host's side of it."""

    name: str
    addresses: tuple[str, ...]


class Network:
    """Context manager: devices and sockets in the network namespace of an open scope.

    Enter it after the scope, leave it before; loopback is up. Not for several threads. What cannot
    be had here raises MissingNetwork, anything else OSError that names the device, or ScopeError.
    """

    def __init__(self, scope: Scope) -> None:
        """`scope`: made with `network=True`, and `mounts=True` for macvtap."""
        self._scope = scope
        self._netns: Netns | None = None
        self._sockets: list[socket.socket] = []

    def __enter__(self) -> Self:
        """Raises MissingNetwork, ScopeError when the scope is gone or has no network of its own."""
        from lkltest.sandbox.netns import NetnsHelper, NetnsThread  # ctypes, futures

        if self._scope.isolated_by != NAMESPACE:
            raise MissingNetwork(missing_network() or "the scope has no namespaces")
        self._check_scope()
        enter = NetnsHelper if self._scope.user else NetnsThread
        with ExitStack() as undo:
            try:
                self._netns = enter(self._scope.pid)
                undo.callback(self._netns.close)
                self._netns.call("up", "lo")
            except FileNotFoundError as error:
                raise MissingNetwork(f"{error.filename} is missing (package util-linux)") from error
            except OSError as error:
                raise ScopeError(f"cannot enter the scope's network: {error}") from error
            undo.pop_all()
        return self

    def __exit__(self, *_: object) -> None:
        """Close the sockets that were handed out: each of them would keep the namespace alive."""
        for opened in self._sockets:
            opened.close()
        self._sockets.clear()
        if self._netns is not None:
            self._netns.close()
            self._netns = None

    def tap(self, name: str, addresses: Sequence[str] = ()) -> Tap:
        """Make a persistent TAP device, up, to which a program of the scope can attach.

        addresses: of the host's side, "192.0.2.1/24" or "fc03::1/64", usable at once.
        """
        reason = missing_network(tap=True)
        if reason:
            raise MissingNetwork(reason)
        self._call("tap", name, tuple(addresses))
        return Tap(name, tuple(addresses))

    def veth(self, left: str, right: str, right_addresses: Sequence[str] = ()) -> None:
        """Make two connected Ethernet devices, up, without offloads; `left` is the program's."""
        self._call("veth", left, right, tuple(right_addresses))

    def macvtap(self, name: str, parent: str) -> Path:
        """Make a macvtap device on `parent` (mode passthru) and a device node for it.

        Returns the node's path as the programs of the scope see it. Only root can make nodes.
        The number comes from the scope's own sysfs and the node goes to the scope's own tmpfs,
        because /dev is one for all namespaces, and not everywhere are nodes made in it.
        """
        reason = missing_network(macvtap=True) or self._scope.unmounted.get("sysfs")
        if reason:
            raise MissingNetwork(reason)
        self._call("macvtap", name, parent)
        # A process's root leads into its mount namespace, proc(5).
        seen = Path(f"/proc/{self._scope.pid}/root{self._scope.folder}/sys/class/net/{name}")
        device = next(seen.glob("macvtap/tap*/dev"), None) or next(seen.glob("tap*/dev"), None)
        if device is None:
            raise OSError(
                errno.ENODEV, "sysfs shows no number; was the scope made with mounts?", name
            )
        major, minor = map(int, device.read_text(encoding="ascii").split(":"))
        node = self._scope.folder / "dev" / device.parent.name
        self._scope.make_node(node, stat.S_IFCHR | 0o600, major, minor)
        return node

    def offload_off(self, name: str) -> None:
        """Switch off what leaves checksums and segmentation to a device."""
        self._call("offload_off", name)

    def open_socket(self, family: int, kind: int = socket.SOCK_STREAM) -> socket.socket:
        """A socket that belongs to the namespace; close it, or the end of this network does."""
        opened = socket.socket(fileno=self._call("open_socket", int(family), int(kind)))
        self._sockets.append(opened)
        return opened

    def listen(self, address: str, port: int = 0) -> socket.socket:
        """A TCP socket that listens on an address of the namespace, IPv4 or IPv6.

        port 0: any free one, see `getsockname()[1]`. Accepted connections are the caller's to
        close.
        """
        opened = self.open_socket(socket.AF_INET6 if ":" in address else socket.AF_INET)
        opened.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            opened.bind((address, port))
        except OSError as error:
            raise OSError(error.errno, error.strerror, f"{address} port {port}") from error
        opened.listen()
        return opened

    @contextlib.contextmanager
    def echo(self, addresses: Sequence[str], port: int) -> Iterator[EchoPeer | None]:
        """A TCP peer that echoes, on addresses of the namespace; None: one that counts nothing."""
        with EchoPeer(*[self.listen(address, port) for address in addresses]) as peer:
            yield peer

    def _check_scope(self) -> None:
        """Raise ScopeError for a scope whose namespace is the machine's own: devices stay out."""
        try:
            ours = Path(f"/proc/{self._scope.pid}/ns/net").samefile("/proc/self/ns/net")
        except FileNotFoundError as error:
            raise ScopeError("the scope is not open") from error
        if ours:
            raise ScopeError("the scope has no network of its own")

    def _call(self, name: str, *arguments: object) -> int:
        if self._netns is None:
            raise ScopeError("the network is not open")
        try:
            result: int = self._netns.call(name, *arguments)
        except OSError as error:
            if error.errno in {errno.EOPNOTSUPP, errno.EAFNOSUPPORT}:
                raise MissingNetwork(f"this kernel cannot do it: {name}: {error}") from error
            raise
        return result


def missing_network(*, tap: bool = False, macvtap: bool = False) -> str | None:
    """The reason why this user cannot have a network of its own here; None when it can.

    tap, macvtap: and such a device in it. Makes no device, costs a few ms the first time.
    """
    reason = _no_namespace()
    if reason is None and tap:
        reason = _no_tun()
    if reason is None and macvtap and not _can_make_nodes():
        reason = "only root can make the device node of a macvtap: run as root"
    return reason


def _can_make_nodes() -> bool:
    """Whether mknod(2) works: for the machine's own root, and not that of a user namespace."""
    mapped = Path("/proc/self/uid_map").read_text(encoding="ascii").split()
    return os.geteuid() == 0 and not probe().user and mapped == ["0", "0", str(2**32 - 1)]


@functools.cache
def _no_namespace() -> str | None:
    found = probe()
    if found.kind != NAMESPACE:
        return f"no network namespaces here: {found.reason}"
    command = [*found.command(network=True, mounts=False), "true"]
    done = subprocess.run(command, capture_output=True, stdin=subprocess.DEVNULL, check=False)
    said = done.stderr.decode(errors="backslashreplace").strip()
    return f"no network namespaces here: {said}" if done.returncode else None


def _no_tun() -> str | None:
    try:
        os.close(os.open(TUN, os.O_RDWR | os.O_CLOEXEC))
    except FileNotFoundError:
        return f"{TUN} is missing: modprobe tun"
    except OSError as error:
        return f"cannot open {TUN} ({error.strerror}): run as root, or chmod 0666 {TUN}"
    return None
