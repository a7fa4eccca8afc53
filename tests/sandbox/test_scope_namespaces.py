# SPDX-License-Identifier: GPL-2.0-only
"""Scopes with a network, mounts or the namespaces of another scope."""

import os
import signal
import stat
from pathlib import Path

import pytest

from lkltest.sandbox.scope import NAMESPACE, Scope, ScopeError
from tests.census import Census
from tests.sandbox.scopes import BEST, DAEMON, ended, needs_namespaces, output


@needs_namespaces
class TestNamespaces:
    def test_network_and_mounts(self) -> None:
        with Scope(network=True, mounts=True) as scope:
            assert scope.unmounted == {}
            text = output(scope, "sh", "-c", f"ls {scope.folder}/sys/class/net; echo /proc/[0-9]*")
            assert text.split()[0] == "lo"
            assert text.split()[1] == "/proc/1"
            assert len(text.split()) == 3
            assert list((scope.folder / "sys").iterdir()) == []  # seen from outside

    def test_what_a_program_mounted_is_not_in_the_way(self) -> None:
        with Scope(mounts=True) as scope:
            command = (
                f"mkdir mnt mnt/a; mount -t tmpfs none mnt && touch mnt/file; ls {scope.folder}"
            )
            assert "mnt" in output(scope, "sh", "-c", f"cd {scope.folder}; {command}")
            assert not (scope.folder / "mnt" / "file").exists()
        assert not scope.folder.exists()

    @pytest.mark.skipif(BEST.user or os.geteuid() != 0, reason="only root makes device nodes")
    def test_device_nodes(self) -> None:
        with Scope(mounts=True) as scope:
            node = scope.folder / "dev" / "null"
            scope.make_node(node, stat.S_IFCHR | 0o600, 1, 3)
            assert output(scope, "sh", "-c", f"echo lost > {node}; cat {node}") == ""
            with pytest.raises(FileExistsError, match="null"):
                scope.make_node(node, stat.S_IFCHR | 0o600, 1, 3)

    def test_join(self, census: Census) -> None:
        with Scope(network=True, mounts=True, daemons=True) as session:
            server = session.spawn(["sleep", "1000"])
            with Scope(join=session.pid) as run:
                assert run.isolated_by == NAMESPACE
                for name in ("pid", "net", "mnt"):
                    links = {Path(f"/proc/{s.pid}/ns/{name}").readlink() for s in (run, session)}
                    assert len(links) == 1
                child = run.spawn(["sh", "-c", DAEMON + "sleep 1000"])
                child.kill(signal.SIGTERM)
                assert os.WTERMSIG(ended(child)) == signal.SIGTERM
                run.spawn(["sh", "-c", DAEMON + "sleep 1000"])
            assert not run.folder.exists()
            assert server.poll() is None
            listed = output(session, "sh", "-c", "cat /proc/[0-9]*/comm").split()
            assert listed.count("sleep") == 1
        assert census.left() == []

    def test_the_end_of_a_session_ends_those_who_joined(self, census: Census) -> None:
        with Scope(daemons=True) as session, Scope(join=session.pid) as run:
            child = run.spawn(["sleep", "1000"])
            session.__exit__(None, None, None)
            with pytest.raises(ScopeError):
                child.wait(60)
        assert census.left() == []

    def test_join_of_the_dead(self) -> None:
        with Scope() as session:
            pid = session.pid
        with pytest.raises(ScopeError, match="cannot join process"), Scope(join=pid):
            pass
