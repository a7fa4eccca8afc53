# SPDX-License-Identifier: GPL-2.0-only
"""Artifacts of a machine's run, for people: console, network, picture of the display."""

from __future__ import annotations

import contextlib
import os
import re
import secrets
from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING

from lkltest.errors import LaunchError

if TYPE_CHECKING:
    from .process import QemuProcess


@dataclass(frozen=True, slots=True)
class RunArtifacts:
    """The artifacts of one run; `base` is their path without what tells them apart.

    `pcap` is what the first interface is recorded in; a second one's has its number in its name.
    """

    base: Path | None
    pcap: str = ""

    @property
    def picture(self) -> Path | None:
        return self.base.with_name(f"{self.base.name}.png") if self.base else None

    def names(self, pcaps: Sequence[str]) -> dict[str, str]:
        """The names of the files, for reports. pcaps: of the machine's interfaces."""
        if self.base is None:
            return {}
        names = {"console": f"{self.base}.raw"}
        return names | ({"pcap": ", ".join(pcaps)} if pcaps else {})

    def save(self, process: QemuProcess) -> None:
        """Write the console when the machine has ended."""
        if self.base is not None:
            with contextlib.suppress(OSError):
                process.raw.save(self.base.with_name(f"{self.base.name}.raw"))


class Artifacts:
    """The directory in which each run has artifacts of its own; None keeps nothing."""

    def __init__(self, directory: str | None, *, pcap: bool) -> None:
        self._directory = Path(directory).expanduser().absolute() if directory else None
        self._pcap = pcap

    def check(self) -> None:
        """Make the directory. Raises LaunchError, one line."""
        if self._directory is None:
            return
        try:
            self._directory.mkdir(parents=True, exist_ok=True)
        except OSError as error:
            raise LaunchError(f"--lkl-qemu-keep: {error.filename}: {error.strerror}") from None
        if not os.access(self._directory, os.W_OK | os.X_OK):
            raise LaunchError(f"--lkl-qemu-keep: {self._directory}: cannot be written")

    def files(self, program: str) -> RunArtifacts:
        """Files for a run of `program`."""
        if self._directory is None:
            return RunArtifacts(None)
        safe = re.sub(r"[^\w.+-]", "_", program) or "program"
        base = self._directory / f"{safe}-{secrets.token_hex(4)}"
        return RunArtifacts(base, f"{base}.pcap" if self._pcap else "")
