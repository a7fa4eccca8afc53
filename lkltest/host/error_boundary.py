# SPDX-License-Identifier: GPL-2.0-only
"""The error boundary around a host, which may be anyone's: a bug in one is one line.

The line says where the bug is; a user did not write that host, and the other hosts run on. Its
author gets the traceback, too, with `LKLTEST_DEBUG=1` or with pytest's `-vv`.
"""

from __future__ import annotations

import contextlib
import os
import sys
import traceback
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lkltest.errors import LaunchError, LkltestError, Missing

if TYPE_CHECKING:
    from lkltest.host.api import Host
    from lkltest.host.build import Build

BUGS = (Exception, SystemExit)
"""The exceptions that anyone's code may raise without the user having asked for an end."""
_DEBUG = "LKLTEST_DEBUG"
_VERBOSE_ENOUGH = 2


@contextlib.contextmanager
def error_boundary(
    host: Host, method: str, kind: type[LkltestError] = LaunchError
) -> Iterator[None]:
    """Around a call of a host's method: whatever it raises is an error of `kind`, in one line.

    An error of `kind` comes through as it is.
    """
    try:
        yield
    except kind:
        raise
    except BUGS as error:
        show_traceback(error, host.options)
        raise kind(f"host {host.name}: {method}: {one_line(error)}") from None


def missing_of(host: Host) -> Missing | None:
    """`host.missing()`; a host that raises there is missing."""
    try:
        with error_boundary(host, "missing"):
            return host.missing()
    except LaunchError as error:
        return Missing(str(error))


def accepts(host: Host, build: Build) -> bool:
    """`host.accepts(build)`; a host that raises there does not."""
    try:
        with error_boundary(host, "accepts"):
            return host.accepts(build)
    except LaunchError:
        return False


def claims(host: Host, build: Build) -> bool:
    """`host.claims(build)`; a host that raises there does not."""
    try:
        with error_boundary(host, "claims"):
            return host.claims(build)
    except LaunchError:
        return False


def properties_of(host: Host) -> dict[str, str]:
    """`host.properties()`; of a host that raises there, what it raised."""
    try:
        with error_boundary(host, "properties"):
            return host.properties()
    except LaunchError as error:
        return {"host error": str(error)}


def facts_of(host: Host) -> dict[str, str]:
    """`host.facts()`; of a host that raises there, what it raised."""
    try:
        with error_boundary(host, "facts"):
            return host.facts()
    except LaunchError as error:
        return {"host error": str(error)}


def remarks_of(host: Host, build: Build) -> list[str]:
    """`host.remarks(build)`; of a host that raises there, what it raised."""
    try:
        with error_boundary(host, "remarks"):
            return list(host.remarks(build))
    except LaunchError as error:
        return [str(error)]


def one_line(error: BaseException) -> str:
    """`RuntimeError: no licence (host.py:12)`."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else text


def show_traceback(error: BaseException, options: Mapping[str, Any]) -> None:
    """Print an error's traceback to standard error where a host's author wants to see it."""
    wanted = os.environ.get(_DEBUG, "0") not in ("", "0")
    if wanted or (options.get("verbose") or 0) >= _VERBOSE_ENOUGH:
        traceback.print_exception(error, file=sys.stderr)
