# SPDX-License-Identifier: GPL-2.0-only
"""The isolation that this machine allows, and why it is no better, in one line."""

import os
from pathlib import Path

import pytest

from lkltest.sandbox.isolation import _refusal
from lkltest.sandbox.scope import NAMESPACE, SUBREAPER, Isolation, Scope, ScopeError, probe


class TestProbe:
    def test_is_cached(self) -> None:
        assert probe() is probe()

    @pytest.mark.parametrize(
        ("script", "reason"),
        [
            ("echo 'unshare: unshare failed: Operation not permitted' >&2; exit 1",
             "unshare: unshare failed: Operation not permitted"),
            ("exit 1", "unshare failed"),
            (None, "unshare is missing (package util-linux)"),
        ],
    )  # fmt: skip
    def test_refused(
        self, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, script: str | None, reason: str
    ) -> None:
        if script is not None:
            (tmp_path / "unshare").write_text(f"#!/bin/sh\n{script}\n")
            (tmp_path / "unshare").chmod(0o755)
        monkeypatch.setenv("PATH", os.fspath(tmp_path))
        found = probe.__wrapped__()
        assert found.kind == SUBREAPER
        assert found.reason.startswith(reason)
        assert "\n" not in found.reason

    def test_a_hint(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("PATH", "/nonexistent")
        monkeypatch.setattr(Path, "read_text", lambda *_, **__: "0\n")
        assert _refusal(Isolation(NAMESPACE)) == "unshare is missing (package util-linux)"

    def test_no_network_without_namespaces(self) -> None:
        lesser = Isolation(SUBREAPER, reason="because")
        with pytest.raises(ScopeError, match="no namespaces here: because"):
            Scope(network=True, isolation=lesser).__enter__()
