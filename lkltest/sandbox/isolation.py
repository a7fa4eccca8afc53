# SPDX-License-Identifier: GPL-2.0-only
"""The isolation that this machine allows a scope: PID namespaces, or a child subreaper."""

import functools
import os
import subprocess
from dataclasses import dataclass
from pathlib import Path

NAMESPACE = "pid namespace"
SUBREAPER = "subreaper"


@dataclass(frozen=True, slots=True)
class Isolation:
    """A way to keep processes together.

    kind: NAMESPACE or SUBREAPER.
    user: namespaces are made inside a user namespace of our own (we are not root).
    reason: one line, why it is nothing better; empty for namespaces.
    """

    kind: str
    user: bool = False
    reason: str = ""

    def command(self, *, network: bool, mounts: bool) -> list[str]:
        """The command in front of the guard that puts it into new namespaces (unshare(1))."""
        if self.kind == SUBREAPER:
            return []
        command = ["unshare", "--pid", "--fork", "--kill-child"]
        if self.user:
            command += ["--user", "--map-root-user"]
        if network:
            command.append("--net")
        if mounts:
            # The guard makes it private: unshare(1) cannot where / is no mount point.
            command += ["--mount", "--propagation", "unchanged"]
        return [*command, "--"]


@functools.cache
def probe() -> Isolation:
    """The isolation that is possible here, tried once a process (2 ms). Never raises."""
    candidates = [Isolation(NAMESPACE, user=True)]
    if os.geteuid() == 0:
        candidates.insert(0, Isolation(NAMESPACE))
    failures: list[str] = []
    for candidate in candidates:
        reason = _refusal(candidate)
        if not reason:
            return candidate
        failures.append(reason)
    return Isolation(SUBREAPER, reason="; ".join(dict.fromkeys(failures)))


def _refusal(candidate: Isolation) -> str:
    """The reason why a candidate does not work, in one line; empty when it does."""
    command = [*candidate.command(network=False, mounts=False), "true"]
    try:
        done = subprocess.run(
            command, stdin=subprocess.DEVNULL, capture_output=True, timeout=10, check=False
        )
    except FileNotFoundError:
        return "unshare is missing (package util-linux)"
    except (OSError, subprocess.TimeoutExpired) as error:
        return f"unshare: {error}"
    if done.returncode == 0:
        return ""
    said = done.stderr.decode(errors="backslashreplace").strip().splitlines() or ["unshare failed"]
    return said[0] + (_user_hint() if candidate.user else "")


def _user_hint() -> str:
    """The setting that forbids user namespaces, when one does (user_namespaces(7))."""
    for setting, forbids in (
        ("user/max_user_namespaces", "0"),
        ("kernel/apparmor_restrict_unprivileged_userns", "1"),
        ("kernel/unprivileged_userns_clone", "0"),
    ):
        try:
            value = Path("/proc/sys", setting).read_text(encoding="ascii").strip()
        except OSError:
            continue
        if value == forbids:
            return f" (sysctl {setting.replace('/', '.')} is {value})"
    return ""


def joined(pid: int) -> list[str]:
    """The command that puts a guard into the namespaces of process `pid` (nsenter(1)).

    Raises OSError when the process is gone or is not ours.
    """
    command = ["nsenter", "--target", str(pid)]
    for name, options in (
        ("user", ["--user", "--preserve-credentials"]),
        ("pid", ["--pid"]),
        ("net", ["--net"]),
        ("mnt", ["--mount"]),
    ):
        if not Path(f"/proc/{pid}/ns/{name}").samefile(f"/proc/self/ns/{name}"):
            command += options
    return [*command, "--"]
