# SPDX-License-Identifier: GPL-2.0-only
"""The verdict on a program's end. Pure."""

from __future__ import annotations

import signal

from lkltest.verdict.results import Exit, Outcome, Problem, ProblemKind

SAID_WITHOUT_POINTS = {113: Outcome.SKIPPED, 114: Outcome.TODO}
"""The statuses by which upstream's scripts (tests/test.sh) tell a result without points."""
_LATE = {
    "deadline": (ProblemKind.DEADLINE, "did not end in time"),
    "stall": (ProblemKind.STALL, "was silent for too long"),
    "hung": (ProblemKind.STALL, "hangs: its kernel's watchdog says so"),
}
_BAILED_OUT = 115
_SHELL_SIGNAL = 128  # a shell adds it to the number of the signal that killed its child


def signal_name(number: int) -> str:
    """Return `SIGSEGV` for 11, and a number for what has no name."""
    try:
        return signal.Signals(number).name
    except ValueError:
        return f"signal {number}"


def exit_problem(exit: Exit, status_matters: bool = True) -> Problem | None:
    """Return what is wrong with a program's end, or None.

    Args:
        exit: how it ended.
        status_matters: False where an exit status proves nothing; all else still does.
    """
    note = f", {exit.note}" if exit.note else ""
    if exit.cause in _LATE:
        kind, reason = _LATE[exit.cause]
        return Problem(kind, f"{reason}{note}")
    if exit.cause == "signalled" or exit.signal is not None:
        return Problem(ProblemKind.SIGNAL, f"killed by {signal_name(exit.signal or 0)}{note}")
    if exit.cause == "exited" and exit.status == _BAILED_OUT:
        return Problem(ProblemKind.BAIL_OUT, f"exited with status {_BAILED_OUT}{note}")
    if exit.cause == "exited" and exit.status != 0 and status_matters:
        return Problem(ProblemKind.EXIT_STATUS, f"exited with status {_status(exit.status)}{note}")
    return None


def _status(status: int | None) -> str:
    """Return the status, with the signal that it stands for where a shell says it like that."""
    if status is None:
        return "unknown"
    if status > _SHELL_SIGNAL and status - _SHELL_SIGNAL in set(signal.Signals):
        return f"{status} (a shell's word for {signal_name(status - _SHELL_SIGNAL)})"
    return str(status)
