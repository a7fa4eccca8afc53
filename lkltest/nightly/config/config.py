# SPDX-License-Identifier: GPL-2.0-only
"""The configuration of a nightly run: the TOML file as data, checked."""

from __future__ import annotations

import re
import shlex
from collections.abc import Collection, Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lkltest.deadline import DEFAULT_TIMEOUT
from lkltest.nightly.model.age import age
from lkltest.nightly.model.change import ChangeKind
from lkltest.nightly.model.ids import matches
from lkltest.plugin.inner_pytest import is_path
from lkltest.text import unknown
from lkltest.toml_reader import Section, read
from lkltest.verdict.results import suite_title

DEFAULT_FAIL_ON = frozenset(
    {ChangeKind.NEW_FAILURE, ChangeKind.VANISHED, ChangeKind.ERROR, ChangeKind.EXPIRED}
)
_NAME = re.compile(r"[A-Za-z0-9_.+-]+")


@dataclass(frozen=True, slots=True)
class BuildEntry:
    """`[builds.NAME]`: `path` is None for each host's default build; `commit` "" when unknown.

    `make` builds it in the top directory of its tree, for `--bisect`; run without a shell.
    `coverage`: it was made for gcov, and what its suites run is told.
    """

    name: str
    path: Path | None = None
    commit: str = ""
    make: str = ""
    coverage: bool = False


@dataclass(frozen=True, slots=True)
class Pattern:
    """The cells of an exclude or an override: shell patterns, `[` and `]` as they stand."""

    build: str = "*"
    host: str = "*"
    suite: str = "*"

    def fits(self, build: str, host: str, suite: str, variant: str) -> bool:
        """Whether it names this cell; `disk` names all variants of disk."""
        titles = (suite, suite_title(suite, variant))
        return (
            matches(self.build, build)
            and matches(self.host, host)
            and any(matches(self.suite, title) for title in titles)
        )


@dataclass(frozen=True, slots=True)
class Settings:
    """The settings that cells run with; None: not said. Seconds; `limit` is for a whole process."""

    timeout: float | None = None
    limit: float | None = None
    repeat: int | None = None
    environment: Mapping[str, str] = field(default_factory=dict)
    options: tuple[str, ...] = ()


@dataclass(frozen=True, slots=True)
class Config:
    """The whole file.

    Attributes:
        suites: names of suites and variants, `disk` for all of its variants; files and folders.
        directory: where nights are kept; `history` the SQLite file; `known` the known failures'.
        machine: the name under which times are compared, "" for the node's.
        rerun: how many times at most a new failure is run again before it is reported.
        keep: seconds after which a night is forgotten, with its folder; None for never.
        notify: a command that is told of a night with news.
        metrics: file for Prometheus.
    """

    file: Path
    directory: Path
    history: Path
    builds: tuple[BuildEntry, ...]
    hosts: tuple[str, ...]
    suites: tuple[str, ...]
    excludes: tuple[Pattern, ...] = ()
    overrides: tuple[tuple[Pattern, Settings], ...] = ()
    settings: Settings = Settings()
    known: Path | None = None
    fail_on: frozenset[ChangeKind] = DEFAULT_FAIL_ON
    machine: str = ""
    name: str = "nightly"
    rerun: int = 0
    keep: int | None = None
    notify: str = ""
    metrics: Path | None = None


def suite_paths(file: Path) -> dict[str, str]:
    """The `suites` that are files or folders, as written, to their places. Raises ConfigError."""
    words = read(file).table("matrix").strings("suites")
    return {word: str((file.parent / word).absolute()) for word in words if is_path(word)}


def host_targets(file: Path) -> list[str]:
    """The `hosts` with a target, as written: `ssh:board`. Raises ConfigError."""
    return [word for word in read(file).table("matrix").strings("hosts") if ":" in word]


def load(file: Path, hosts: Collection[str], suites: Collection[str]) -> Config:
    """Read and check a configuration.

    Args:
        hosts: names of the hosts that exist.
        suites: names of the suites and variants that exist: `disk`, `disk[ext4]`.

    Raises:
        ConfigError: one line with file, line and column.
    """
    top = read(file)
    night, matrix = top.table("night"), top.table("matrix")
    base = file.parent
    entries = {entry.name: entry for entry in _builds(top, base)}
    known = night.string("known", "")
    config = Config(
        file=file,
        directory=base / night.string("directory", "nightly"),
        history=base / night.string("history", "nightly/history.sqlite"),
        builds=tuple(entries[name] for name in _chosen(matrix, "builds", "build", entries)),
        hosts=tuple(_chosen(matrix, "hosts", "host", hosts)),
        suites=tuple(_chosen(matrix, "suites", "suite", suites)),
        excludes=tuple(_pattern(table, entries, hosts, suites) for table in top.tables("exclude")),
        overrides=tuple(
            (_pattern(table, entries, hosts, suites, done=False), _settings(table))
            for table in top.tables("override")
        ),
        settings=_settings(night, done=False),
        known=base / known if known else None,
        fail_on=_fail_on(night),
        machine=night.string("machine", ""),
        name=night.string("name", "nightly"),
        rerun=night.count("rerun") or 0,
        keep=_keep(night),
        notify=_command(night, "notify"),
        metrics=base / night.string("metrics") if night.has("metrics") else None,
    )
    for section in (night, matrix, top):
        section.finish()
    return config


