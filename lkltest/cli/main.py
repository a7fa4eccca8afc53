# SPDX-License-Identifier: GPL-2.0-only
"""The `lkltest` command: reads the command line, runs the command, turns its end into a status."""

from __future__ import annotations

import argparse
import errno
import importlib
import signal
import sys
from collections.abc import Sequence
from pathlib import Path

from lkltest.cli.arguments import build_parser
from lkltest.cli.standard_streams import ensure_std_streams
from lkltest.command_line import FAILED, INTERRUPTED, PASSED, USED_WRONGLY
from lkltest.report.terminal import echo_error, mute_stdout

# Why standard output cannot be written: it is closed, its disk is full, its terminal has gone.
_OF_A_STREAM = frozenset({errno.EBADF, errno.ENOSPC, errno.EIO})


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 passed, 1 failed, 2 used wrongly."""
    ensure_std_streams()
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = _options(words)
        status: int = importlib.import_module(options.module).run(options)
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one finds nothing left to report
        echo_error("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, a pager) has had enough. Commands whose status is a verdict come to it
        # all the same: this is the end of one that only shows something.
        mute_stdout()
        return PASSED
    except OSError as error:
        return _unwritable(error)
    return _flushed(status)


def _flushed(status: int) -> int:
    """The command's status, once all that it printed is out."""
    try:
        sys.stdout.flush()
    except BrokenPipeError:
        mute_stdout()
    except OSError as error:
        # A failure keeps its status: to git, bisect's 255 ends a search, and a 1 is a bad commit.
        unwritable = _unwritable(error)
        return status or unwritable
    return status


def _unwritable(error: OSError) -> int:
    mute_stdout()
    where = error.filename or ("standard output" if error.errno in _OF_A_STREAM else "")
    echo_error(": ".join(filter(None, (where, error.strerror or str(error)))))
    return FAILED


def _options(words: list[str]) -> argparse.Namespace:
    """Read the command line. Raises SystemExit, after all that argparse says of it."""
    try:
        if not _has_directory():
            echo_error("the current directory is no longer there: cd to one that is")
            raise SystemExit(USED_WRONGLY)
        ours, for_pytest = _split(words)
        options = build_parser(ours).parse_args(ours)
        options.for_pytest = for_pytest
        return options
    except SystemExit as end:
        if _flushed(PASSED) == FAILED:  # --help >/dev/full
            raise SystemExit(FAILED) from None
        if words[:1] == ["bisect"] and end.code == USED_WRONGLY:
            # git bisect run would take a 2 for the verdict on a commit; this ends the search.
            raise SystemExit(255) from None
        raise


def _split(words: list[str]) -> tuple[list[str], list[str]]:
    """`run`'s words up to the first `--`, and what follows it, which is pytest's."""
    if words[:1] != ["run"] or "--" not in words:
        return words, []
    end = words.index("--")
    return words[:end], words[end + 1 :]


def _has_directory() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True
