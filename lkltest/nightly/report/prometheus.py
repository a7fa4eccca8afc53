# SPDX-License-Identifier: GPL-2.0-only
"""The counts and times of a night for Prometheus, as its node exporter's textfile collector reads.

https://prometheus.io/docs/instrumenting/exposition_formats/ (text format). Pure.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable, Iterator, Mapping

from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.model.change import ChangeKind
from lkltest.nightly.report.labels import point_counts
from lkltest.nightly.report.model import CellModel, NightModel
from lkltest.verdict.results import Outcome

_Sample = tuple[Mapping[str, str], float]


def document(night: NightModel) -> str:
    """Return the file; every series has the configuration's name as a label."""
    return "".join(f"{line}\n" for line in _lines(night))


def _lines(night: NightModel) -> Iterator[str]:
    name = {"night": night.properties.get("name", "")}

    def gauge(metric: str, text: str, samples: Iterable[_Sample]) -> Iterator[str]:
        yield f"# HELP lkltest_{metric} {text}"
        yield f"# TYPE lkltest_{metric} gauge"
        for labels, value in samples:
            yield f"lkltest_{metric}{_labels({**name, **labels})} {value:.15g}"

    cells = Counter(cell.outcome for cell in night.cells)
    points = point_counts(night)
    changes = Counter(change.kind for change in night.changes)
    yield from gauge("night_started_seconds", "When the night began.", [({}, night.started)])
    yield from gauge("night_duration_seconds", "How long it took.", [({}, night.seconds)])
    yield from gauge("night_failed", "1 where it failed.", [({}, night.failed)])
    yield from gauge(
        "cells", "Cells by outcome.", [({"outcome": o}, cells[o]) for o in CellOutcome]
    )
    yield from gauge(
        "points", "Test points by outcome.", [({"outcome": o}, points[o]) for o in Outcome]
    )
    yield from gauge(
        "changes", "Changes by kind.", [({"kind": kind}, changes[kind]) for kind in ChangeKind]
    )
    yield from gauge(
        "cell_seconds", "Time of a cell.", [(_cell(one), one.seconds) for one in night.cells]
    )
    yield from gauge(
        "cell_failed_points",
        "Points of a cell that failed.",
        [(_cell(one), _failed(one)) for one in night.cells],
    )


def _cell(cell: CellModel) -> dict[str, str]:
    return {
        "suite": cell.suite,
        "variant": cell.variant,
        "host": cell.host,
        "build": cell.build,
        "outcome": cell.outcome,
    }


def _failed(cell: CellModel) -> int:
    return cell.result.counts().get(Outcome.FAILED, 0) if cell.result else 0


def _labels(labels: Mapping[str, str]) -> str:
    return "{" + ",".join(f'{name}="{_escaped(value)}"' for name, value in labels.items()) + "}"


def _escaped(text: str) -> str:
    plain = text.encode(errors="backslashreplace").decode()
    return plain.replace("\\", "\\\\").replace('"', '\\"').replace("\n", "\\n")
