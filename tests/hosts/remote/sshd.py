# SPDX-License-Identifier: GPL-2.0-only
"""A real sshd for a test: it talks through a pipe (sshd -i), so it needs no network and no port."""

from __future__ import annotations

import getpass
import os
import subprocess
from collections.abc import Sequence
from pathlib import Path

import pytest

from lkltest.places import build_places

SESSION_PROGRAMS = {"SshdSessionPath": "sshd-session", "SshdAuthPath": "sshd-auth"}
"""OpenSSH 9.8 and later start these, which are looked for where they would be installed."""


def sshd_root() -> Path:
    """The root below which sshd lies. Skips where there is none."""
    root = next((path for place in build_places() if (path := place / "sshd").is_dir()), Path("/"))
    if not (root / "usr/sbin/sshd").exists():
        pytest.skip("sshd is missing: make setup-tests")
    return root


def ssh_config(
    folder: Path, name: str = "box", settings: Sequence[str] = (), orders: Sequence[str] = ()
) -> Path:
    """A configuration of ssh's whose host `name` is an sshd of its own, with keys made now.

    `settings` are further lines of sshd's, `orders` are of the shell that starts it, for root in a
    mount namespace of its own.
    """
    root = sshd_root()
    sshd = root / "usr/sbin/sshd"
    for key in ("host", "user"):
        command = ["ssh-keygen", "-q", "-t", "ed25519", "-N", "", "-f", str(folder / key)]
        subprocess.run(command, check=True)
    lines = [f"HostKey {folder}/host", f"AuthorizedKeysFile {folder}/user.pub"]
    # The first SetEnv counts. A login shell reads what is at home, which may take it its time.
    home = folder / "home"
    home.mkdir(exist_ok=True)
    named = [line for line in settings if line.startswith("SetEnv ")] or ["SetEnv"]
    lines += [f"{named[0]} HOME={home}", *(line for line in settings if line not in named)]
    lines += ["StrictModes no", "UsePAM no", "PidFile none", "PermitRootLogin yes"]
    for option, program in SESSION_PROGRAMS.items():
        if (path := root / "usr/lib/openssh" / program).exists():
            lines.append(f"{option} {path}")
    (folder / "sshd_config").write_text("\n".join(lines) + "\n")
    public = " ".join((folder / "host.pub").read_text().split()[:2])
    (folder / "known").write_text(f"{name} {public}\n")
    config = folder / "config"
    config.write_text(
        f"Host {name}\n  ProxyCommand {_command(root, sshd, folder, orders)}\n"
        f"  User {getpass.getuser()}\n  IdentityFile {folder}/user\n  IdentitiesOnly yes\n"
        f"  UserKnownHostsFile {folder}/known\n"
    )
    return config


def _command(root: Path, sshd: Path, folder: Path, first: Sequence[str]) -> str:
    """The command line; root's sshd wants a user and a folder that installing it would make."""
    libraries = ":".join(str(path) for path in (root / "usr/lib").glob("*-linux-gnu"))
    start = f"exec {sshd} -i -f {folder}/sshd_config -E {folder}/log"
    orders = [f"export LD_LIBRARY_PATH={libraries}", start]
    if os.geteuid() == 0:
        passwd = Path("/etc/passwd").read_text()
        if "\nsshd:" not in passwd:
            passwd += "sshd:x:65533:65534::/run/sshd:/usr/sbin/nologin\n"
        (folder / "passwd").write_text(passwd)
        mounts = [f"mount --bind {folder}/passwd /etc/passwd", "mount -t tmpfs none /run"]
        orders = [*first, *mounts, "mkdir -p /run/sshd", *orders]
    script = folder / "start-sshd"
    script.write_text("set -e\n" + "\n".join(orders) + "\n")
    return f"{'unshare --mount ' if os.geteuid() == 0 else ''}sh {script}"
