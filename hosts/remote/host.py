# SPDX-License-Identifier: GPL-2.0-only
"""The remote hosts: programs run on a machine that is reached by ssh(1) or adb(1).

`--lkl-host=ssh --lkl-ssh-target=user@machine`, or `--lkl-host=ssh:NAME` for several at once, where
`--lkl-ssh-targets=FILE` says what they are (target.py).
"""

from __future__ import annotations

import contextlib
import os
import shutil
import stat
import time
from abc import abstractmethod
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, ClassVar, TypeVar

from lkltest.deadline import Deadline
from lkltest.errors import ConnectionLost, ExecutableError, LaunchError, Missing
from lkltest.host.api import Host, Interface, Launch, OptionGroup
from lkltest.host.build import Build
from lkltest.host.console import open_terminal
from lkltest.host.disk import Disk
from lkltest.host.executable import identify
from lkltest.sandbox.scope import Scope

if TYPE_CHECKING:
    # Where no target is named, which every run asks, none of it is needed: it costs 30 ms.
    from lkltest.hosts.remote.agent import Agent, Job
    from lkltest.hosts.remote.machine import Machine
    from lkltest.hosts.remote.network import TargetNetwork
    from lkltest.hosts.remote.posix import PosixAgent
    from lkltest.hosts.remote.process import RemoteConsole, Run
    from lkltest.hosts.remote.target import Target
    from lkltest.hosts.remote.transport import Transport

T = TypeVar("T")
_MACHINES = {
    "amd64": "x86_64",
    "AMD64": "x86_64",
    "ARM64": "aarch64",
    "arm64": "aarch64",
    "armv7l": "arm",
    "armv8l": "arm",
}
"""uname(1)'s machines, where they are called otherwise in `lkltest.host.executable`."""
_RUNS_TOO = {"x86_64": "i386", "aarch64": "arm"}
_GRACE_SECONDS = 60
"""Seconds beyond its limit that a run may stay on a target that has lost us."""
_RETURN_SECONDS = 30.0
"""Seconds in which a target whose connection was lost may come back; it is waited for once."""
_SEED_SECONDS = 60.0
_PAUSE_SECONDS = 0.5


