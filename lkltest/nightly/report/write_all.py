# SPDX-License-Identifier: GPL-2.0-only
"""Writes every report of a night."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

from lkltest.nightly.report import html, json_report, kcidb, markdown
from lkltest.nightly.report.junit import junit_results
from lkltest.nightly.report.model import NightModel
from lkltest.report import junit
from lkltest.whole_file import write_whole

_DOCUMENTS: tuple[tuple[str, Callable[[NightModel], str]], ...] = (
    ("report.json", json_report.document),
    ("report.md", markdown.document),
    ("kcidb.json", kcidb.document),
)


def write_all(night: NightModel, directory: Path) -> tuple[Path, ...]:
    """Write JUnit, JSON, Markdown, KCIDB and HTML, in that order: what programs read comes first.

    Each file is there whole or not at all, in place of an older one.

    Args:
        night: what to report.
        directory: gets `report.json`, `report.md`, `kcidb.json`, `index.html` and `junit/*.xml`; is
            made if need be.

    Returns:
        The files. `index.html` is missing where its template engine is not installed; `report.md`
        then says so.

    Raises:
        OSError: what could not be written, with the file's name.
    """
    directory.mkdir(parents=True, exist_ok=True)
    written = [junit.write(result, directory / "junit") for result in junit_results(night)]
    try:
        page, missing = html.page(night), ""
    except html.NoTemplates as error:
        page, missing = "", str(error)
    documents = {name: document(night) for name, document in _DOCUMENTS}
    if missing:
        documents["report.md"] += f"\n{missing}\n"
    else:
        documents["index.html"] = page
    for name, text in documents.items():
        write_whole(directory / name, text, durable=True)
    return (*written, *(directory / name for name in documents))
