# SPDX-License-Identifier: GPL-2.0-only
"""The command line: every command with its options, in both spellings, as an argparse parser."""

from __future__ import annotations

import argparse
import importlib
import re
from collections.abc import Callable, Sequence
from typing import Any, NoReturn

from lkltest.command_line import count, spellings
from lkltest.deadline import DEFAULT_TIMEOUT, timeout
from lkltest.report.terminal import echo
from lkltest.text import printable

_TIMEOUT_HELP = f"limit for one program ({DEFAULT_TIMEOUT:g})"

COMMANDS = {
    "run": ("lkltest.cli.run", "run suites"),
    "exec": ("lkltest.cli.exec", "run one program on a host"),
    "list": ("lkltest.cli.list", "list hosts, suites, variants and known test points"),
    "doctor": ("lkltest.cli.doctor", "say what can run here and what is missing"),
    "setup": ("lkltest.setup.command", "make what hosts need, once for all folders"),
    "tap2junit": ("lkltest.cli.tap2junit", "turn a TAP stream into JUnit XML"),
    "nightly": ("lkltest.nightly.commands.nightly", "run the matrix and say what changed"),
    "compare": ("lkltest.nightly.commands.compare", "say what changed between two nights"),
    "history": ("lkltest.nightly.commands.history", "look into the nights that were"),
    "known": ("lkltest.nightly.commands.known", "list or verify the known failures"),
    "cluster": ("lkltest.nightly.cluster.command", "make a certificate, run Dask's scheduler"),
    "worker": ("lkltest.nightly.cluster.worker", "run cells of a night for a Dask scheduler"),
    "bisect": (
        "lkltest.nightly.commands.bisect",
        "find the commit that broke a test, for git bisect run",
    ),
    "completion": ("lkltest.cli.completion", "print completion for a shell, or the man page"),
}
"""Each command's module, with `run(options)`, and what it does. Modules load when asked for."""


class Parser(argparse.ArgumentParser):
    """An argparse parser, and its commands'.

    It shows what is wrong with a word without what would drive a terminal, and names an option as
    the command line does: `--lkl-build`, not `--build/--lkl-build`.
    """

    _words: Sequence[str] = ()
    _intermixes = False

    def parse_known_args(self, args: Any = None, namespace: Any = None) -> Any:
        """As argparse does, but names may stand between options, too: `run boot -v disk`."""
        self._words = args or ()
        if self._intermixes or not any(one.nargs == "*" for one in self._get_positional_actions()):
            return super().parse_known_args(args, namespace)
        self._intermixes = True
        try:
            return self.parse_known_intermixed_args(args, namespace)
        finally:
            self._intermixes = False

    def error(self, message: str) -> NoReturn:
        super().error(printable(re.sub(r"(?<=^argument )-[-\w/]+", self._as_used, message)))

    def _as_used(self, names: re.Match[str]) -> str:
        used = [word.partition("=")[0] for word in self._words]
        return next((name for name in names[0].split("/") if name in used), names[0])


def build_parser(words: Sequence[str], *, whole: bool = False) -> Parser:
    """The parser for the command line `words`; `whole` has all commands' and all hosts' options."""
    parser = Parser(
        prog="lkltest",
        description="Run the Linux Kernel Library's test suites.",
        epilog="Exit status: 0 all passed, 1 something failed, 2 used wrongly, 130 interrupted.",
    )
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    for name, (module, text) in COMMANDS.items():
        command = commands.add_parser(name, help=text)
        command.set_defaults(module=module)
        if not whole and words[:1] != [name]:
            continue
        if name in _LIGHT:
            _LIGHT[name](command, ["--help"] if whole else words)
        else:
            importlib.import_module(module).add_arguments(command)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import importlib.metadata  # only for who asks

        echo(f"lkltest {importlib.metadata.version('lkltest')}")
        parser.exit()


def _add_run(run: argparse.ArgumentParser, words: Sequence[str]) -> None:
    run.description = "Run suites on one or more hosts. What follows a -- is for pytest."
    run.usage = "%(prog)s [OPTION...] [SUITE[VARIANT]|PATH...] [-- PYTEST-OPTION...]"
    _add_suites(run)
    run.add_argument(
        "--lkl-suite", dest="more_suites", action="append", default=[], help=argparse.SUPPRESS
    )
    run.add_argument(
        *spellings("--host"),
        action="append",
        metavar="NAME",
        help=f"host to run on; may be repeated: {_hosts()}",
    )
    run.add_argument(*spellings("--build"), metavar="DIR", help="build whose programs are run")
    run.add_argument(
        *spellings("--junit-dir"), metavar="DIR", help="write a JUnit file a suite into DIR"
    )
    run.add_argument(*spellings("--json-dir"), help=argparse.SUPPRESS)
    _add_timeout(run)
    run.add_argument(
        "-j", "--jobs", type=count, default=1, metavar="N", help="number of suites to run at once"
    )
    run.add_argument(
        *spellings("--coverage"),
        metavar="DIR",
        help="lines that each suite runs of a build made with --coverage, kept in DIR",
    )
    run.add_argument(
        "--gdb", action="store_true", help="each suite's first program under gdb, on this terminal"
    )
    run.add_argument("-v", "--verbose", action="store_true", help="show every test point")
    _add_wrapper(run)
    _add_host_options(run, words)


