# SPDX-License-Identifier: GPL-2.0-only
"""The rule for subjects of commits, as the hook applies it."""

import subprocess
import sys
from pathlib import Path

import pytest

from tests.compiler import ROOT


def check(message: str, tmp_path: Path) -> subprocess.CompletedProcess[str]:
    (tmp_path / "message").write_text(message)
    command = [sys.executable, ROOT / ".ci" / "check_subject.py", tmp_path / "message"]
    return subprocess.run(command, capture_output=True, text=True, timeout=60, check=False)


@pytest.mark.parametrize(
    "subject",
    ["tap: read KTAP", "sandbox, host: call it by its name", "Revert x", "a: b " + "c" * 67],
)
def test_accepted(subject: str, tmp_path: Path) -> None:
    done = check(f"{subject}\n\nA body. Of any length.{'x' * 90}\n", tmp_path)
    assert (done.returncode, done.stderr) == (0, "")


@pytest.mark.parametrize(
    ("subject", "reason"),
    [
        ("mend it", "it is not `area: verb ...`"),
        ("tap: Mend it", "it is not `area: verb ...`"),
        ("tap: mend it.", "it is not `area: verb ...`"),
        ("tap: mend", "it is not `area: verb ...`"),
        ("", "it is not `area: verb ...`"),
        ("a: b " + "c" * 68, "it has 73 characters"),
    ],
)
def test_refused(subject: str, reason: str, tmp_path: Path) -> None:
    done = check(f"{subject}\n", tmp_path)
    assert done.returncode == 1
    assert done.stderr.startswith(f"the commit's subject: {reason}")
