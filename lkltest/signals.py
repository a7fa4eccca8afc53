# SPDX-License-Identifier: GPL-2.0-only
"""Signals that end a run: it stops as with Ctrl-C, so that what is known by then is reported."""

from __future__ import annotations

import contextlib
import functools
import signal
import subprocess
import sys
import threading
from collections.abc import Callable, Iterable
from typing import Any, NoReturn

from lkltest.deadline import Deadline

_WORKER_SECONDS = 3.0
"""Time that workers have for their reports."""
_AGAIN_SECONDS = 0.01


def handle_termination_signals() -> Callable[[], None]:
    """Let what ends a service or a login (SIGTERM, SIGHUP) interrupt; returns what undoes it.

    What is ignored (nohup) or somebody else's stays so.
    """
    before = {}
    if threading.current_thread() is threading.main_thread():
        for number in (signal.SIGTERM, signal.SIGHUP):
            if signal.getsignal(number) is signal.SIG_DFL:
                before[number] = signal.signal(number, _interrupt)

    def undo() -> None:
        for number, handler in before.items():
            signal.signal(number, handler)

    return undo


def repeat_dropped_interrupts() -> Callable[[], None]:
    """Interrupt again when Python drops the interrupt, because it came in a finaliser or in the
    callback of a weak reference; returns what undoes it.
    """
    hook = sys.unraisablehook
    sys.unraisablehook = again = functools.partial(_interrupt_again, hook)

    def undo() -> None:
        if sys.unraisablehook is again:
            sys.unraisablehook = hook

    return undo


def interrupt_workers(nodes: Iterable[Any]) -> None:
    """Interrupt xdist's workers that run here, and wait for their reports.

    Only a terminal sends SIGINT to all of them; kill(1) reaches the controller alone.
    """
    started = [popen for node in nodes if (popen := _process_of(node)) is not None]
    for popen in started:
        with contextlib.suppress(OSError):
            popen.send_signal(signal.SIGINT)
    limit = Deadline(_WORKER_SECONDS)  # for all of them: one that is starting does not listen yet
    for popen in started:
        with contextlib.suppress(subprocess.TimeoutExpired):
            popen.wait(limit.remaining())


def _process_of(node: Any) -> subprocess.Popen[bytes] | None:
    gateway = getattr(node, "gateway", None)
    popen = getattr(getattr(gateway, "_io", None), "popen", None)
    return popen if isinstance(popen, subprocess.Popen) else None


def _interrupt(number: int, frame: object) -> NoReturn:
    raise KeyboardInterrupt


def _interrupt_again(hook: Callable[[Any], object], ignored: Any) -> None:
    if not isinstance(ignored.exc_value, KeyboardInterrupt):
        hook(ignored)
        return
    ours = signal.getsignal(signal.SIGTERM) is _interrupt
    number = signal.SIGTERM if ours else signal.SIGINT
    main = threading.main_thread().ident
    threading.Timer(_AGAIN_SECONDS, _send, [main, number]).start()


def _send(thread: int, number: signal.Signals) -> None:
    """Send a signal that interrupts; not any more to a command that has reported and ends."""
    if signal.getsignal(number) is not signal.SIG_DFL:
        signal.pthread_kill(thread, number)
