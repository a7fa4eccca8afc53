# SPDX-License-Identifier: GPL-2.0-only
"""The means of the tests of scopes."""

import os
import time
from collections.abc import Callable

import pytest

from lkltest.sandbox.scope import NAMESPACE, SUBREAPER, Child, Isolation, Scope, probe

BEST = probe()


KINDS = [
    pytest.param(
        BEST, id="namespace", marks=pytest.mark.skipif(BEST.kind != NAMESPACE, reason=BEST.reason)
    ),
    pytest.param(Isolation(SUBREAPER), id="subreaper"),
]


needs_namespaces = pytest.mark.skipif(BEST.kind != NAMESPACE, reason=BEST.reason)

DAEMON = "setsid sh -c 'trap \"\" TERM HUP; sleep 1000 & sleep 1000' &"
"""Words of a shell: programs that only SIGKILL ends, in a session of their own."""

_SECONDS = 60.0  # what takes milliseconds, on a machine that is busy with other things


def output(scope: Scope, *argv: str, **options: object) -> str:
    """The stdout and stderr of a program, after it has ended well."""
    reading, writing = os.pipe()
    child = scope.spawn(argv, stdout=writing, stderr=writing, **options)  # type: ignore[arg-type]
    os.close(writing)
    with open(reading, encoding="utf-8") as file:
        text = file.read()
    assert child.wait(_SECONDS) == 0, text
    return text


def ended(child: Child) -> int:
    status = child.wait(_SECONDS)
    assert status is not None, "still running"
    return status


def wait_until(true: Callable[[], bool]) -> None:
    deadline = time.monotonic() + _SECONDS
    while not true():
        assert time.monotonic() < deadline
        time.sleep(0.002)
