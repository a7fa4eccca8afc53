# SPDX-License-Identifier: GPL-2.0-only
"""The hosts that there are: entry points of the group `lkltest.hosts`, and `register`."""

from __future__ import annotations

import functools
import importlib.metadata
from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from lkltest.errors import LaunchError, Missing
from lkltest.host.api import Host, Launch, OptionGroup, Process
from lkltest.host.build import Build, open_build
from lkltest.host.error_boundary import (
    BUGS,
    accepts,
    error_boundary,
    missing_of,
    one_line,
    show_traceback,
)
from lkltest.host.wrapper import wanted

if TYPE_CHECKING:
    from lkltest.sandbox.scope import Scope

ENTRY_POINT_GROUP = "lkltest.hosts"


class BrokenHost(Host):
    """A stand-in for a host whose package cannot be loaded: it is listed, and missing."""

    def __init__(self, name: str, reason: str) -> None:
        super().__init__()
        self.name = name  # type: ignore[misc]  # one class stands for hosts of many names
        self.reason = reason

    def missing(self) -> Missing:
        return Missing(f"host {self.name} cannot be loaded: {self.reason}")

    def accepts(self, build: Build) -> bool:
        del build
        return False

    def launch(self, launch: Launch, scope: Scope) -> Process:
        raise LaunchError(str(self.missing()))


_registered: dict[str, type[Host]] = {}


_broken: dict[str, BrokenHost] = {}


def register(host: type[Host]) -> type[Host]:
    """Make a host class known without an entry point (from a conftest.py). Usable as decorator."""
    _registered[host.name] = host
    return host


def host_names() -> list[str]:
    """The names of all hosts that can be asked for, sorted."""
    return sorted({*(entry.name for entry in entry_points(ENTRY_POINT_GROUP)), *_registered})


def is_host(name: str) -> bool:
    """Whether there is such a host: `native`, or with a target where it takes one: `ssh:board`."""
    kind, colon, target = name.partition(":")
    if kind not in host_names():
        return False
    if not colon:
        return True
    loaded = load_host_class(kind)
    return bool(target) and not isinstance(loaded, BrokenHost) and loaded.takes_target


def load_host_class(name: str) -> type[Host] | BrokenHost:
    """Find the class of host `name`; KeyError if there is none, BrokenHost if it does not load."""
    if name in _broken:
        return _broken[name]
    if name in _registered:
        return _registered[name]
    entry = next((entry for entry in entry_points(ENTRY_POINT_GROUP) if entry.name == name), None)
    if entry is None:
        raise KeyError(name)
    try:
        loaded = entry.load()
    except BUGS as error:
        show_traceback(error, {})
        return BrokenHost(name, one_line(error))
    if not (isinstance(loaded, type) and issubclass(loaded, Host)):
        return BrokenHost(name, f"{entry.value} is not a Host class")
    return loaded


def make_host(name: str, options: Mapping[str, Any] | None = None) -> Host:
    """Make the host called `name`: `uml`, or with one of its targets `ssh:freebsd`.

    Raises KeyError for an unknown name.
    """
    kind, _, target = name.partition(":")
    loaded = load_host_class(kind)
    if isinstance(loaded, BrokenHost):
        return loaded
    if target and not loaded.takes_target:
        raise KeyError(name)
    try:
        return loaded({**(options or {}), "lkl_target": target} if target else options)
    except BUGS as error:
        show_traceback(error, options or {})
        return BrokenHost(name, one_line(error))


def add_host_options(parser: OptionGroup, words: Sequence[str]) -> None:
    """Let hosts add their options with `parser.addoption`; one that fails is broken then.

    Only those that the command line `words` name an option of (`--lkl-NAME-...`), or all when it
    asks for help: loading every host would cost each run a tenth of a second. Before them come the
    options that are for whatever host it is.
    """
    parser.addoption(
        "--lkl-symbols",
        action="append",
        metavar="FILE",
        help="where a stripped program's names are: a copy with symbols, a linker's map, "
        "a System.map; may be repeated",
    )
    for name in host_names():
        prefixes = ("-h", "--help", f"--lkl-{name}-")
        if not any(word.startswith(prefixes) for word in words):
            continue
        host_class = load_host_class(name)
        if isinstance(host_class, BrokenHost):
            continue
        try:
            host_class.add_options(parser)
        except BUGS as error:
            show_traceback(error, {})
            _broken[name] = BrokenHost(name, one_line(error))


def host_for_build(name: str | None, options: Mapping[str, Any] | None = None) -> Host | None:
    """The first host whose kind of programs the build called `name` holds (ELF, PE, ...)."""
    build = open_build(name)
    hosts = (make_host(host_name, options) for host_name in host_names())
    return next((host for host in hosts if accepts(host, build)), None)


@functools.cache
def entry_points(group: str) -> tuple[importlib.metadata.EntryPoint, ...]:
    """Read once: looking through all that is installed takes milliseconds."""
    return tuple(importlib.metadata.entry_points(group=group))


def check(host: Host) -> None:
    """Raise LaunchError, one line, when the options of the command line are not for `host`."""
    with error_boundary(host, "check"):
        host.check()
    option = wanted(host.options)
    if option and not host.wraps:
        raise LaunchError(f"host {host.name}: {option} cannot be had; native has it")
    if host.options.get("lkl_coverage") and not host.covers:
        raise LaunchError(f"host {host.name}: --coverage cannot be had; native and uml have it")


def why_unusable(host: Host) -> str:
    """The reason why a host cannot be used here, one line; "" when it can."""
    missing = missing_of(host)
    if missing is not None:
        return str(missing)
    try:
        check(host)
    except LaunchError as error:
        return str(error)
    return ""
