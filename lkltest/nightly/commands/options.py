# SPDX-License-Identifier: GPL-2.0-only
"""The input of the nightly commands: the configuration, or just the history's file."""

from __future__ import annotations

import argparse
from collections.abc import Callable, Sequence
from dataclasses import replace
from datetime import date
from pathlib import Path

from lkltest.command_line import USED_WRONGLY
from lkltest.errors import LkltestError
from lkltest.host.registry import host_names, is_host
from lkltest.nightly.compare import known
from lkltest.nightly.compare.known import Known
from lkltest.nightly.config import config, matrix
from lkltest.nightly.config.commit import of_directory
from lkltest.nightly.history.queries import NoBaseline
from lkltest.nightly.history.store import HistoryError
from lkltest.nightly.model.cell import Cell
from lkltest.nightly.model.change import ChangeKind
from lkltest.nightly.run.lock import Overlap
from lkltest.nightly.run.store import NoNight
from lkltest.plugin import discover
from lkltest.report.terminal import echo_error
from lkltest.toml_reader import ConfigError
from lkltest.verdict.results import suite_title

DEFAULT_CONFIG = "nightly.toml"
DEFAULT_HISTORY = "nightly/history.sqlite"

Command = Callable[[argparse.Namespace], int]


class CannotRun(LkltestError):
    """A night that cannot be run as it was asked for; the message is one line."""


_EXPECTED = (CannotRun, ConfigError, HistoryError, NoBaseline, NoNight, Overlap, discover.NoSuites)


def one_line_errors(run: Command) -> Command:
    """Make of what a user can cause one line and exit status 2."""

    def wrapped(options: argparse.Namespace) -> int:
        try:
            return run(options)
        except _EXPECTED as error:
            return fail(str(error))
        except BrokenPipeError:
            raise
        except OSError as error:
            return fail(f"{error.filename}: {error.strerror}" if error.filename else str(error))

    return wrapped


def fail(message: str) -> int:
    """Say what is wrong; returns the exit status."""
    echo_error(" ".join(message.split()))
    return USED_WRONGLY


def add_config(parser: argparse.ArgumentParser) -> None:
    """Let a command take the file of a configuration."""
    parser.add_argument(
        "config",
        nargs="?",
        default=DEFAULT_CONFIG,
        metavar="CONFIG.toml",
        help=f"default: {DEFAULT_CONFIG}",
    )


FAIL_ON_KINDS = f"{', '.join(kind.value for kind in ChangeKind)}, or none"
"""The kinds that `--fail-on` takes, for its help."""


def fail_on(text: str) -> frozenset[ChangeKind]:
    """Read `new,vanished`, or `none`; for `type=` of argparse."""
    try:
        return config.parse_fail_on([word.strip() for word in text.split(",") if word.strip()])
    except KeyError as error:
        raise argparse.ArgumentTypeError(error.args[0]) from None


def load_config(file: str) -> tuple[config.Config, list[Cell]]:
    """Read a configuration and make its cells. Raises ConfigError, NoSuites."""
    own = config.suite_paths(Path(file))
    installed = discover.variants()
    variants = [*installed, *discover.variants(list(own.values()))] if own else installed
    _check_names(variants)
    hosts = [*host_names(), *filter(is_host, config.host_targets(Path(file)))]
    loaded = config.load(Path(file), hosts, [*matrix.names(variants), *own])
    commits = {b.name: _commit(b) for b in loaded.builds}
    cells = [replace(cell, commit=commits[cell.build]) for cell in matrix.cells(loaded, variants)]
    if not cells:
        raise ConfigError(f"{file}: the excludes leave no cell of the matrix")
    return loaded, cells


def _check_names(variants: Sequence[discover.Variant]) -> None:
    """A cell's id has the suite's name: raises NoSuites where two suites have the same."""
    files: dict[tuple[str, str], str] = {}
    for one in variants:
        first = files.setdefault(one[:2], one.source)
        if first != one.source:
            name = suite_title(one.suite, one.variant)
            raise discover.NoSuites(f"suite {name} is there twice: {one.source} has one, too")


def load_known(file: Path | None, today: date | None = None) -> Known:
    """Read the known failures, none for None. Raises ConfigError."""
    day = today or date.today()
    return Known((), day) if file is None else known.load(file, day)


def sources(options: argparse.Namespace) -> tuple[Path, Path | None]:
    """The files of the history and of the known failures, None for none.

    They are what the command line says (`--history`, `--known`), else what the configuration does.
    Raises ConfigError, NoSuites.
    """
    known_file: Path | None = getattr(options, "known", None)
    named = None if options.history is None else Path(options.history)
    if options.config is None and (named is not None or not Path(DEFAULT_CONFIG).exists()):
        return named or Path(DEFAULT_HISTORY), known_file
    loaded, _ = load_config(options.config or DEFAULT_CONFIG)
    return named or loaded.history, known_file or loaded.known


def _commit(build: config.BuildEntry) -> str:
    return build.commit or (of_directory(build.path.resolve()) if build.path else "")
