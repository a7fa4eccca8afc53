# SPDX-License-Identifier: GPL-2.0-only
"""A fresh Debian in a folder: made by debootstrap once, kept as an archive, unpacked each time."""

from __future__ import annotations

import shutil
import subprocess
import sys
import time
from pathlib import Path

from lkltest.places import cache_home

from .configuration import Configuration

PACKAGES = ("git", "make", "python3", "ca-certificates")
"""The README's needs of a machine, beside Debian's smallest system."""

USER = "somebody"
"""The user with sudo, in a root that is made for one."""

_KEPT_SECONDS = 30 * 24 * 3600


class FreshError(Exception):
    """A fresh root that cannot be had; the message is one line: what, why, what to do."""


def make_root(root: Path, suite: str, found: Configuration, *, user: bool) -> None:
    """Make the folder `root` a fresh Debian `suite`, which reaches the network as this machine."""
    root.mkdir()
    _call("tar", "-xpf", _archive(suite, found), "-C", root, "--numeric-owner")
    for path, text in found.files.items():
        _write(root, path, text)
    if found.sources:
        _write(root, "/etc/apt/sources.list", _sources_list(suite, found))
    for name in ("/etc/resolv.conf", "/etc/hosts"):
        if Path(name).exists():
            _write(root, name, Path(name).read_text(encoding="utf-8"))
    _trust(root, found)
    if user:
        _add_user(root)


def _archive(suite: str, found: Configuration) -> Path:
    """The archive of a suite's smallest system, made when there is none or an old one."""
    target = cache_home() / "fresh" / f"{suite}.tar"
    target.parent.mkdir(parents=True, exist_ok=True)
    if target.exists() and time.time() - target.stat().st_mtime < _KEPT_SECONDS:
        return target
    if shutil.which("debootstrap") is None:
        raise FreshError("debootstrap is missing: apt-get install debootstrap")
    print(f"  making a Debian {suite} with debootstrap (a minute or two; kept in {target})")
    folder = target.with_suffix(".part")
    log = target.with_suffix(".log")
    _call("rm", "-rf", "--one-file-system", folder)
    words = ["debootstrap", "--variant=minbase", f"--include={','.join(PACKAGES)}", suite, folder]
    with log.open("w", encoding="utf-8") as output:
        made = subprocess.run(
            [*words, found.mirror] if found.mirror else words,
            stdin=subprocess.DEVNULL, stdout=output, stderr=output, check=False,
        )  # fmt: skip
    if made.returncode != 0:
        raise FreshError(f"debootstrap could not make a Debian {suite}: see {log}")
    part = target.with_suffix(".tar.part")
    _call("tar", "-cpf", part, "-C", folder, "--numeric-owner", ".")
    part.replace(target)
    _call("rm", "-rf", "--one-file-system", folder)
    return target


def _sources_list(suite: str, found: Configuration) -> str:
    return "".join(f"deb {source.uri} {suite}{source.suffix} main\n" for source in found.sources)


def _trust(root: Path, found: Configuration) -> None:
    """Let the root trust what this machine trusts, as an administrator would."""
    for path in found.certificates:
        shutil.copy(path, root / "usr/local/share/ca-certificates")
    if found.certificates:
        _call("chroot", root, "/usr/sbin/update-ca-certificates")


def _add_user(root: Path) -> None:
    """Add a user who may do all with sudo, as Debian's installer does when root has no password."""
    script = f"""
        apt-get -q update && apt-get -q -y --no-install-recommends install sudo
        useradd --create-home --shell /bin/bash {USER}
        echo '{USER} ALL=(ALL) NOPASSWD: ALL' >/etc/sudoers.d/{USER}
    """
    _call("chroot", root, "/usr/bin/env", "-i", "PATH=/usr/sbin:/usr/bin:/sbin:/bin",
          "DEBIAN_FRONTEND=noninteractive", "/bin/sh", "-ec", script)  # fmt: skip


def _write(root: Path, path: str, text: str) -> None:
    target = root / path.lstrip("/")
    target.parent.mkdir(parents=True, exist_ok=True)
    target.unlink(missing_ok=True)  # a link would lead out of the root
    target.write_text(text, encoding="utf-8")


def _call(*words: str | Path) -> None:
    done = subprocess.run(
        words, stdin=subprocess.DEVNULL, capture_output=True, text=True, check=False
    )
    if done.returncode != 0:
        said = (done.stderr or done.stdout).strip().splitlines() or ["it said nothing"]
        sys.stderr.writelines(f"    {line}\n" for line in said[-10:])
        raise FreshError(f"{words[0]} failed with status {done.returncode}: {said[-1]}")
