# SPDX-License-Identifier: GPL-2.0-only
"""The `lkltest` command."""

from __future__ import annotations

import argparse
import errno
import importlib
import importlib.util
import re
import signal
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any, NoReturn

from lkltest.cli.standard_streams import settle_streams
from lkltest.command_line import FAILED, INTERRUPTED, PASSED, USED_WRONGLY, count, timeout
from lkltest.deadline import DEFAULT_TIMEOUT
from lkltest.plugin import inner_pytest
from lkltest.report.terminal import complain, mute_stdout, printable, say

# Why standard output cannot be written: it is closed, its disk is full, its terminal has gone.
_OF_A_STREAM = frozenset({errno.EBADF, errno.ENOSPC, errno.EIO})


# pytest.ExitCode: 0 ok, 1 failed, 2 interrupted (or used wrongly, by our own pytest.exit),
# 3 internal error, 4 usage, 5 nothing collected.
_EXIT_STATUS = {0: PASSED, 1: FAILED, 2: USED_WRONGLY, 3: FAILED, 4: USED_WRONGLY, 5: USED_WRONGLY}

_TIMEOUT_HELP = f"limit for one program ({DEFAULT_TIMEOUT:g})"

# Modules with `add_arguments(parser)` and `run(options)`; loaded only when they are asked for.
_MORE = {
    "setup": ("lkltest.setup.command", "make what hosts need, once for all folders"),
    "nightly": ("lkltest.nightly.commands.nightly", "run the matrix and say what changed"),
    "compare": ("lkltest.nightly.commands.compare", "say what changed between two nights"),
    "history": ("lkltest.nightly.commands.history", "look into the nights that were"),
    "known": ("lkltest.nightly.commands.known", "list or verify the known failures"),
    "worker": ("lkltest.nightly.cluster.worker", "run cells of a night for a Dask scheduler"),
    "bisect": (
        "lkltest.nightly.commands.bisect",
        "find the commit that broke a test, for git bisect run",
    ),
}


def main(arguments: Sequence[str] | None = None) -> int:
    """Run the command; returns its exit status: 0 passed, 1 failed, 2 used wrongly."""
    settle_streams()
    words = sys.argv[1:] if arguments is None else list(arguments)
    try:
        options = _options(words)
        status: int = options.function(options)
        sys.stdout.flush()
    except KeyboardInterrupt:
        signal.signal(signal.SIGINT, signal.SIG_DFL)  # a second one finds nothing left to report
        complain("interrupted")
        return INTERRUPTED
    except BrokenPipeError:
        # The reader (head, a pager) has gone; there is nobody left to tell.
        mute_stdout()
        return FAILED
    except OSError as error:
        mute_stdout()
        where = error.filename or ("standard output" if error.errno in _OF_A_STREAM else "")
        complain(": ".join(filter(None, (where, error.strerror or str(error)))))
        return FAILED
    return status


def _options(words: Sequence[str]) -> argparse.Namespace:
    """Read the command line. Raises SystemExit, after all that argparse says of it."""
    try:
        if not _has_directory():
            complain("the current directory is no longer there: cd to one that is")
            raise SystemExit(USED_WRONGLY)
        return _parser(words).parse_args(words)
    except SystemExit as end:
        sys.stdout.flush()
        if words[:1] == ["bisect"] and end.code == USED_WRONGLY:
            # git bisect run would take a 2 for the verdict on a commit; this ends the search.
            raise SystemExit(255) from None
        raise


def _has_directory() -> bool:
    try:
        Path.cwd()
    except FileNotFoundError:
        return False
    return True


class _Parser(argparse.ArgumentParser):
    """Says what is wrong with a word without what would drive a terminal; so do its commands'."""

    def error(self, message: str) -> NoReturn:
        super().error(printable(message))


