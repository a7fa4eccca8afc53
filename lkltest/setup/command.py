# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest setup`: make what hosts need, once for all folders; what is there stays as it is.

A step that has ended is not repeated after a later one has failed or was interrupted.
"""

from __future__ import annotations

import argparse
import os
import sys
import time
from collections.abc import Sequence
from dataclasses import replace
from pathlib import Path

from lkltest.errors import SetupError
from lkltest.signals import handle_termination_signals
from lkltest.text import duration, printable_line

from .place import alone_in, own_place, prepare
from .plan import Plan
from .recipe import default_names, find_recipe, recipe_names

FAILED, INTERRUPTED = 1, 130


def add_arguments(parser: argparse.ArgumentParser) -> None:
    """Add the command's arguments."""
    parser.add_argument(
        "hosts",
        nargs="*",
        metavar="HOST",
        help=f"hosts: {', '.join(recipe_names())} (default: {', '.join(default_names())})",
    )
    parser.add_argument(
        "--install", action="store_true", help="install the Debian packages that are missing"
    )
    parser.add_argument(
        "--archive", metavar="FILE", help="the bundled kernel's archive, when it is here already"
    )
    # For the Makefile of a checkout.
    parser.add_argument("--wish", action="append", default=[], help=argparse.SUPPRESS)
    parser.add_argument("--no-build", action="store_true", help=argparse.SUPPRESS)
    parser.add_argument("--also", action="append", default=[], help=argparse.SUPPRESS)


def main(words: Sequence[str]) -> int:
    """Run the set-up of a checkout; returns its exit status."""
    parser = argparse.ArgumentParser(prog="python3 -m lkltest.setup", description=__doc__)
    add_arguments(parser)
    try:
        return run(parser.parse_args(words), quiet=True)
    except KeyboardInterrupt:
        print("set-up interrupted; what has ended is kept", file=sys.stderr)
        return INTERRUPTED


def run(options: argparse.Namespace, *, quiet: bool = False) -> int:
    """Make what hosts need; returns the exit status. `quiet`: nothing to do is nothing to say."""
    start = time.monotonic()
    if options.archive:
        os.environ["LKLTEST_ARCHIVE"] = str(Path(options.archive).expanduser().absolute())
    undo = handle_termination_signals()
    try:
        _set_up(options)
    except SetupError as error:
        print(f"lkltest setup: {printable_line(str(error))}", file=sys.stderr)
        return FAILED
    finally:
        undo()
    if not quiet:
        names = ", ".join(options.hosts or default_names())
        print(f"{names}: ready in {own_place()} ({duration(time.monotonic() - start)})")
    return 0


def _set_up(options: argparse.Namespace) -> None:
    archive = os.environ.get("LKLTEST_ARCHIVE", "")
    if archive and not Path(archive).is_file():
        raise SetupError(f"{archive}: no such archive")
    place = own_place()
    wanted = [find_recipe(name) for name in options.hosts or default_names()]
    if options.no_build:
        wanted = [replace(recipe, steps=()) for recipe in wanted]
    wanted += [find_recipe(name) for name in options.also]
    wished = [find_recipe(name) for name in options.wish]
    prepare(place, 0)
    with alone_in(place):
        plan = Plan.of(wanted, wished, place)
        if plan.is_empty():
            return
        print("\n".join(plan.lines()), flush=True)
        plan.check_space()
        plan.install_packages(allowed=options.install)
        plan.make_steps()
