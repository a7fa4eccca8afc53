# SPDX-License-Identifier: GPL-2.0-only
"""The matrix: builds x hosts x suites x variants, less the excludes, with the overrides. Pure."""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from pathlib import Path
from typing import TYPE_CHECKING

from lkltest.nightly.config.config import BuildEntry, Config, limit_of, merged
from lkltest.nightly.model.cell import Cell
from lkltest.verdict.results import suite_title

if TYPE_CHECKING:
    from lkltest.plugin.discover import Variant


def names(variants: Iterable[Variant]) -> list[str]:
    """Return what a configuration may call suites: `disk` and `disk[ext4]`."""
    titles = [name for one in variants for name in (one.suite, suite_title(one.suite, one.variant))]
    return list(dict.fromkeys(titles))


def cells(config: Config, variants: Sequence[Variant]) -> list[Cell]:
    """Return the cells in the order of the file.

    Args:
        variants: what exists, in the order of the suites.
    """
    return [
        _cell(config, build, host, one)
        for build in config.builds
        for host in config.hosts
        for one in _wanted(config, variants)
        if not any(p.fits(build.name, host, one.suite, one.variant) for p in config.excludes)
    ]


def _wanted(config: Config, variants: Sequence[Variant]) -> Iterator[Variant]:
    seen = set()
    for name in config.suites:
        for one in variants:
            fits = name in (one.suite, suite_title(one.suite, one.variant))
            place = config.file.parent / name
            inside = bool(one.source) and Path(one.source).is_relative_to(place.absolute())
            if (fits or inside) and one[:2] not in seen:
                seen.add(one[:2])
                yield one


def _cell(config: Config, build: BuildEntry, host: str, one: Variant) -> Cell:
    suite, variant = one.suite, one.variant
    fitting = (s for p, s in config.overrides if p.fits(build.name, host, suite, variant))
    settings = merged(config.settings, *fitting)
    timeout, limit = limit_of(settings)
    return Cell(
        build=build.name,
        host=host,
        suite=suite,
        variant=variant,
        source=one.source,
        path=None if build.path is None else str(build.path.resolve()),
        timeout=timeout,
        limit=limit,
        repeat=settings.repeat or 1,
        environment=settings.environment,
        # Another host would not know them.
        options=tuple(
            o for o in settings.options if o.startswith(f"--lkl-{host.partition(':')[0]}-")
        ),
        commit=build.commit,
        coverage=build.coverage,
    )
