# SPDX-License-Identifier: GPL-2.0-only
"""The start of `lkltest` and `python -m lkltest`."""

import atexit
import gc
import os
import signal
import sys
from typing import NoReturn


def main() -> NoReturn:
    """Run the command. Ctrl-C while it is imported ends the process as it does any other's."""
    gc.set_threshold(200_000)  # one look through all that was just imported takes 15 ms
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from lkltest.cli.main import main as command

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    _leave(command())


def _leave(status: int) -> NoReturn:
    """End without taking the interpreter apart, a tenth of a short run's time."""
    try:
        atexit._run_exitfuncs()
        sys.stdout.flush()
        sys.stderr.flush()
    except (OSError, ValueError):
        sys.exit(status)  # closed or full: the ordinary way out knows what to do
    os._exit(status)


if __name__ == "__main__":
    main()
