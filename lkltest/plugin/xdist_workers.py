# SPDX-License-Identifier: GPL-2.0-only
"""xdist's workers: they share a folder with their controller, die with it, and take Ctrl-C only
while they run tests.

By itself a worker notices the death of its controller seconds later, and SIGINT makes one that is
idle end with a traceback.
"""

from __future__ import annotations

import contextlib
import os
import shlex
import shutil
import signal
import subprocess
import sys
import threading
from collections.abc import Iterable, Iterator
from pathlib import Path
from typing import Any

import pytest

_SHARED = "lkltest_shared"
_CONTROLLER = "lkltest_controller"
_PR_SET_PDEATHSIG = 1
# As execnet starts a worker; but when its controller has gone meanwhile, nobody is to be told.
_START = """\
import os, sys
try:
    exec(eval(sys.stdin.readline()))
except BrokenPipeError:
    os._exit(1)
"""


def start_contained(specs: Iterable[Any]) -> None:
    """Have the workers of `specs` (execnet's) die with this process from their first moment,
    importing included, and ignore SIGINT until they run tests.

    They take no module from the directory they are started in (-P): a script of the user's may be
    called json.py.
    """
    setpriv, env = shutil.which("setpriv"), shutil.which("env")
    command = [sys.executable, "-P", "-u", "-c", _START]
    if setpriv:
        command = [setpriv, "--pdeathsig", "KILL", *command]
    if env and _succeeds([env, "--ignore-signal=INT", "true"]):  # GNU's alone can
        command = [env, "--ignore-signal=INT", *command]
    for spec in specs:
        if spec.popen and not spec.python:
            spec.python = shlex.join(command)


def configure(node: Any, shared: Path) -> None:
    """Tell a worker, before it starts, whose it is and which folder it shares."""
    node.workerinput[_SHARED] = str(shared)
    node.workerinput[_CONTROLLER] = os.getpid()


def shared_folder(config: pytest.Config) -> Path | None:
    """The folder that this worker shares with its controller; None in any other process."""
    folder = getattr(config, "workerinput", {}).get(_SHARED)
    return None if folder is None else Path(folder)


def die_with_controller(config: pytest.Config) -> None:
    """In a worker, ask the kernel for SIGKILL when the controller dies (prctl(2))."""
    controller = getattr(config, "workerinput", {}).get(_CONTROLLER)
    if controller is None:
        return
    import ctypes  # costs 3 ms, and few have workers

    ctypes.CDLL(None, use_errno=True).prctl(_PR_SET_PDEATHSIG, signal.SIGKILL)
    if os.getppid() != controller:
        os._exit(1)  # it died before the kernel was asked


@contextlib.contextmanager
def interruptible(config: pytest.Config) -> Iterator[None]:
    """In a worker, take SIGINT as any pytest does, until the tests have been run."""
    main = threading.current_thread() is threading.main_thread()
    if _CONTROLLER not in getattr(config, "workerinput", {}) or not main:
        yield
        return
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    try:
        yield
    finally:
        signal.signal(signal.SIGINT, before)


def _succeeds(command: list[str]) -> bool:
    nothing = subprocess.DEVNULL
    done = subprocess.run(command, stdin=nothing, stdout=nothing, stderr=nothing, check=False)
    return done.returncode == 0
