# SPDX-License-Identifier: GPL-2.0-only
"""The session scope: the hosts and builds of one pytest process, made at first use."""

from __future__ import annotations

import contextlib
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import pytest

from lkltest.deadline import Deadlines
from lkltest.errors import BuildError, LaunchError, LkltestError
from lkltest.host.api import Host
from lkltest.host.build import Build, named_build, open_build
from lkltest.host.error_boundary import error_boundary
from lkltest.host.executable import describe
from lkltest.host.registry import host_for_build, host_names, make_host
from lkltest.text import unknown

_session_key: pytest.StashKey[Session] = pytest.StashKey()


class UnknownHost(LkltestError):
    """A host that does not exist was asked for; the message names those that do."""


class Session:
    """Hosts and builds of one pytest process.

    `shared` is a directory that the xdist controller and its workers have in common, None without
    xdist.
    """

    def __init__(
        self,
        host_options: Mapping[str, Any],
        build_name: str | None,
        timeout: float,
        shared: Path | None = None,
    ) -> None:
        self.build_name = named_build(build_name)
        self.deadlines = Deadlines.from_timeout(timeout)
        self._host_options = host_options
        self._shared = shared
        self._hosts: dict[str, Host] = {}
        self._builds: dict[str, Build] = {}
        self._entered: dict[str, LaunchError | None] = {}
        self._stack = contextlib.ExitStack()

    def host(self, name: str) -> Host:
        """The host called `name`. Raises UnknownHost."""
        if name not in self._hosts:
            try:
                self._hosts[name] = make_host(name, self._host_options)
            except KeyError:
                raise UnknownHost(unknown("host", name, host_names())) from None
        return self._hosts[name]

    def build(self, host_name: str) -> Build:
        """The build that `host_name` runs. Raises BuildError."""
        if host_name not in self._builds:
            host = self.host(host_name)
            with error_boundary(host, "open_build", BuildError):
                self._builds[host_name] = host.open_build(self.build_name)
        return self._builds[host_name]

    def programs(self, hosts: Iterable[str], kind: str) -> list[str]:
        """Names of the programs in those of the hosts' builds that are of a kind."""
        names: dict[str, None] = {}
        for host in hosts:
            with contextlib.suppress(LkltestError):  # told where the host is asked to run something
                build = self.build(host)
                names |= dict.fromkeys(build.programs if build.kind == kind else ())
        return list(names)

    def default_host(self) -> str:
        """The host that suits the build's programs. Raises BuildError or UnknownHost."""
        host = host_for_build(self.build_name, self._host_options)
        if host is None:
            (program, *_) = open_build(self.build_name).programs.values()
            raise UnknownHost(
                f"{describe(program)}; no host says that it runs that, "
                f"name one: {', '.join(host_names())}"
            )
        return host.name

    def prepare(self, host: Host) -> None:
        """Begin what `host` needs for a session, while there is other work. Raises LaunchError."""
        with error_boundary(host, "prepared"):
            self._stack.enter_context(host.prepared())

    def enter(self, host: Host) -> None:
        """Start what `host` keeps for the whole session, once.

        Raises LaunchError; what could not be started is not tried again.
        """
        if host.name not in self._entered:
            self._entered[host.name] = None
            try:
                with error_boundary(host, "session"):
                    self._stack.enter_context(host.session(self._shared))
            except LaunchError as error:
                self._entered[host.name] = error
        failure = self._entered[host.name]
        if failure is not None:
            raise failure

    def share(self) -> Path:
        """The directory that xdist's controller and workers have in common, made at first use."""
        if self._shared is None:
            from lkltest.sandbox.scope import Scope

            # A scope's folder goes with the runner, however that ends.
            self._shared = self._stack.enter_context(Scope()).folder
        return self._shared

    def close(self) -> None:
        """End the hosts' sessions, in reverse order."""
        self._stack.close()


def open_session(config: pytest.Config, session: Session) -> None:
    """Make `session` the one of this pytest process."""
    config.stash[_session_key] = session


def session_of(config: pytest.Config) -> Session:
    """The session of this pytest process; KeyError before `open_session`."""
    return config.stash[_session_key]
