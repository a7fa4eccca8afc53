# SPDX-License-Identifier: GPL-2.0-only
"""Nights whose cells run on targets over ssh: a search for a commit, workers of a cluster."""

from __future__ import annotations

import json
import os
import subprocess
from pathlib import Path

import pytest

from lkltest.nightly.model.cell import CellOutcome
from tests.fake_build import fake_build, lkltest
from tests.hosts.remote.test_lost_connection import There, there
from tests.nightly.cluster.test_cluster import Cluster, cell, cluster_, records

__all__ = ["cluster_", "there"]

pytestmark = pytest.mark.skipif(
    os.geteuid() != 0, reason="a user's cell is root in a namespace: no sshd there"
)


def git(tree: Path, *words: str) -> str:
    who = ["-c", "user.name=x", "-c", "user.email=x@example.org"]
    command = ["git", *who, "-C", str(tree), *words]
    return subprocess.run(command, capture_output=True, text=True, check=True).stdout


def commit(tree: Path, number: int, outcome: str) -> str:
    source = (
        f'#include <stdio.h>\nint main(void) {{ puts("1..1\\n{outcome} 1 it"); }} // {number}\n'
    )
    (tree / "boot.c").write_text(source)
    git(tree, "add", "-A")
    git(tree, "commit", "-qm", f"commit {number}")
    return git(tree, "rev-parse", "HEAD").strip()


def settings(there: There) -> list[str]:
    return [option for option in there.options if "target=" not in option]


def test_a_night_finds_the_commit_that_broke_a_target(there: There, tmp_path: Path) -> None:
    tree = tmp_path / "tree"
    tree.mkdir()
    (tree / ".gitignore").write_text("/tests/boot\n")
    for name in ("Kbuild", "MAINTAINERS"):
        (tree / name).touch()
    (tree / "Makefile").write_text("all:\n\tmkdir -p tests && cc -o tests/boot boot.c\n")
    git(tree, "init", "-q")
    outcomes = ["ok", "ok", "ok", "not ok", "not ok"]
    commits = [commit(tree, number, outcome) for number, outcome in enumerate(outcomes)]
    file = tmp_path / "nightly.toml"
    file.write_text(
        f'[night]\nrepeat = 5\n[builds.next]\npath = "{tree}"\nmake = "make"\n'
        '[matrix]\nbuilds = ["next"]\nhosts = ["ssh:near"]\nsuites = ["boot"]\n'
        f'[[override]]\nhost = "ssh:*"\noptions = {json.dumps(settings(there))}\n'
    )
    for at, status in ((commits[0], 0), (commits[-1], 1)):
        git(tree, "checkout", "-q", at)
        subprocess.run(["make", "-s", "-C", str(tree)], check=True)
        done = lkltest("nightly", str(file), "--bisect", "5", cwd=tmp_path)
        assert done.returncode == status, done.stdout + done.stderr
    assert f"boot@ssh:near#next/it: broken by {commits[3][:7]} commit 3" in done.stdout, done.stdout
    assert there.gone()


def test_a_worker_runs_cells_on_a_target(there: There, cluster_: Cluster, tmp_path: Path) -> None:
    build = fake_build(tmp_path / "pass", boot="always pass")
    cluster_.worker("one", "--host=ssh:near", "--host=native")
    found = records(
        cluster_.night(
            [
                cell("there", build, "ssh:near", options=tuple(settings(there))),
                cell("elsewhere", build, "ssh:far", options=tuple(settings(there))),
            ],
            grace=0.5,
        )
    )
    assert found["there"].outcome is CellOutcome.PASSED, found["there"]
    assert there.runs() == 1
    assert "has host ssh:far" in found["elsewhere"].error
    assert there.gone()
