# SPDX-License-Identifier: GPL-2.0-only
"""The start of `lkltest` and `python -m lkltest`."""

import signal
import sys


def main() -> int:
    """Run the command. Ctrl-C while it is imported ends the process as it does any other's."""
    ours = signal.getsignal(signal.SIGINT) is signal.default_int_handler
    if ours:
        signal.signal(signal.SIGINT, signal.SIG_DFL)
    from lkltest.cli.main import main as command

    if ours:
        signal.signal(signal.SIGINT, signal.default_int_handler)
    return command()


if __name__ == "__main__":
    sys.exit(main())
