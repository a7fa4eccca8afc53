# SPDX-License-Identifier: GPL-2.0-only
"""`python -m tests.faults.world FAULT [ARGUMENT] -- COMMAND`: runs COMMAND in a broken world.

It is started inside of a mount namespace of its own (unshare(1)); nothing of the machine changes.
"""

from __future__ import annotations

import ctypes
import os
import resource
import subprocess
import sys
from pathlib import Path

PAGE = 4096
PRCTL = ctypes.CDLL(None).prctl
PR_CAPBSET_DROP = 24  # prctl(2)


def tiny(folder: str, room: str = "0") -> None:
    """A file system with room for so many pages."""
    size = f"size={(16 + int(room)) * PAGE}"
    subprocess.run(["mount", "-t", "tmpfs", "-o", size, "tmpfs", folder], check=True)
    Path(folder, "ballast").write_bytes(bytes(16 * PAGE))


def hidden(folder: str) -> None:
    """A folder that is empty (no /dev/net/tun)."""
    if Path(folder).is_dir():
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)


def without_kvm() -> None:
    """A /dev/kvm that is none."""
    if Path("/dev/kvm").exists():
        subprocess.run(["mount", "--bind", "/dev/null", "/dev/kvm"], check=True)


def read_only(folder: str) -> None:
    """A folder, with all that is in it, that cannot be written, not even by root."""
    subprocess.run(["mount", "--bind", folder, folder], check=True)
    subprocess.run(["mount", "-o", "remount,bind,ro", folder], check=True)


def occupied() -> None:
    """A network namespace with devices that have the names of ours, and named ones beside it."""
    from pyroute2 import IPRoute

    subprocess.run(["mount", "-t", "tmpfs", "tmpfs", "/run"], check=True)
    Path("/run/netns").mkdir()
    for name in ("lkltest", "lkl"):
        Path("/run/netns", name).touch()
    with IPRoute() as route:
        for name, other in (("tap0", "v0"), ("v1", "macvtap0")):
            route.link("add", ifname=name, kind="veth", peer={"ifname": other})


def unprivileged() -> None:
    """No user namespaces and, being root in one, no capabilities to make any other."""
    sysctl("user/max_user_namespaces", "0")
    for capability in range(64):
        PRCTL(PR_CAPBSET_DROP, capability, 0, 0, 0)


def limit(name: str, value: str) -> None:
    """RLIMIT_NAME."""
    resource.setrlimit(getattr(resource, f"RLIMIT_{name}"), (int(value), int(value)))


def sysctl(name: str, value: str) -> None:
    """A sysctl of the user namespace that we are in."""
    Path("/proc/sys", name).write_text(value, encoding="ascii")


FAULTS = {
    "tiny": tiny,
    "hidden": hidden,
    "without-kvm": without_kvm,
    "read-only": read_only,
    "limit": limit,
    "sysctl": sysctl,
    "occupied": occupied,
    "unprivileged": unprivileged,
}


def main() -> None:
    """Break the world, then become the command."""
    end = sys.argv.index("--")
    name, *arguments = sys.argv[1:end]
    FAULTS[name](*arguments)
    command = sys.argv[end + 1 :]
    os.execvp(command[0], command)  # noqa: S606


if __name__ == "__main__":
    main()
