# SPDX-License-Identifier: GPL-2.0-only
"""A host may be anyone's: whatever its methods raise becomes an error that they may raise.

So a bug in one host is one line, which says where it is, and neither a traceback for somebody who
did not write that host nor the end of a run on the others.
"""

from __future__ import annotations

import contextlib
import functools
import traceback
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lkltest.errors import BuildError

if TYPE_CHECKING:
    from lkltest.host.api import Host

BUGS = (Exception, SystemExit)
"""What anyone's code may raise without the user having asked for an end."""


def one_line(error: BaseException) -> str:
    """`RuntimeError: no licence (host.py:12)`."""
    text = " ".join(f"{type(error).__name__}: {error}".split()).rstrip(":")
    frames = traceback.extract_tb(error.__traceback__)
    return f"{text} ({Path(frames[-1].filename).name}:{frames[-1].lineno})" if frames else text


def shield(host: Host) -> Host:
    """Wrap the methods of `host`, in place; returns it."""
    from lkltest.errors import LaunchError, Missing

    def say(method: str, error: BaseException) -> str:
        return f"host {host.name}: {method}: {one_line(error)}"

    def guard(method: str, expected: type[Exception], instead: Callable[[str], Any]) -> None:
        function = getattr(host, method)

        @functools.wraps(function)
        def guarded(*arguments: Any, **settings: Any) -> Any:
            try:
                return function(*arguments, **settings)
            except expected:
                raise
            except BUGS as error:
                return instead(say(method, error))

        setattr(host, method, guarded)

    def refuse(kind: type[Exception]) -> Callable[[str], Any]:
        def raising(line: str) -> Any:
            raise kind(line) from None

        return raising

    for method in ("check", "unsupported", "program", "namespace_pid", "launch"):
        guard(method, LaunchError, refuse(LaunchError))
    guard("open_build", BuildError, refuse(BuildError))
    guard("missing", LaunchError, Missing)
    guard("accepts", LaunchError, lambda line: False)
    guard("properties", LaunchError, lambda line: {"host error": line})

    opened = host.session

    @contextlib.contextmanager
    def session(shared: Path | None = None) -> Iterator[None]:
        with contextlib.ExitStack() as stack:
            try:
                stack.enter_context(opened(shared))
            except LaunchError:
                raise
            except BUGS as error:
                raise LaunchError(say("session", error)) from None
            yield

    setattr(host, "session", session)  # noqa: B010 - an instance attribute in a method's place
    return host
