# SPDX-License-Identifier: GPL-2.0-only
"""`python -m tests.faults.world FAULT [ARGUMENT] -- COMMAND`: runs COMMAND in a broken world.

It is started inside of a mount namespace of its own (unshare(1)); nothing of the machine changes.
"""

from __future__ import annotations

import os
import resource
import subprocess
import sys
from pathlib import Path


def tiny(folder: str, size: str = "64k") -> None:
    """A file system that is full."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size}", "tmpfs", folder], check=True)
    with Path(folder, "ballast").open("wb", buffering=0) as file:
        try:
            while file.write(bytes(4096)):
                pass
        except OSError:
            return


def hidden(folder: str) -> None:
    """A folder that is empty (no /dev/net/tun)."""
    if Path(folder).is_dir():
        subprocess.run(["mount", "-t", "tmpfs", "tmpfs", folder], check=True)


def without_kvm() -> None:
    """A /dev/kvm that is none."""
    if Path("/dev/kvm").exists():
        subprocess.run(["mount", "--bind", "/dev/null", "/dev/kvm"], check=True)


def read_only(folder: str) -> None:
    """A folder that cannot be written, not even by root."""
    subprocess.run(["mount", "-t", "tmpfs", "-o", "ro", "tmpfs", folder], check=True)


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
