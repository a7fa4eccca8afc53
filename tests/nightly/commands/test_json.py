# SPDX-License-Identifier: GPL-2.0-only
"""JSON of `history` and `compare` by the schemas in docs/, and the views that are to stay."""

import json
from pathlib import Path

import jsonschema
import pytest

from lkltest.nightly.history.store import History
from tests.compiler import ROOT
from tests.nightly.commands.test_history_command import Ask, ask

__all__ = ["ask"]


@pytest.mark.parametrize(
    ("command", "words", "what"),
    [
        ("history", (), "nights"),
        ("history", ("disk*@native/*",), "points"),
        ("history", ("disk*@native",), "points"),
        ("history", ("--flaky",), "flaky"),
        ("history", ("--slowest",), "slowest"),
        ("history", ("--added",), "added"),
        ("history", ("--vanished",), "vanished"),
        ("compare", (), "changes"),
    ],
)
def test_it_is_what_its_schema_says(
    ask: Ask, command: str, words: tuple[str, ...], what: str
) -> None:
    schema = json.loads((ROOT / "docs" / "schemas" / f"{command}.json").read_text())
    _, out, _ = ask(command, "--json", *words)
    document = json.loads(out)
    jsonschema.Draft202012Validator(schema).validate(document)
    assert document[what], "there is something to look at"
    with pytest.raises(jsonschema.ValidationError):
        jsonschema.Draft202012Validator(schema).validate({**document, "version": 2})


def test_the_views_that_are_promised(ask: Ask, tmp_path: Path) -> None:
    """docs/nightly.md names them: columns may be added at the end, and none is taken away."""
    del ask
    with History(tmp_path / "h.sqlite") as history:
        columns = {
            view: [name for _, name, *_ in history.rows(f"PRAGMA table_info({view})")]
            for view in ("nights_v1", "runs_v1", "results_v1")
        }
        assert history.rows("SELECT count(*) FROM results_v1 WHERE outcome = 'failed'") == [(2,)]
    assert columns == {
        "nights_v1": ["night", "started", "finished", "name", "lkltest"],
        "runs_v1": [
            *("night", "cell", "build", "host", "suite", "variant", "repeat", "outcome"),
            *("seconds", "started", "reason", "kernel", "revision", "compiler", "machine", "arch"),
        ],
        "results_v1": ["night", "cell", "point", "repeat", "outcome", "seconds", "reason"],
    }