class RemoteHost(Host):
    """Runs a build's programs on the target that its options name."""

    takes_target = True

    transport_program: ClassVar[Missing]

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        target = self.options.get("lkl_target")
        if target:
            self.name = f"{type(self).name}:{target}"  # type: ignore[misc]  # one of several
        self.target_name = str(target or self._option("target") or "")
        self._agent: Agent | None = None
        self._digests: dict[Path, str] = {}
        self._joined: dict[Path, Run] = {}  # by scope's folders: the runs that have the named pipes
        self._no_networks: dict[str, str] = {}
        self._machine: Machine | None = None
        self._stack = contextlib.ExitStack()
        self._begun: PosixAgent | None = None  # one whose connection is on its way
        self._connection = contextlib.ExitStack()  # what there is of the connection of now
        self._lost_session = ""
        self._patience: Deadline | None = None  # with a target that was there, and may come back

    @classmethod
    def add_options(cls, parser: OptionGroup) -> None:
        name = cls.name
        parser.addoption(
            f"--lkl-{name}-target", metavar="TARGET", help="machine on which programs run"
        )
        parser.addoption(
            f"--lkl-{name}-targets", metavar="FILE", help="TOML file with [targets.NAME]"
        )

    def missing(self) -> Missing | None:
        if shutil.which(self.transport_program.what) is None:
            what = f"{self.transport_program.what} is missing"
            return Missing(what, self.transport_program.install)
        if not self.target_name:
            return Missing("no target", f"name one with --lkl-{type(self).name}-target=TARGET")
        return self._missing_machine()

    def check(self) -> None:
        self._target()

    def accepts(self, build: Build) -> bool:
        if not self.target_name:
            return False
        try:
            found = {identify(path).format for path in build.programs.values()}
            return bool(found & {"ELF", "PE"})
        except ExecutableError:
            return False

    def unsupported(self, feature: str, build: Build) -> str | None:
        windows = self._agent is not None and self._agent.system.name == "Windows"
        if windows and feature.startswith("net:") and feature != "net:loopback":
            return "its back end is POSIX, and the target is Windows"
        if feature.startswith("net") and "net-test" not in build.programs:
            return f"build {build.directory.name} ({build.kind}) has no tests/net-test"
        if feature in ("net:tap", "net:raw", "net:macvtap"):
            return self._no_network(feature)
        if feature == "net:pipe" and build.kind == "bundled" and not build.has("LKLTEST_NET_PIPE"):
            return "the build has no pipe back end"
        return build.unsupported_by_kernel(feature)

    def network(self) -> TargetNetwork:
        from lkltest.hosts.remote.network import TargetNetwork

        return TargetNetwork()

    @contextlib.contextmanager
    def prepared(self) -> Iterator[None]:
        if self._target().image is None:
            self._begun = self._begin()
        try:
            yield
        finally:
            self._disconnect()

    @contextlib.contextmanager
    def session(self, shared: Path | None = None) -> Iterator[None]:
        with self._stack:
            self._boot(shared)
            self._stack.callback(self._disconnect)
            self._connected()
            yield

    def launch(self, launch: Launch, scope: Scope) -> RemoteConsole:
        if scope.folder in self._joined:
            # Were its connection lost, what it is joined with would be gone: all begins anew.
            return self._launch(launch, scope)
        return self._once_more(lambda _: self._launch(launch, scope))

    def properties(self) -> dict[str, str]:
        found = {"target": self.target_name}
        if self._agent is not None:
            system = self._agent.system
            found["target system"] = f"{system.name} {system.machine}"
            if abs(system.clock_skew) > 1:
                found["target clock"] = f"{system.clock_skew:+d} s"
        return found

    def facts(self) -> dict[str, str]:
        if self._target().image is not None:
            return self.properties()  # nothing is left on a machine that is gone
        with self.session():
            runs = self._once_more(lambda agent: agent.runs())
            return {**self.properties(), **({"runs left there": ", ".join(runs)} if runs else {})}

    @abstractmethod
    def transport(self, target: Target) -> Transport:
        """The way to `target`."""

    def _launch(self, launch: Launch, scope: Scope) -> RemoteConsole:
        from lkltest.hosts.remote.agent import Job
        from lkltest.hosts.remote.process import Run

        agent = self._connected()
        check_machine(launch.program, agent)
        seconds = int(launch.deadlines.total) + _GRACE_SECONDS
        run = Run(agent, agent.name_run(seconds), {})
        pipes = _pipes(scope)
        joined = self._joined.setdefault(scope.folder, run) if pipes else run
        if joined.agent is not agent:
            raise ConnectionLost(f"{agent.address}: what the program is joined with is gone")
        words = [_word(argument, run) for argument in launch.arguments]
        job = Job(
            self._digest(launch.program),
            [word.replace(str(scope.folder), agent.path(joined.name, "")) for word in words],
            {**self._target().environment, **launch.environment},
            self._target().wrapper,
            pipes if joined is run else (),
            _network_lines(launch),
        )
        try:
            if agent.begin(run.name, seconds, job):
                agent.put_program(job.digest, launch.program)
            for name, disk in run.disks.items():
                agent.put_image(run.name, name, disk)
            return self._spawn(run, job, launch, scope)
        except LaunchError:
            with contextlib.suppress(LaunchError):
                agent.end(run.name)
            raise

    def _spawn(self, run: Run, job: Job, launch: Launch, scope: Scope) -> RemoteConsole:
        from lkltest.hosts.remote.process import RemoteConsole

        ours, theirs = open_terminal()
        side, side_end = os.pipe2(os.O_CLOEXEC)
        command = run.agent.run_command(run.name, run.mark, job)
        try:
            child = scope.spawn(
                command, stdin=theirs, stdout=theirs, stderr=side_end, terminal=True
            )
        except OSError as error:
            os.close(ours)
            os.close(side)
            raise LaunchError(f"{command[0]}: {error.strerror}") from None
        finally:
            os.close(theirs)
            os.close(side_end)
        return RemoteConsole(child, (ours, side), tuple(command), launch.deadlines, run)

    def _connected(self) -> Agent:
        if self._agent is not None and not self._agent.lost:
            return self._agent
        if self._agent is not None:
            self._lost_session = self._agent.session
            self._patience = Deadline(_RETURN_SECONDS)
            self._disconnect()
        while self._agent is None:
            try:
                self._agent = self._connect()
            except ConnectionLost:
                if self._patience is None or self._patience.expired:
                    raise
                time.sleep(_PAUSE_SECONDS)
        if self._lost_session:
            self._agent.end_session(self._lost_session)
            self._lost_session = ""
        return self._agent

    def _connect(self) -> Agent:
        """A new connection's agent; most targets have a POSIX shell."""
        agent = self._begun or self._begin()
        self._begun = None
        try:
            agent.system  # noqa: B018 - asks
        except ConnectionLost:
            self._connection.close()
            raise
        except LaunchError as error:
            self._connection.close()
            return self._connect_to_windows(error)
        return agent

    def _begin(self) -> PosixAgent:
        """A connection on its way, with all that it needs here; nothing is waited for."""
        from lkltest.hosts.remote.posix import PosixAgent

        target = self._target()
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(Scope()).folder
            agent = PosixAgent(self.transport(target), target, folder)
            stack.callback(agent.close)
            self._connection = stack.pop_all()
        return agent

    def _connect_to_windows(self, reason: LaunchError) -> Agent:
        """The agent of a target with cmd or PowerShell; `reason` is why it has no POSIX one."""
        from lkltest.hosts.remote.transport import Ssh
        from lkltest.hosts.remote.windows import WindowsAgent

        target = self._target()
        transport = self.transport(target)
        if not isinstance(transport, Ssh):
            raise reason
        with contextlib.ExitStack() as stack:
            folder = stack.enter_context(Scope()).folder
            try:
                agent = WindowsAgent(transport, target, folder)
            except ConnectionLost:
                raise
            except LaunchError:
                raise reason from None
            stack.callback(agent.close)
            self._connection = stack.pop_all()
        return agent

    def _disconnect(self) -> None:
        self._connection.close()
        self._agent = self._begun = None

    def _once_more(self, ask: Callable[[Agent], T]) -> T:
        """The answer that `ask` gets; by another connection if the first is lost meanwhile."""
        agent = self._connected()
        try:
            return ask(agent)
        except ConnectionLost:
            agent.lost = True
        try:
            return ask(self._connected())
        except ConnectionLost as error:
            raise LaunchError(str(error)) from None

    def _no_network(self, feature: str) -> str | None:
        """The reason why the target cannot have a network for `feature`: it is tried, once."""
        from lkltest.hosts.remote.network import sample

        if self._agent is None:
            return None  # nobody is to be connected for a list
        if feature not in self._no_networks:
            lines = sample(feature)
            self._no_networks[feature] = self._once_more(lambda one: one.missing_network(lines))
        said = self._no_networks[feature]
        return f"target {self._agent.address}: {said}" if said else None

    def _missing_machine(self) -> Missing | None:
        """The reason why the machine that the target is to be cannot be made."""
        try:
            image = self._target().image
        except LaunchError:
            return None  # `check` says so
        if image is None:
            return None
        from lkltest.hosts.remote import machine

        return machine.missing(image)

    def _boot(self, shared: Path | None) -> None:
        """Boot the machine that the target is to be, or take the one of xdist's controller."""
        target = self._target()
        if target.image is None:
            return
        from lkltest.hosts.remote.machine import Machine, booted

        word = shared / f"machine-{target.name}.json" if shared else None
        self._machine = Machine.load(word) if word else None
        if self._machine is None:
            self._machine = self._stack.enter_context(booted(target.name, target.image))
            if target.image.seed is not None:
                # Its sshd may be there before cloud-init has made the user and taken the key.
                self._patience = Deadline(_SEED_SECONDS)
            if word:
                self._machine.save(word)

    def _target(self) -> Target:
        from lkltest.hosts.remote.target import find_target

        file = self._option("targets")
        return find_target(self.target_name, Path(file) if file else None)

    def _option(self, name: str) -> Any:
        return self.options.get(f"lkl_{type(self).name}_{name}")

    def _digest(self, program: Path) -> str:
        from lkltest.hosts.remote.agent import digest_of

        if program not in self._digests:
            self._digests[program] = digest_of(program)
        return self._digests[program]


