# SPDX-License-Identifier: GPL-2.0-only
"""A chamber: a root in namespaces of its own, in which a command sees nothing of the outside.

Mounts and processes are the chamber's: they end with it, also after `kill -9`, and none shows
outside. The devices and the network are the machine's.
"""

from __future__ import annotations

import shlex
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

PATH = "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"


@dataclass(frozen=True, slots=True)
class Chamber:
    """A root to run commands in; `folders` of this machine are seen in it, for reading alone."""

    root: Path
    folders: Sequence[Path] = ()
    environment: Mapping[str, str] | None = None
    user: str = "root"

    @property
    def home(self) -> str:
        return "/root" if self.user == "root" else f"/home/{self.user}"

    def run(self, folder: str, words: Sequence[str]) -> int:
        """Run a command in the folder `folder` of the root; returns its exit status."""
        for path in self.folders:
            target = self.root / path.relative_to("/")
            if path.is_dir():
                target.mkdir(parents=True, exist_ok=True)
            else:
                target.parent.mkdir(parents=True, exist_ok=True)
                target.touch()
        namespaces = ["unshare", "--mount", "--propagation", "private", "--pid", "--fork"]
        script = "\n".join([*self._mounts(), *self._enter(self._inside(folder, words))])
        done = subprocess.run([*namespaces, "--kill-child", "sh", "-ec", script], check=False)
        return done.returncode

    def _mounts(self) -> list[str]:
        root = shlex.quote(str(self.root))
        lines = [
            f"mount --bind {root} {root}",  # for its / to be a mount point, as a machine's is
            f"mount -t proc proc {root}/proc",
            f"mount --rbind /sys {root}/sys",
            f"mount --rbind /dev {root}/dev",
            # Terminals of its own, of the group tty as everywhere: else a user's sshd gives none.
            f"mount -t devpts -o newinstance,gid=5,mode=620,ptmxmode=666 devpts {root}/dev/pts",
        ]
        for path in self.folders:
            inside = shlex.quote(f"{self.root}{path}")
            lines += [
                f"mount --bind {shlex.quote(str(path))} {inside}",
                f"mount -o remount,bind,ro {inside}",
            ]
        return lines

    def _enter(self, words: Sequence[str]) -> list[str]:
        """Make the root the chamber's own: in a chroot there are no user namespaces."""
        rest = f"umount -l /.outside && rmdir /.outside && exec {shlex.join(words)}"
        return [
            f"cd {shlex.quote(str(self.root))}",
            "mkdir -p .outside",
            "pivot_root . .outside",
            f"exec chroot . /bin/sh -ec {shlex.quote(rest)}",
        ]

    def _inside(self, folder: str, words: Sequence[str]) -> list[str]:
        settings = {
            **(self.environment or {}),
            "PATH": PATH,
            "HOME": self.home,
            "USER": self.user,
            "LANG": "C.UTF-8",
        }
        command = f"cd {shlex.quote(folder)} && exec {shlex.join(words)}"
        user = ["setpriv", f"--reuid={self.user}", f"--regid={self.user}", "--init-groups"]
        return [
            *("/usr/bin/env", "-i"),
            *(f"{name}={value}" for name, value in settings.items()),
            *(user if self.user != "root" else ()),
            *("/bin/sh", "-c", command),
        ]
