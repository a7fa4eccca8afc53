# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest list`: hosts, suites with their variants, and the points that runs of a build have had.

A program tells its points when it runs: what is listed is what earlier runs on this machine saw.
"""

from __future__ import annotations

import argparse
from pathlib import Path

from lkltest.cli.points import Points, known_points
from lkltest.command_line import PASSED, USED_WRONGLY
from lkltest.errors import BuildError
from lkltest.host.build import named_build
from lkltest.host.registry import host_names, make_host
from lkltest.plugin import inner_pytest
from lkltest.plugin.discover import NoSuites, chosen
from lkltest.report.terminal import echo, echo_error


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    hosts = host_names()
    try:
        paths, suites = inner_pytest.split(options.suites)
        titles = chosen(paths, suites)
        points = _points(hosts, named_build(options.build))
    except (BuildError, NoSuites) as error:
        echo_error(str(error))
        return USED_WRONGLY
    for host in hosts:
        echo(f"host   {host}")
    for title in titles:
        known = {host: points[f"{title}@{host}"] for host in hosts if f"{title}@{host}" in points}
        counts = ", ".join(f"{len(names)} on {host}" for host, names in known.items())
        echo(f"suite  {title:16} points: {counts}" if counts else f"suite  {title}")
        for host, names in known.items() if options.points else ():
            for name in names:
                echo(f"point  {title}@{host}/{name}")
    return PASSED


def _points(hosts: list[str], build: str | None) -> Points:
    """The points of the build that was asked for, else of each host's default one.

    Raises BuildError for a build that no host opens.
    """
    if build is not None and not Path(build).expanduser().exists():
        raise BuildError(f"build {build}: no such directory")
    found: Points = {}
    for name in hosts:
        try:
            directory = make_host(name).open_build(build).directory
        except BuildError:
            continue  # this host has none, so that it has not run
        ours = known_points(directory).items()
        found |= {key: names for key, names in ours if key.endswith(f"@{name}")}
    return found
