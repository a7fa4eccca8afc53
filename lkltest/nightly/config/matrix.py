# SPDX-License-Identifier: GPL-2.0-only
"""The matrix: builds x hosts x suites x variants, less the excludes, with the overrides. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence

from lkltest.nightly.config.config import BuildEntry, Config, limit_of, merged
from lkltest.nightly.model.cell import Cell
from lkltest.verdict.results import suite_title

Variant = tuple[str, str]
"""Suite and variant; an empty variant where the suite has none."""


def names(variants: Iterable[Variant]) -> list[str]:
    """Return what a configuration may call suites: `disk` and `disk[ext4]`."""
    titles = [name for suite, variant in variants for name in (suite, suite_title(suite, variant))]
    return list(dict.fromkeys(titles))


def cells(config: Config, variants: Sequence[Variant]) -> list[Cell]:
    """Return the cells in the order of the file.

    Args:
        variants: what exists, in the order of the suites.
    """
    return [
        _cell(config, build, host, suite, variant)
        for build in config.builds
        for host in config.hosts
        for suite, variant in _wanted(config.suites, variants)
        if not any(p.fits(build.name, host, suite, variant) for p in config.excludes)
    ]


def _wanted(suites: Sequence[str], variants: Sequence[Variant]) -> Iterator[Variant]:
    seen = set()
    for name in suites:
        for suite, variant in variants:
            if name in (suite, suite_title(suite, variant)) and (suite, variant) not in seen:
                seen.add((suite, variant))
                yield suite, variant


def _cell(config: Config, build: BuildEntry, host: str, suite: str, variant: str) -> Cell:
    fitting = (s for p, s in config.overrides if p.fits(build.name, host, suite, variant))
    settings = merged(config.settings, *fitting)
    timeout, limit = limit_of(settings)
    return Cell(
        build=build.name,
        host=host,
        suite=suite,
        variant=variant,
        path=None if build.path is None else str(build.path.resolve()),
        timeout=timeout,
        limit=limit,
        repeat=settings.repeat or 1,
        environment=settings.environment,
        # Another host would not know them.
        options=tuple(o for o in settings.options if o.startswith(f"--lkl-{host}-")),
        commit=build.commit,
    )
