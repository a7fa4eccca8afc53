# SPDX-License-Identifier: GPL-2.0-only
"""The work inside a network namespace: devices, addresses, sockets.

A `Devices` works in the namespace of the thread that makes it; lkltest.sandbox.netns brings it
there. Everything in and out is plain data, because a helper process may stand in between. See
rtnetlink(7), netdevice(7), veth(4), the kernel's networking/tuntap.rst.
"""

import array
import errno
import fcntl
import os
import secrets
import socket
import struct
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

# linux/if_tun.h
TUNSETIFF, TUNSETPERSIST = 0x400454CA, 0x400454CB
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 0x0002, 0x1000, 0x4000
# linux/sockios.h, linux/ethtool.h: the offloads that leave a packet's checksum or cutting to a
# device, in an order in which each may be switched off
SIOCETHTOOL = 0x8946
OFFLOADS = {"tso": 0x1F, "gso": 0x24, "gro": 0x2C, "sg": 0x19, "tx": 0x17, "rx": 0x15}
IFA_F_NODAD = 0x02  # linux/if_addr.h
IFREQ = "16s24s"  # struct ifreq, netdevice(7)


class Devices:
    """Operations in one network namespace. All of them raise OSError that names the device."""

    def __init__(self) -> None:
        # The import costs 0.14 to 0.24 s CPU: only where a device is needed.
        from pyroute2 import IPRoute

        self._route = IPRoute()

    def close(self) -> None:
        """Give up the netlink socket; the devices stay."""
        self._route.close()

    def up(self, name: str) -> None:
        """Bring a device up."""
        with _naming(name):
            self._route.link("set", index=self._index(name), state="up")

    def tap(self, name: str, addresses: Sequence[str]) -> None:
        """Make a persistent TAP device, up and with addresses ("192.0.2.1/24", "fc03::1/64").

        The flags are those with which LKL's tap back end attaches to it.
        """
        descriptor = self.open_tap(name)
        try:
            with _naming(name):
                fcntl.ioctl(descriptor, TUNSETPERSIST, 1)
        finally:
            os.close(descriptor)
        self.addresses(name, addresses)
        self.up(name)

    def open_tap(self, name: str) -> int:
        """Attach to a TAP device, made if need be; returns the descriptor of its packets."""
        flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
        descriptor = os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC)
        try:
            with _naming(name):
                fcntl.ioctl(descriptor, TUNSETIFF, struct.pack("16sH22x", _name_bytes(name), flags))
        except BaseException:
            os.close(descriptor)
            raise
        return descriptor

    def veth(self, left: str, right: str, right_addresses: Sequence[str]) -> None:
        """Make a pair of connected Ethernet devices, both up, without offloads."""
        with _naming(left):
            self._route.link("add", ifname=left, kind="veth", peer={"ifname": right})
        for name in (left, right):
            self.offload_off(name)
        self.addresses(right, right_addresses)
        self.up(left)
        self.up(right)

    def macvtap(self, name: str, parent: str) -> None:
        """Make a macvtap device in passthru mode on `parent`, up.

        Its index is drawn at random: it is in the name of a node that udev or devtmpfs makes in
        the one /dev of all namespaces, which else would fight for /dev/tap4.
        """
        with _naming(name):
            self._route.link(
                "add",
                ifname=name,
                kind="macvtap",
                index=2**16 + secrets.randbelow(2**30),
                link=self._index(parent),
                macvtap_mode="passthru",
            )
        self.up(name)

    def addresses(self, name: str, addresses: Sequence[str]) -> None:
        """Add addresses that are usable at once: IPv6 without duplicate address detection."""
        for address in addresses:
            host, _, length = address.partition("/")
            extra: dict[str, Any] = {"flags": IFA_F_NODAD} if ":" in host else {}
            with _naming(f"{name} {address}"):
                self._route.addr(
                    "add",
                    index=self._index(name),
                    address=host,
                    prefixlen=int(length or (128 if extra else 32)),
                    **extra,
                )

    def offload_off(self, name: str) -> None:
        """Let the kernel finish every packet itself: a foreign network stack that reads frames from
        a packet socket takes an unfinished checksum for a wrong one, and drops what is too long.
        """
        with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as any_socket:
            for command in OFFLOADS.values():
                value = array.array("I", [command, 0])  # struct ethtool_value
                pointer = struct.pack("P", value.buffer_info()[0])
                try:
                    with _naming(name):
                        request = struct.pack(IFREQ, _name_bytes(name), pointer)
                        fcntl.ioctl(any_socket, SIOCETHTOOL, request)
                except OSError as error:
                    if error.errno != errno.EOPNOTSUPP:
                        raise

    def open_socket(self, family: int, kind: int) -> int:
        """The descriptor of a new socket; it belongs to this namespace wherever it is used."""
        return socket.socket(family, kind).detach()

    def _index(self, name: str) -> int:
        found = self._route.link_lookup(ifname=name)
        if not found:
            raise OSError(errno.ENODEV, os.strerror(errno.ENODEV), name)
        return int(found[0])


def _name_bytes(name: str) -> bytes:
    """A device's name for struct ifreq. Raises OSError when it is too long."""
    data = os.fsencode(name)
    if not 0 < len(data) < 16:
        raise OSError(errno.EINVAL, "a device name has 1 to 15 bytes", name)
    return data


@contextmanager
def _naming(name: str) -> Iterator[None]:
    """Turn netlink's and ioctl's errors into an OSError that names the device."""
    from pyroute2.netlink.exceptions import NetlinkError

    try:
        yield
    except NetlinkError as error:
        raise OSError(error.code, os.strerror(error.code), name) from error
    except OSError as error:
        raise OSError(error.errno, error.strerror, name) from error
