# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest cluster`: the certificate of a cluster, and Dask's scheduler as nights need it.

Any Dask scheduler will do; this one listens to this machine alone unless it has a certificate or is
asked to, moves the cell of a dead worker once, and takes one that is silent for half a minute for
dead. https://distributed.dask.org/en/stable/killed.html
"""

from __future__ import annotations

import argparse
import asyncio
import contextlib
from pathlib import Path
from typing import Any

from lkltest.command_line import PASSED, USED_WRONGLY
from lkltest.nightly.cluster.errors import ClusterError
from lkltest.nightly.cluster.scheduler import NO_PAGES, load
from lkltest.nightly.cluster.tls import make_certificate, security
from lkltest.report.terminal import echo, echo_error
from lkltest.signals import handle_termination_signals

_PORT = 8786
_MOVES = 1  # how often the cell of a dead worker is run again
_SILENCE = 30.0


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's commands."""
    commands = parser.add_subparsers(required=True, metavar="WHAT", dest="what")
    make = commands.add_parser("certificates", help="make a certificate for a cluster")
    make.add_argument("directory", type=Path, metavar="DIR", help="for --tls, on each machine")
    scheduler = commands.add_parser(
        "scheduler", help="run Dask's scheduler, for workers and nights"
    )
    add_tls(scheduler)
    scheduler.add_argument(
        "--host",
        metavar="ADDRESS",
        help="listen on this address (with --tls all of them, else 127.0.0.1)",
    )
    scheduler.add_argument("--port", type=int, default=_PORT, metavar="N", help=f"({_PORT})")


def add_tls(parser: argparse.ArgumentParser) -> None:
    """Let a command take the certificate of a cluster."""
    parser.add_argument(
        "--tls",
        type=Path,
        metavar="DIR",
        help="certificate of the cluster, by cluster certificates",
    )


def run(options: argparse.Namespace) -> int:
    """Run the command. Returns the exit status."""
    try:
        if options.what == "certificates":
            return _certificates(options.directory)
        load()
        return _scheduler(options)
    except ClusterError as error:
        echo_error(str(error), "lkltest cluster")
    except (OSError, ValueError) as error:  # a port in use, no such address
        echo_error(" ".join(str(error).split()), "lkltest cluster")
    return USED_WRONGLY


def _certificates(directory: Path) -> int:
    for file in make_certificate(directory):
        echo(f"{file}: written")
    echo(f"copy {directory} to each machine as you would a private key, and give it to --tls")
    return PASSED


def _scheduler(options: argparse.Namespace) -> int:
    own = security(options.tls)
    host = options.host or ("" if own else "127.0.0.1")
    settings = {"host": host, "port": options.port, "protocol": "tls" if own else "tcp"}
    undo = handle_termination_signals()
    try:
        asyncio.run(_serve(settings, own))
    except KeyboardInterrupt:
        pass  # the way to end it
    finally:
        undo()
    return PASSED


async def _serve(settings: dict[str, Any], own: Any) -> None:
    import dask.config
    from distributed import Scheduler

    with dask.config.set({"distributed.scheduler.http.routes": []}):
        scheduler: Any = Scheduler(
            **settings,
            security=own,
            dashboard=False,
            dashboard_address=NO_PAGES,
            allowed_failures=_MOVES,
            worker_ttl=_SILENCE,
        )
    async with scheduler:
        echo(f"scheduler at {scheduler.address}", flush=True)
        with contextlib.suppress(asyncio.CancelledError):
            await scheduler.finished()
