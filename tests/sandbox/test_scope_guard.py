# SPDX-License-Identifier: GPL-2.0-only
"""The runner never waits for ever for a guard that is dead or stopped."""

import os
import signal
import sys

import pytest

from lkltest.sandbox import guard_link
from lkltest.sandbox.scope import NAMESPACE, Scope, ScopeError
from tests.census import Census
from tests.sandbox.scopes import BEST


class TestGuardGone:
    def test_killed(self, census: Census) -> None:
        with Scope() as scope:
            child = scope.spawn(["sleep", "1000"])
            os.kill(scope.pid, signal.SIGKILL)
            with pytest.raises(ScopeError, match=r"^the guard of the scope is gone: [^\n]*$"):
                child.wait(60)
            with pytest.raises(ScopeError):
                scope.spawn(["true"])
        if BEST.kind == NAMESPACE:
            assert census.left() == []

    def test_killed_with_a_deep_folder(self, census: Census) -> None:
        with Scope() as scope:
            deep = "import os\nfor _ in range(3000): os.mkdir('d'); os.chdir('d')"
            child = scope.spawn([sys.executable, "-I", "-S", "-c", deep], cwd=scope.folder)
            assert child.wait(60) == 0
            os.kill(scope.pid, signal.SIGKILL)
        assert not scope.folder.exists()
        assert census.left() == []

    def test_stopped(self, census: Census, monkeypatch: pytest.MonkeyPatch) -> None:
        with Scope() as scope:
            os.kill(scope.pid, signal.SIGSTOP)
            monkeypatch.setattr(guard_link, "ANSWER_SECONDS", 0.1)
            monkeypatch.setattr(guard_link, "CLOSE_SECONDS", 0.1)
            with pytest.raises(ScopeError, match="does not answer"):
                scope.spawn(["true"])
        assert census.left() == []

    def test_not_open(self) -> None:
        scope = Scope()
        with pytest.raises(ScopeError, match="not open"):
            scope.spawn(["true"])
        with scope:
            pass
        with pytest.raises(ScopeError, match="ended"):
            scope.spawn(["true"])

    def test_no_temporary_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setattr(guard_link, "temporary_folders", lambda: ["/nonexistent", "/dev/null"])
        with pytest.raises(ScopeError, match=r"^cannot start a scope: [^\n]*/nonexistent"), Scope():
            pass

    def test_another_temporary_folder(self, monkeypatch: pytest.MonkeyPatch) -> None:
        monkeypatch.setenv("TMPDIR", "/nonexistent")
        with Scope() as scope:
            assert scope.folder.is_dir()

    def test_an_interrupted_request_ends_it(
        self, census: Census, monkeypatch: pytest.MonkeyPatch
    ) -> None:
        def interrupted(*_: object) -> None:
            raise KeyboardInterrupt

        with Scope() as scope:
            with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
                patch.setattr(guard_link.GuardLink, "_receive", interrupted)
                scope.spawn(["true"])
            with pytest.raises(ScopeError, match="ended"):
                scope.spawn(["true"])
        assert census.left() == []
