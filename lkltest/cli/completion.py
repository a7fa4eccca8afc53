# SPDX-License-Identifier: GPL-2.0-only
"""`lkltest completion`: completion for a shell, and the man page, both made from the parser.

eval "$(lkltest completion bash)"
lkltest completion man | man -l -
"""

from __future__ import annotations

import argparse
from collections.abc import Iterator

from lkltest.cli.arguments import build_parser
from lkltest.command_line import PASSED, USED_WRONGLY
from lkltest.host.registry import host_names
from lkltest.report.terminal import echo_error

_FILES = {"FILE", "PROGRAM", "CONFIG.toml"}


def run(options: argparse.Namespace) -> int:
    """Run the command; returns its exit status."""
    parser = build_parser((), whole=True)
    try:
        text = _man_page(parser) if options.form == "man" else _completion(parser, options.form)
    except ImportError as error:
        echo_error(f"{error.name} is missing: pip install 'lkltest[completion]'")
        return USED_WRONGLY
    print(text)
    return PASSED


def _man_page(parser: argparse.ArgumentParser) -> str:
    from argparse_manpage.manpage import Manpage

    return str(Manpage(parser))


def _completion(parser: argparse.ArgumentParser, shell: str) -> str:
    import shtab

    for action in _actions(parser):
        if action.metavar == "DIR":
            action.complete = shtab.DIRECTORY  # type: ignore[attr-defined]
        elif action.metavar in _FILES:
            action.complete = shtab.FILE  # type: ignore[attr-defined]
        elif action.dest == "host":
            action.choices = host_names()
    text: str = shtab.complete(parser, shell)
    return text


def _actions(parser: argparse.ArgumentParser) -> Iterator[argparse.Action]:
    for action in parser._actions:
        yield action
        if isinstance(action, argparse._SubParsersAction):
            for command in action.choices.values():
                yield from _actions(command)