class SshHost(RemoteHost):
    """A machine that OpenSSH's client reaches."""

    name = "ssh"
    transport_program = Missing("ssh", "apt-get install openssh-client")

    @classmethod
    def add_options(cls, parser: OptionGroup) -> None:
        super().add_options(parser)
        parser.addoption("--lkl-ssh-config", metavar="FILE", help="ssh's configuration (its -F)")

    def transport(self, target: Target) -> Transport:
        from lkltest.hosts.remote.transport import Ssh, machine_options

        config = Path(named) if (named := self._option("config")) else None
        if target.image is None or self._machine is None:
            return Ssh(target.address, config)
        return Ssh(target.address, config, machine_options(self._machine.port, target.image.key))


class AdbHost(RemoteHost):
    """An Android device."""

    name = "adb"
    transport_program = Missing("adb", "apt-get install adb")

    def transport(self, target: Target) -> Transport:
        from lkltest.hosts.remote.transport import Adb

        return Adb(target.address)


def check_machine(program: Path, agent: Agent) -> None:
    """Raise LaunchError when `program` is nothing that the target could run."""
    try:
        executable = identify(program)
    except ExecutableError as error:
        raise LaunchError(str(error)) from None
    system = agent.system
    machine = _MACHINES.get(system.machine, system.machine)
    here = executable.machine in (machine, _RUNS_TOO.get(machine))
    if executable.format != ("PE" if system.name == "Windows" else "ELF") or not here:
        raise LaunchError(
            f"{program}: is {executable}; {agent.address} is {system.name} on {system.machine}"
        )


def _word(argument: str | Disk | Interface, run: Run) -> str:
    if isinstance(argument, Disk):
        name = f"disk{len(run.disks)}"
        run.disks[name] = argument
        return run.agent.path(run.name, name)
    if isinstance(argument, Interface):
        return str(argument.node or argument.name)
    return argument


def _network_lines(launch: Launch) -> list[str]:
    from lkltest.hosts.remote.network import TargetNetwork

    return launch.network.lines if isinstance(launch.network, TargetNetwork) else []


def _pipes(scope: Scope) -> list[str]:
    """The named pipes that a suite has made in the run's folder; the target gets its own."""
    return [path.name for path in scope.folder.iterdir() if stat.S_ISFIFO(path.stat().st_mode)]
