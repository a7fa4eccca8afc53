# SPDX-License-Identifier: GPL-2.0-only
"""A fixture of the tests of what starts processes."""

import os
from pathlib import Path

import pytest

from tests.census import MARKER, Census, new_marker


@pytest.fixture
def census(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Census:
    """A census of what this test and its programs start, with a TMPDIR of their own."""
    marker = new_marker()
    monkeypatch.setenv(MARKER, marker)
    monkeypatch.setenv("TMPDIR", os.fspath(tmp_path))
    return Census.take(marker, tmp_path)