def _add_exec(execute: argparse.ArgumentParser, words: Sequence[str]) -> None:
    execute.add_argument(
        *spellings("--host"),
        metavar="NAME",
        help=f"default: the one that suits the program; there are: {_hosts()}",
    )
    execute.add_argument(
        *spellings("--build"), metavar="DIR", help="build of the kernel, for hosts that boot one"
    )
    _add_timeout(execute)
    execute.add_argument(
        "--dry-run",
        action="store_true",
        help="print the command that would be run, and do nothing else",
    )
    execute.add_argument(
        "--interactive",
        action="store_true",
        help="no limits, and a verdict only on a stream that comes to its end",
    )
    _add_wrapper(execute)
    bare = execute.add_mutually_exclusive_group()
    bare.add_argument(
        "--gdb",
        dest="bare",
        action="store_const",
        const="gdb",
        help="run the program under gdb, on this terminal",
    )
    bare.add_argument(
        "--pass-through",
        dest="bare",
        action="store_const",
        const="alone",
        help="run it on this terminal and interpret nothing: the exit status is the program's",
    )
    _add_host_options(execute, words)
    execute.add_argument("program", metavar="PROGRAM", help="an executable or an image")
    execute.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT")


def _add_list(listing: argparse.ArgumentParser, words: Sequence[str]) -> None:
    del words
    _add_suites(listing)
    listing.add_argument(
        "--points",
        action="store_true",
        help="list every test point that a run of the build has had",
    )
    listing.add_argument(*spellings("--build"), metavar="DIR", help="build whose points are listed")


def _add_doctor(doctor: argparse.ArgumentParser, words: Sequence[str]) -> None:
    _add_suites(doctor)
    doctor.add_argument(*spellings("--build"), metavar="DIR", help="build to look at")
    _add_host_options(doctor, words)


def _add_tap2junit(convert: argparse.ArgumentParser, words: Sequence[str]) -> None:
    del words
    convert.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="default: standard input"
    )


def _add_completion(completion: argparse.ArgumentParser, words: Sequence[str]) -> None:
    del words
    completion.add_argument("form", choices=["bash", "zsh", "fish", "man"], help="what to print")


_LIGHT: dict[str, Callable[[argparse.ArgumentParser, Sequence[str]], None]] = {
    "run": _add_run,
    "exec": _add_exec,
    "list": _add_list,
    "doctor": _add_doctor,
    "tap2junit": _add_tap2junit,
    "completion": _add_completion,
}
"""Commands whose modules are slow to load (pytest), so that their arguments stand here."""


def _add_suites(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        "suites",
        nargs="*",
        metavar="SUITE[VARIANT]",
        help="suites, or files and folders with some: my/test_hello.py, my/; "
        "default: all that are installed",
    )


def _add_wrapper(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        *spellings("--wrapper"),
        dest="lkl_wrapper",
        metavar="CMD",
        help="run programs by this command: 'strace -f -o trace', 'taskset -c 0' (native)",
    )
    parser.add_argument(
        *spellings("--valgrind"),
        dest="lkl_valgrind",
        action="store_true",
        help="run programs by valgrind's memcheck, whose errors are test points (native)",
    )


def _add_timeout(parser: argparse.ArgumentParser) -> None:
    parser.add_argument(
        *spellings("--timeout"), type=timeout, metavar="SECONDS", help=_TIMEOUT_HELP
    )


def _hosts() -> str:
    from lkltest.host.registry import host_names

    return ", ".join(host_names())


def host_arguments(options: argparse.Namespace) -> list[str]:
    """The hosts' own options that were given, in pytest's words, which are the same."""
    words = []
    for action in options.host_actions:
        value = getattr(options, action.dest)
        if value is True:
            words.append(action.option_strings[-1])
        elif value not in (None, False, action.default):
            values = value if isinstance(value, list) else [value]
            words += [f"{action.option_strings[-1]}={item}" for item in values]
    return words


class _HostOptions:
    """Lets hosts add their options to argparse in the words they use for pytest."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._group = parser.add_argument_group("options of hosts")
        self.added: list[argparse.Action] = []

    def addoption(self, *names: str, **settings: Any) -> None:
        self.added.append(self._group.add_argument(*names, **settings))


def _add_host_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    from lkltest.host.registry import add_host_options

    options = _HostOptions(parser)
    add_host_options(options, words)
    parser.set_defaults(host_actions=options.added)
