# SPDX-License-Identifier: GPL-2.0-only
"""A pytest item as a suite variant: its name, what happened to it, and its tree of results."""

from __future__ import annotations

import contextlib
import re
import time
from collections.abc import Generator, Sequence
from dataclasses import dataclass, field, replace

import pytest

from lkltest.errors import Unavailable
from lkltest.plugin.inner_pytest import unknown_suite
from lkltest.plugin.suite_run import SuiteRun
from lkltest.verdict.results import TRIED_AGAIN, Problem, ProblemKind, SuiteResult, suite_title

_HOST_PARAMETER = "lkl_host"
_NAME = re.compile(r"^(?P<suite>[^\[\]]+)(\[(?P<variant>.+)\])?$")


@dataclass(slots=True)
class ItemRecord:
    """The record of an item so far."""

    started: float = field(default_factory=time.time)
    began: float = field(default_factory=time.monotonic)  # which nobody can set
    run: SuiteRun | None = None
    skip: str | None = None
    problems: list[Problem] = field(default_factory=list)
    lost: str = ""
    """The reason why the item's connection was lost, if it is to be run anew for that."""
    tried_again: str = ""
    """The reason why it was lost, if this is the second try."""
    judged: bool = False
    """Whether the test is being failed or skipped for what `run` holds already."""


record_key: pytest.StashKey[ItemRecord] = pytest.StashKey()


@dataclass(frozen=True, slots=True)
class SuiteName:
    """Suite, variant and host of an item: stable, unlike pytest's node ids."""

    suite: str
    variant: str
    host: str

    def __str__(self) -> str:
        return suite_title(self.suite, self.variant)


def suite_name(item: pytest.Item) -> SuiteName | None:
    """The suite that `item` is a variant of; None for a test that is no suite."""
    callspec = getattr(item, "callspec", None)
    if callspec is None or _HOST_PARAMETER not in callspec.params:
        return None
    variant = "-".join(
        str(value) for name, value in callspec.params.items() if name != _HOST_PARAMETER
    )
    function_name = getattr(item, "originalname", item.name)
    return SuiteName(
        function_name.removeprefix("test_"), variant, str(callspec.params[_HOST_PARAMETER])
    )


def host_of(item: pytest.Item) -> str | None:
    """The name of the host that `item` runs on; None for a test that is no suite."""
    name = suite_name(item)
    return name.host if name else None


def select(
    items: Sequence[pytest.Item], wanted: Sequence[str]
) -> tuple[list[pytest.Item], list[pytest.Item]]:
    """Split `items` into those that `wanted` (`disk`, `disk[ext4]`) names and the rest.

    Raises KeyError, with a one-line message that lists what exists, for a name that fits nothing.
    """
    names = {id(item): suite_name(item) for item in items}
    for text in wanted:
        if not any(name is not None and _fits(name, text) for name in names.values()):
            known = (str(name) for name in names.values() if name)
            raise KeyError(unknown_suite(text, known))
    kept: list[pytest.Item] = []
    dropped: list[pytest.Item] = []
    for item in items:
        name = names[id(item)]
        fits = name is not None and any(_fits(name, text) for text in wanted)
        (kept if fits else dropped).append(item)
    return kept, dropped


@contextlib.contextmanager
def recorded(item: pytest.Item, phase: str) -> Generator[None]:
    """Keep what `phase` (setup, call, teardown) of a suite's item raised, and let it pass on."""
    if suite_name(item) is None:
        yield
        return
    record = item.stash.setdefault(record_key, ItemRecord())
    try:
        with _unavailable_skips():
            yield
    except pytest.skip.Exception as skip:
        if not record.judged:  # else its points say it
            record.skip = skip.msg or "no reason given"
        raise
    except (KeyboardInterrupt, pytest.exit.Exception):
        record.problems.append(Problem(ProblemKind.INTERRUPTED, f"interrupted in {phase}"))
        raise
    except BaseException as error:
        if phase == "call" and (record.judged or _is_known(record, error)):
            raise
        if item.session.shouldfail and isinstance(error, pytest.fail.Exception):
            # A failed point was one too many (--maxfail): pytest raises it to end the suite.
            reason = f"{item.session.shouldfail}, in mid-stream"
            record.problems.append(Problem(ProblemKind.INTERRUPTED, reason))
            raise
        kind = ProblemKind.CLEANUP if phase == "teardown" else ProblemKind.SUITE_ERROR
        text = str(error).splitlines() or [type(error).__name__]
        record.problems.append(Problem(kind, f"{phase}: {text[0]}", detail="\n".join(text[1:])))
        raise


def _is_known(record: ItemRecord, error: BaseException) -> bool:
    """Whether `error` ends the test for a problem that its run has gathered (a failed launch)."""
    return record.run is not None and str(error) in {p.reason for p in record.run.problems}


@contextlib.contextmanager
def _unavailable_skips() -> Generator[None]:
    try:
        yield
    except Unavailable as error:
        pytest.skip(str(error))


def result_of(item: pytest.Item) -> SuiteResult | None:
    """The tree of a suite's item that has been torn down; None for a test that is no suite."""
    name = suite_name(item)
    record = item.stash.get(record_key, None)
    if name is None or record is None:
        return None
    run = record.run
    result = SuiteResult(
        suite=name.suite,
        variant=name.variant,
        host=name.host,
        points=tuple(run.points) if run else (),
        problems=(*(run.problems if run else ()), *record.problems),
        properties={"host": name.host, **(run.properties if run else {})},
        seconds=time.monotonic() - record.began,
        skip=record.skip,
        output=run.output if run else "",
        started=record.started,
    )
    if not record.tried_again:
        return result
    ended = f"{ProblemKind.CONNECTION}: {record.tried_again}; on another one: {result.outcome}"
    return replace(result, properties={**result.properties, TRIED_AGAIN: ended})


def _fits(name: SuiteName, text: str) -> bool:
    match = _NAME.match(text)
    if match is None or match["suite"] != name.suite:
        return False
    return match["variant"] is None or match["variant"] == name.variant
