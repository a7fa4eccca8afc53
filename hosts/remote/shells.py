# SPDX-License-Identifier: GPL-2.0-only
"""The kinds of targets by what takes their commands: a POSIX shell, or cmd and PowerShell."""

from __future__ import annotations

from lkltest.errors import ConnectionLost, LaunchError
from lkltest.hosts.remote.agent import Agent
from lkltest.hosts.remote.posix import PosixAgent
from lkltest.hosts.remote.target import Target
from lkltest.hosts.remote.transport import Ssh, Transport
from lkltest.hosts.remote.windows import WindowsAgent, find_machine


def agent_for(transport: Transport, target: Target) -> Agent:
    """The agent that suits the target; it is asked first as most of them want to be asked."""
    agent = PosixAgent(transport, target)
    try:
        agent.system  # noqa: B018 - asks
    except ConnectionLost:
        raise
    except LaunchError:
        machine = find_machine(transport) if isinstance(transport, Ssh) else None
        if machine is None or not isinstance(transport, Ssh):
            raise
        return WindowsAgent(transport, target, machine)
    return agent
