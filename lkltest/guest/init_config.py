# SPDX-License-Identifier: GPL-2.0-only
"""The orders of a guest's /init and its report: the host's side of suites/init.c."""

from __future__ import annotations

import secrets
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path

from lkltest.guest.initramfs import compress, file, pack

CONFIG_FILE = "/lkltest.config"


@dataclass(frozen=True, slots=True)
class InitConfig:
    """A program to run in a guest, and what has to be there before.

    arguments: the command line; the first is the program's file in the guest. status: the guest's
    device for reports. modules, devices: loaded, and waited for, in this order. handed_over:
    addresses of PCI devices that drivers of programs get (vfio-pci).
    """

    arguments: Sequence[str]
    status: str
    environment: Mapping[str, str] = field(default_factory=dict)
    modules: Sequence[str] = ()
    devices: Sequence[str] = ()
    handed_over: Sequence[str] = ()
    token: str = field(default_factory=lambda: secrets.token_hex(16))

    def archive(self) -> bytes:
        """The config as a compressed initramfs, to be appended to one with /init."""
        return compress(pack([file(CONFIG_FILE, self._text(), 0o400)]))

    def write(self, root: Path) -> None:
        """Write it as a file below the guest's root."""
        (root / CONFIG_FILE[1:]).write_bytes(self._text())

    def _text(self) -> bytes:
        lines = [f"token {self.token}"]
        # Modules first: the status device may need one.
        lines += [f"module {path}" for path in self.modules]
        lines += [f"wait {path}" for path in self.devices]
        lines += [f"vfio {address}" for address in self.handed_over]
        lines += [f"status {self.status}"]
        lines += [f"env {name}={value}" for name, value in self.environment.items()]
        lines += [f"arg {word}" for word in self.arguments]
        return b"".join(line.encode("utf-8", "surrogateescape") + b"\0" for line in lines)


@dataclass(frozen=True, slots=True)
class GuestReport:
    """The report of /init: whether it started the program, and how that ended, if it did.

    `process` is its number in the guest, `failure` is why it could not be run, `warnings` are about
    the guest's set-up.
    """

    started: bool = False
    process: int | None = None
    status: int | None = None
    signal: int | None = None
    failure: str = ""
    warnings: tuple[str, ...] = ()

    @property
    def ended(self) -> bool:
        """Whether the program's end was reported."""
        return self.status is not None or self.signal is not None


def read_report(text: bytes, token: str) -> GuestReport:
    """Read what came from the status device; lines that do not begin with `token` are no report."""
    found: dict[str, str] = {}
    warnings = []
    for raw in text.decode("utf-8", "backslashreplace").splitlines():
        mark, _, rest = raw.strip().partition(" ")
        if mark != token:
            continue
        word, _, value = rest.partition(" ")
        if word == "warning":
            warnings.append(value)
        else:
            found.setdefault(word, value)
    return GuestReport(
        "started" in found,
        _number(found.get("started")),
        _number(found.get("exited")),
        _number(found.get("signalled")),
        found.get("failed", ""),
        tuple(warnings),
    )


def _number(text: str | None) -> int | None:
    return int(text) if text is not None and text.isascii() and text.isdigit() else None
