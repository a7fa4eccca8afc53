# SPDX-License-Identifier: GPL-2.0-only
"""Debian packages: which are missing, and their installation in one round of apt-get."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from importlib.util import find_spec
from pathlib import Path

from lkltest.errors import SetupError
from lkltest.text import plural

from .diagnosis import BROKEN_OFF, FULL_DISK, LOCKED, diagnose
from .place import has_room
from .recipe import Package
from .step import Outcome, run_step

_READ_AGAIN_SECONDS = 3600.0
_SYSTEM_PATH = "/usr/sbin:/sbin"


def missing(packages: Iterable[Package]) -> list[Package]:
    """The packages whose probe is not there, each name once."""
    found = {package.name: package for package in packages if not _is_there(package.probe)}
    return [found[name] for name in sorted(found)]


def _is_there(probe: str) -> bool:
    if probe.startswith("/"):
        return Path(probe).exists()
    if probe.startswith("python:"):
        return find_spec(probe.removeprefix("python:")) is not None
    path = f"{os.environ.get('PATH', os.defpath)}:{_SYSTEM_PATH}"
    return shutil.which(probe, path=path) is not None


def install_command(names: Sequence[str]) -> str:
    """The one command that installs packages, as somebody with root or sudo would type it."""
    words = f"apt-get install --no-install-recommends {' '.join(names)}"
    return words if os.geteuid() == 0 else f"sudo {words}"


@dataclass(frozen=True, slots=True)
class Apt:
    """apt-get, run as root directly or through sudo; `logs` is where its output goes."""

    logs: Path
    prefix: tuple[str, ...] = ()

    @classmethod
    def for_packages(cls, names: Sequence[str], logs: Path) -> Apt:
        """The way to root here. Raises SetupError when there is none, or no apt-get."""
        wanted = " ".join(names)
        if shutil.which("apt-get") is None:
            raise SetupError(
                f"packages are missing, and there is no apt-get: install {wanted} "
                "(Debian's names) and try again"
            )
        if os.geteuid() == 0:
            return cls(logs)
        if shutil.which("sudo") is None:
            raise SetupError(
                "packages are missing, and there is neither root nor sudo: let root run "
                f"`apt-get install --no-install-recommends {wanted}` and try again"
            )
        # Asked once, on the terminal, before anything is shown in place.
        how = ["sudo", "-v"] if sys.stdin.isatty() else ["sudo", "-n", "-v"]
        if subprocess.run(how, check=False, capture_output=not sys.stdin.isatty()).returncode != 0:
            raise SetupError(
                "packages are missing, and sudo refuses: let root run "
                f"`apt-get install --no-install-recommends {wanted}` and try again"
            )
        return cls(logs, ("sudo", "-n"))

    def install(self, names: Sequence[str]) -> None:
        """Install packages in one round, their lists read first. Raises SetupError."""
        self._read_lists()
        what = f"installing {plural(len(names), 'package')}" + self._size(names)
        words = ["-y", "--no-install-recommends", "install", *names]
        done = self._run(what, "apt-install", words)
        if done.status != 0 and BROKEN_OFF.search(done.text):
            self._mend()
            done = self._run(what, "apt-install", words)
        if done.status != 0:
            raise SetupError(self._failure(names, done))

    def _read_lists(self) -> None:
        """Read the package lists, unless an earlier try has just done so."""
        stamp = self.logs / "apt-update.done"
        if stamp.exists() and time.time() - stamp.stat().st_mtime < _READ_AGAIN_SECONDS:
            return
        # Its failure is only one when the packages cannot be had: a source of somebody's own that
        # is down says nothing about Debian's. Without --error-on a list that cannot be fetched is
        # a warning, and status 0.
        done = self._run("reading the package lists", "apt-update", ["update", "--error-on=any"])
        if done.status == 0:
            stamp.touch()

    def _size(self, names: Sequence[str]) -> str:
        """The size of the packages as apt itself tells it."""
        words = [*self._as_root(), "apt-get", "--assume-no"]
        words += ["--no-install-recommends", "install", *names]
        try:
            text = subprocess.run(
                words, env=_environment(), stdin=subprocess.DEVNULL, capture_output=True,
                text=True, timeout=60, check=False,
            ).stdout  # fmt: skip
        except (OSError, subprocess.TimeoutExpired):
            return ""
        # In the words of apt 2 and of apt 3.
        number = re.search(r"(\d+) newly installed|Installing: (\d+)", text)
        fetch = re.search(r"(?:Need to get|Download size:) ([\d.,]+ \wB)", text)
        disk = re.search(r"(?:Space needed: |operation, )([\d.,]+ \wB)", text)
        facts = [
            f"{number[1] or number[2]} with what they need" if number else "",
            f"{fetch[1]} to fetch" if fetch else "",
            f"{disk[1]} on disk" if disk else "",
        ]
        return f" ({', '.join(filter(None, facts))})" if any(facts) else ""

    def _mend(self) -> None:
        """Complete an installation that was killed in the middle."""
        log = self.logs / "apt-mend.log"
        command = [*self._as_root(), "dpkg", "--configure", "-a"]
        run_step("finishing an installation that was broken off", command, log)
        self._run("mending the packages", "apt-mend", ["-y", "--fix-broken", "install"])

    def _run(self, what: str, log_name: str, words: Sequence[str]) -> Outcome:
        """Run apt-get, after another one, whichever of apt's locks that holds.

        Only for dpkg's own lock can apt itself wait (DPkg::Lock::Timeout), not for that of the
        lists, and only in its log.
        """
        return run_step(
            what,
            [*self._as_root(), "apt-get", "-q", *words],
            self.logs / f"{log_name}.log",
            environment=_environment(),
            lock=LOCKED,
        )

    def _as_root(self) -> list[str]:
        settings = ["DEBIAN_FRONTEND=noninteractive", "LC_ALL=C"]
        return [*self.prefix, "env", *settings] if self.prefix else []

    def _failure(self, names: Sequence[str], done: Outcome) -> str:
        log = self.logs / "apt-install.log"
        update = self.logs / "apt-update.log"
        earlier = update.read_text(encoding="utf-8", errors="replace") if update.exists() else ""
        cause = diagnose(done.text if has_room(log) else FULL_DISK)
        if "apt does not know" in cause and "no network" in diagnose(earlier):
            cause, log = diagnose(earlier), update
        return f"installing {' '.join(names)}: {cause}; all of it: {log}"


def _environment() -> dict[str, str]:
    return {**os.environ, "DEBIAN_FRONTEND": "noninteractive", "LC_ALL": "C"}