def _parser(words: Sequence[str]) -> argparse.ArgumentParser:
    parser = _Parser(prog="lkltest", description="Run the Linux Kernel Library's test suites.")
    parser.add_argument("--version", action=_Version, nargs=0, help="show the version and exit")
    commands = parser.add_subparsers(required=True, metavar="COMMAND")
    run = commands.add_parser("run", help="run suites")
    run.add_argument("suites", nargs="*", metavar="SUITE[VARIANT]", help="default: all")
    run.add_argument(
        "--host", action="append", metavar="NAME", help="host to run on; may be repeated"
    )
    run.add_argument("--build", metavar="DIR", help="build whose programs are run")
    run.add_argument("--junit-dir", metavar="DIR", help="write a JUnit file a suite into DIR")
    run.add_argument("--json-dir", help=argparse.SUPPRESS)
    run.add_argument("--timeout", type=timeout, metavar="SECONDS", help=_TIMEOUT_HELP)
    run.add_argument("-j", "--jobs", type=count, default=1, metavar="N", help="suites at once")
    run.add_argument("-v", "--verbose", action="store_true", help="show every test point")
    _add_host_options(run, words)
    run.set_defaults(function=_run)

    execute = commands.add_parser("exec", help="run one program on a host")
    execute.add_argument("--host", metavar="NAME", help="default: the one that suits the program")
    execute.add_argument("--timeout", type=timeout, metavar="SECONDS", help=_TIMEOUT_HELP)
    execute.add_argument(
        "--dry-run", action="store_true", help="only print the command that would be run"
    )
    _add_host_options(execute, words)
    execute.add_argument("program", metavar="PROGRAM", help="an executable or an image")
    execute.add_argument("arguments", nargs=argparse.REMAINDER, metavar="ARGUMENT")
    execute.set_defaults(function=_execute)

    convert = commands.add_parser("tap2junit", help="turn a TAP stream into JUnit XML")
    convert.add_argument(
        "file", nargs="?", default="-", metavar="FILE", help="default: standard input"
    )
    convert.set_defaults(function=_tap2junit)

    doctor = commands.add_parser("doctor", help="say what can run here and what is missing")
    doctor.add_argument("--build", metavar="DIR", help="build to look at")
    doctor.set_defaults(function=_doctor)

    for name, (module, text) in _MORE.items():
        command = commands.add_parser(name, help=text)
        if words[:1] == [name]:
            _load(module).add_arguments(command)
            command.set_defaults(function=_load(module).run)
    return parser


class _Version(argparse.Action):
    def __call__(self, parser: argparse.ArgumentParser, *_: object) -> None:
        import importlib.metadata  # only for who asks

        say(f"lkltest {importlib.metadata.version('lkltest')}")
        parser.exit()


def _load(module: str) -> Any:
    return importlib.import_module(module)


class _HostOptions:
    """Lets hosts add their options to argparse in the words they use for pytest."""

    def __init__(self, parser: argparse.ArgumentParser) -> None:
        self._parser = parser
        self.added: list[argparse.Action] = []

    def addoption(self, *names: str, **settings: Any) -> None:
        self.added.append(self._parser.add_argument(*names, **settings))


def _add_host_options(parser: argparse.ArgumentParser, words: Sequence[str]) -> None:
    from lkltest.host.registry import add_host_options

    options = _HostOptions(parser)
    add_host_options(options, words)
    parser.set_defaults(host_actions=options.added)


def _host_arguments(options: argparse.Namespace) -> list[str]:
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


def _packages(suites: Sequence[str]) -> list[str]:
    """The packages that hold `suites`, so that no other has to be imported; all when in doubt."""
    names = {f"{inner_pytest.SUITES}.{suite.partition('[')[0]}" for suite in suites}
    known = names and all(_is_package(name) for name in names)
    return sorted(names) if known else [inner_pytest.SUITES]


def _is_package(name: str) -> bool:
    plain = re.fullmatch(r"lkltest\.suites\.\w+", name)
    return plain is not None and importlib.util.find_spec(name) is not None


def _run(options: argparse.Namespace) -> int:
    import pytest

    arguments = inner_pytest.arguments(_packages(options.suites))
    arguments += ["-v", "--tb=short"] if options.verbose else ["-p", "no:terminal", "--lkl-lines"]
    arguments += [f"--lkl-host={host}" for host in options.host or ()]
    arguments += [f"--lkl-suite={suite}" for suite in options.suites]
    for name in ("build", "junit_dir", "json_dir", "timeout"):
        value = getattr(options, name)
        if value is not None:
            arguments.append(f"--lkl-{name.replace('_', '-')}={value}")
    arguments += _host_arguments(options)
    if options.jobs > 1:
        if importlib.util.find_spec("xdist") is None:
            complain("-j needs pytest-xdist: pip install 'lkltest[parallel]'")
            return USED_WRONGLY
        arguments += ["-p", "xdist", "-n", str(options.jobs), "--dist=worksteal"]
    arguments.append("--lkl-command")
    interrupts = _Interrupts()
    status = int(pytest.main(arguments, plugins=[interrupts]))
    if interrupts.happened:
        raise KeyboardInterrupt
    return _EXIT_STATUS.get(status, FAILED)


class _Interrupts:
    """Learns whether Ctrl-C ended pytest, whose status does not tell it from `pytest.exit`."""

    happened = False

    def pytest_keyboard_interrupt(self, excinfo: Any) -> None:
        self.happened = isinstance(excinfo.value, KeyboardInterrupt)


def _execute(options: argparse.Namespace) -> int:
    from lkltest.cli.exec import execute

    return execute(
        options.host,
        options.program,
        options.arguments,
        options.timeout,
        vars(options),
        dry_run=options.dry_run,
    )


def _tap2junit(options: argparse.Namespace) -> int:
    from lkltest.cli.tap2junit import main as convert

    return convert(options.file)


def _doctor(options: argparse.Namespace) -> int:
    from lkltest.cli.doctor import report
    from lkltest.host.build import named_build

    return report(named_build(options.build))