def parse_fail_on(words: Collection[str]) -> frozenset[ChangeKind]:
    """Turn `new`, `vanished`, ... into kinds; `none` is none. Raises KeyError with the message."""
    known = {kind.value: kind for kind in ChangeKind}
    for word in words:
        if word not in known and word != "none":
            raise KeyError(unknown("kind of change", word, {*known, "none"}))
    return frozenset(known[word] for word in words if word != "none")


def _fail_on(night: Section) -> frozenset[ChangeKind]:
    words = night.strings("fail_on", sorted(DEFAULT_FAIL_ON))
    for number, word in enumerate(words):
        try:
            parse_fail_on([word])
        except KeyError as error:
            raise night.error(str(error.args[0]), "fail_on", number) from None
    return parse_fail_on(words)


def _command(table: Section, key: str) -> str:
    text = table.string(key, "")
    try:
        shlex.split(text)
    except ValueError as error:
        raise table.error(f"{key}: {error}", key) from None
    return text


def _keep(night: Section) -> int | None:
    if not night.has("keep"):
        return None
    try:
        return age(night.string("keep"))
    except ValueError as error:
        raise night.error(str(error), "keep") from None


def _builds(top: Section, base: Path) -> list[BuildEntry]:
    entries = []
    for name, table in top.named_tables("builds"):
        if not _NAME.fullmatch(name):
            raise top.error(f"{name!r} is no name for a build", "builds", name, "=")
        path = base / Path(table.string("path")).expanduser() if table.has("path") else None
        if path is not None and not path.exists():  # some hosts' builds are files
            raise table.error(f"build {name}: {path}: no such file or directory", "path")
        commit, make = table.string("commit", ""), _command(table, "make")
        entries.append(BuildEntry(name, path, commit, make, table.flag("coverage")))
        table.finish()
    return entries


def _chosen(matrix: Section, key: str, what: str, known: Collection[str]) -> list[str]:
    names = matrix.strings(key)
    if not names:
        raise matrix.error(f"{key} is missing or empty", key)
    for number, name in enumerate(names):
        if name not in known:
            raise matrix.error(unknown(what, name, known), key, number)
        if name in names[:number]:
            raise matrix.error(f"{what} {name!r} is named twice", key, number)
    return names


def _pattern(
    table: Section,
    builds: Collection[str],
    hosts: Collection[str],
    suites: Collection[str],
    *,
    done: bool = True,
) -> Pattern:
    pattern = Pattern(
        table.string("build", "*"), table.string("host", "*"), table.string("suite", "*")
    )
    if not {"build", "host", "suite"} & table.data.keys():
        raise table.error("needs one of build, host, suite")
    for key, names in (("build", builds), ("host", hosts), ("suite", suites)):
        text = getattr(pattern, key)
        if not any(matches(text, name) for name in names):
            raise table.error(unknown(key, text, names), key)
    if done:
        table.finish()
    return pattern


def _settings(table: Section, *, done: bool = True) -> Settings:
    settings = Settings(
        table.seconds("timeout"),
        table.seconds("limit"),
        table.count("repeat"),
        table.words("environment"),
        tuple(table.strings("options")),
    )
    for number, option in enumerate(settings.options):
        if not option.startswith("--lkl-"):
            raise table.error(f"{option!r} is no host's option (--lkl-HOST-...)", "options", number)
    if done:
        table.finish()
    return settings


def merged(first: Settings, *others: Settings) -> Settings:
    """Later settings win; environments and options add up."""
    result = first
    for other in others:
        result = Settings(
            other.timeout or result.timeout,
            other.limit or result.limit,
            other.repeat or result.repeat,
            {**result.environment, **other.environment},
            (*result.options, *other.options),
        )
    return result


def limit_of(settings: Settings) -> tuple[float, float]:
    """Seconds for a program and for a whole process, which may run several programs."""
    timeout = settings.timeout or DEFAULT_TIMEOUT
    return timeout, settings.limit or 4 * timeout + 60
