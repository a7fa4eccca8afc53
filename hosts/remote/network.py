# SPDX-License-Identifier: GPL-2.0-only
"""A network on a target: what a suite asks for becomes lines that network.sh runs there."""

from __future__ import annotations

import contextlib
import shlex
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Self

from lkltest.sandbox.netdev import MissingNetwork, Network, Tap
from lkltest.sandbox.scope import Scope
from lkltest.sandbox.tcp_echo import EchoPeer

_ADDRESS = "192.0.2.1/24"


class TargetNetwork(Network):
    """The devices of one run on a target, made there before its program starts."""

    def __init__(self) -> None:
        super().__init__(Scope())  # one that nobody opens
        self.lines: list[str] = []

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        """Nothing of it is here."""

    def tap(self, name: str, addresses: Sequence[str] = ()) -> Tap:
        self._add("make_tap", name, *addresses)
        return Tap(name, tuple(addresses))

    def veth(self, left: str, right: str, right_addresses: Sequence[str] = ()) -> None:
        self._add("make_veth", left, right, *right_addresses)

    def macvtap(self, name: str, parent: str) -> Path:
        """The node is said as a program there sees it, whose folder is the run's."""
        self._add("make_macvtap", name, parent)
        return Path("dev", name)

    def offload_off(self, name: str) -> None:
        """Every veth there is made so."""

    @contextlib.contextmanager
    def echo(self, addresses: Sequence[str], port: int) -> Iterator[EchoPeer | None]:
        del addresses  # all that the run has there
        self._add("start_echo", str(port))
        yield None

    def _call(self, name: str, *arguments: object) -> int:
        raise MissingNetwork(f"a target makes no {name.replace('_', ' ')} {arguments[0]}")

    def _add(self, *words: str) -> None:
        self.lines.append(shlex.join(words))


def sample(feature: str) -> list[str]:
    """The lines of a network that `feature` ("net:tap") needs, to be tried."""
    network = TargetNetwork()
    if feature == "net:tap":
        network.tap("tap0", [_ADDRESS])
    else:
        network.veth("v0", "v1", [_ADDRESS])
    if feature == "net:macvtap":
        network.macvtap("macvtap0", "v0")
    network._add("start_echo", "7007")
    return network.lines
