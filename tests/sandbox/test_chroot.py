# SPDX-License-Identifier: GPL-2.0-only
"""A scope in a chroot, where / is no mount point: its mounts and nodes are its own there, too."""

import os
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parents[2]

INSIDE = """
import os, stat, sys
sys.path.insert(0, os.environ["CHECKOUT"])
from lkltest.sandbox.scope import Scope

with Scope(network=True, mounts=True) as scope:
    node = scope.folder / "dev" / "null"
    scope.make_node(node, stat.S_IFCHR | 0o600, 1, 3)
    child = scope.spawn(["sh", "-c", f"echo gone >{node} && test -c {node}"])
    print("status", child.wait(20), "unmounted", scope.unmounted)
    print("seen outside", str(scope.folder) in open("/proc/self/mountinfo").read())
"""


def making(new: Path) -> Iterator[str]:
    """Shell lines that make the folder `new` a root with all of this machine in it."""
    yield "mount --make-rshared /"  # the worst case: each mount is seen by who shares it
    for path in sorted(Path("/").iterdir()):
        if path.is_symlink():
            yield f"ln -s {path.readlink()} {new}/{path.name}"
        elif path.is_dir():
            yield f"mkdir {new}/{path.name} && mount --rbind {path} {new}/{path.name}"


@pytest.mark.skipif(os.geteuid() != 0, reason="only root may chroot")
def test_mounts_and_nodes_in_a_chroot(tmp_path: Path) -> None:
    new = tmp_path / "root"
    new.mkdir()
    script = "\n".join([*making(new), f'exec chroot {new} "$0" -c "$1"'])
    done = subprocess.run(
        [
            *["unshare", "--mount", "--propagation", "private", "sh", "-ec"],
            script,
            sys.executable,
            INSIDE,
        ],
        env={**os.environ, "CHECKOUT": str(ROOT), "TMPDIR": "/tmp"},
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
    )
    assert done.stdout == "status 0 unmounted {}\nseen outside False\n", done.stdout + done.stderr
