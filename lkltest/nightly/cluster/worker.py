# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest worker`: a Dask worker that runs the cells of a night on this machine.

Its resources are the hosts that work here. A cell is a process in a scope of its own, which dies
with the worker.
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
import platform
from collections.abc import Iterable, Mapping
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

from lkltest.command_line import FAILED, PASSED, USED_WRONGLY, count
from lkltest.errors import BuildError
from lkltest.host.api import Host
from lkltest.host.error_boundary import BUGS, accepts, error_boundary
from lkltest.host.registry import host_names, is_host, make_host, why_unusable
from lkltest.nightly.cluster.command import add_tls
from lkltest.nightly.cluster.errors import ClusterError
from lkltest.nightly.cluster.remote_cell import MACHINE
from lkltest.nightly.cluster.scheduler import NO_PAGES, load, reason_of
from lkltest.nightly.cluster.tls import security
from lkltest.nightly.cluster.workers import ANNOUNCED, Versions, resource, versions_here
from lkltest.plain import to_plain
from lkltest.report.terminal import echo, echo_error
from lkltest.sandbox.scope import Scope, ScopeError
from lkltest.text import unknown

_CONNECT = 30.0
_ASKED = ("scheduler-close", "scheduler-close-worker")
"""The reasons, in Dask's words, of a worker that was asked to end."""
_TAKEN_FOR_DEAD = ("scheduler-remove-worker", "worker-heartbeat-missing")


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add what the command takes."""
    parser.add_argument("scheduler", help="address of the Dask scheduler, tls://HOST:8786")
    add_tls(parser)
    parser.add_argument(
        "-j",
        "--jobs",
        type=count,
        default=1,
        metavar="N",
        help="number of cells to run at once (1)",
    )
    parser.add_argument("--host", action="append", help="offer only this host; may be repeated")
    parser.add_argument("--name", default=platform.node(), help="name in reports (the machine's)")
    parser.add_argument(
        "--machine",
        default="",
        metavar="NAME",
        help="compare times under this name; equal machines may share one (--name's)",
    )


def run(options: argparse.Namespace) -> int:
    """Work until the scheduler ends (0), is lost or takes this worker for dead (1).

    Returns the exit status.
    """
    for name in options.host or ():
        if not is_host(name):
            return _fail(unknown("host", name, host_names()))
    try:
        load()
        own = security(options.tls, options.scheduler)
    except ClusterError as error:
        return _fail(str(error))
    offer = usable(options.host or host_names(), options.jobs)
    if not offer.resources:
        return _fail("no host can run here; lkltest doctor says what is missing")
    try:
        with Scope() as scope:  # its folder goes with a worker that is killed, too
            return _run(options, offer, scope.folder, own)
    except ScopeError as error:
        return _fail(str(error))


@dataclass(frozen=True, slots=True)
class Offer:
    """The offer of a worker to nights.

    Attributes:
        resources: of a host that works here as many as there are jobs, and as many by a second name
            when it has a default build too.
        versions: of lkltest, Python and the hosts.
    """

    resources: Mapping[str, float]
    versions: Versions


def usable(names: Iterable[str], jobs: int) -> Offer:
    """Ask the hosts, as `lkltest doctor` does, and say what each answers."""
    resources: dict[str, float] = {}
    ours = versions_here()
    working = []
    for name in names:
        host = make_host(name)
        refusal = why_unusable(host)
        if refusal:
            echo(f"host {name:10} no   {refusal}")
            continue
        resources[resource(name, ours, default_build=False)] = float(jobs)
        working.append(_facts(host, name))
        try:
            with error_boundary(host, "open_build", BuildError):
                build = host.open_build(None)
        except BuildError as error:
            echo(f"host {name:10} yes  no default build: {error}")
            continue
        if not accepts(host, build):
            echo(f"host {name:10} yes  no default build: {build.directory} is not for it")
            continue
        resources[resource(name, ours, default_build=True)] = float(jobs)
        echo(f"host {name:10} yes")
    return Offer(resources, replace(ours, hosts=", ".join(working)))


def _facts(host: Host, name: str) -> str:
    """`wine (8.0)`: a host with its version, which is the first thing that it says of itself."""
    with contextlib.suppress(*BUGS):
        said = next(iter(host.properties().values()), "")
        return f"{name} ({said})" if said else name
    return name


def _run(options: argparse.Namespace, offer: Offer, folder: Path, own: Any) -> int:
    try:
        why = asyncio.run(_work(options, offer, folder, own))
    except Exception as error:  # noqa: BLE001 - for a bad address Dask raises whatever fails first
        reason = reason_of(error)
        if isinstance(error, TimeoutError) and options.tls:
            reason = f"no answer in {_CONNECT:g} s; has it the certificate of {options.tls}?"
        if "name taken" in reason:
            where = f"{options.scheduler} has a worker {options.name}"
            return _fail(f"{where} already: give this one another --name")
        return _fail(f"no Dask scheduler at {options.scheduler}: {reason}")
    if why:
        echo_error(why, "lkltest worker")
        return FAILED
    return PASSED


async def _work(options: argparse.Namespace, offer: Offer, folder: Path, own: Any) -> str:
    """Work until the worker ends; returns why, "" where it was asked to."""
    import dask.config
    from distributed import Worker

    reasons: list[str] = []

    class Telling(Worker):
        """A worker that says why it ends."""

        async def close(self, **words: Any) -> Any:  # type: ignore[override]
            reasons.append(str(words.get("reason", "")))
            return await super().close(**words)

    dask.config.set({"distributed.worker.http.routes": []})
    worker: Any = Telling(
        options.scheduler,
        host=None if own else _own_address(options.scheduler),
        security=own,
        nthreads=options.jobs,
        name=options.name,
        resources=dict(offer.resources),
        startup_information={ANNOUNCED: lambda _: to_plain(offer.versions)},
        local_directory=str(folder),
        # Cells are processes of their own: this one's memory says nothing about them.
        memory_limit=0,
        death_timeout=_CONNECT,
        dashboard=False,
        dashboard_address=NO_PAGES,
    )
    setattr(worker, MACHINE, options.machine)
    async with worker:
        echo(f"working for {options.scheduler} as {worker.address}", flush=True)
        with contextlib.suppress(asyncio.CancelledError):
            await worker.finished()
    reason = reasons[0] if reasons else ""
    if reason in _ASKED:
        return ""
    if reason in _TAKEN_FOR_DEAD:
        return f"was silent too long: the scheduler {options.scheduler} took it for dead"
    return f"lost the scheduler {options.scheduler}"


def _own_address(scheduler: str) -> str:
    """The one of this machine's addresses by which the scheduler is reached.

    A worker listens, too, and without a certificate whoever reaches it can run programs.
    """
    from distributed.comm.addressing import get_address_host_port
    from distributed.utils import get_ip

    return str(get_ip(*get_address_host_port(scheduler)))


def _fail(message: str) -> int:
    echo_error(message, "lkltest worker")
    return USED_WRONGLY
