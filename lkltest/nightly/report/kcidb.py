# SPDX-License-Identifier: GPL-2.0-only
"""A night as a KCIDB report (schema 5.3): checkouts, builds, tests, and known issues. Pure.

https://github.com/kernelci/kcidb-io has the schema and its words. Ids carry the night, so that two
nights never claim one object. What a known failure is known for becomes an issue, and each time it
was seen an incident.
"""

from __future__ import annotations

import hashlib
import json
import re
import time
from collections.abc import Iterator
from typing import Any

from lkltest.nightly.model.cell import CellOutcome
from lkltest.nightly.model.rows import problem_name
from lkltest.nightly.report.model import CellModel, NightModel
from lkltest.text import printable
from lkltest.verdict.results import Outcome, PointResult, SuiteResult

ORIGIN = "lkltest"
_STATUS = {
    Outcome.PASSED: "PASS",
    Outcome.FAILED: "FAIL",
    Outcome.SKIPPED: "SKIP",
    # Expected to fail: it completed, and says nothing of the code under test.
    Outcome.TODO: "DONE",
}
_EXCERPT = 16_384  # characters that the schema takes
_COMMIT = re.compile(r"[0-9a-f]{40}")

_Object = dict[str, Any]


def document(night: NightModel, origin: str = ORIGIN) -> str:
    """Return the report as JSON; `origin` names the CI system, in lower case letters and digits."""
    return json.dumps(to_dict(night, origin), indent=1) + "\n"


def to_dict(night: NightModel, origin: str = ORIGIN) -> _Object:
    """Return the report in plain JSON types."""
    checkouts: dict[str, _Object] = {}
    builds: dict[str, _Object] = {}
    tests: list[_Object] = []
    issues: dict[str, _Object] = {}
    incidents: list[_Object] = []
    for cell in night.cells:
        checkout = _checkout(cell, night, origin)
        checkouts.setdefault(checkout["id"], checkout)
        build = _build(cell, checkout["id"], origin)
        builds.setdefault(build["id"], build)
        for name, test in _tests(cell, night, build["id"], origin):
            tests.append(test)
            if name in cell.known:
                issue = _issue(cell.known[name], origin)
                issues.setdefault(issue["id"], issue)
                incidents.append(_incident(issue, test, origin))
    parts = {
        "checkouts": list(checkouts.values()),
        "builds": list(builds.values()),
        "tests": tests,
        "issues": list(issues.values()),
        "incidents": incidents,
    }
    return {
        "version": {"major": 5, "minor": 3},
        **{name: objects for name, objects in parts.items() if objects},
    }


def _checkout(cell: CellModel, night: NightModel, origin: str) -> _Object:
    commit = cell.commit if _COMMIT.fullmatch(cell.commit) else ""
    checkout: _Object = {
        "id": f"{origin}:{_id(night.night_id, cell.build)}",
        "origin": origin,
        "comment": _clean(f"build {cell.build} of night {night.night_id}"),
        "valid": True,
        **_started(night.started),
    }
    if commit:
        checkout |= {"git_commit_hash": commit, "patchset_hash": ""}
    elif cell.commit:
        checkout["git_commit_name"] = _clean(cell.commit)
    return checkout


def _build(cell: CellModel, checkout: str, origin: str) -> _Object:
    properties = cell.result.properties if cell.result else {}
    # A name may stand for a build of its own on every host (ELF, PE, a kernel image).
    build: _Object = {
        "id": f"{checkout}/{_clean(cell.host)}",
        "origin": origin,
        "checkout_id": checkout,
        "comment": _clean(f"{cell.build} for {cell.host}"),
        "status": "PASS",
    }
    if "machine" in properties:
        build["architecture"] = re.sub(r"[^a-z0-9_]", "_", properties["machine"].lower())
    if "compiler" in properties:
        build["compiler"] = _clean(properties["compiler"])
    if "kernel" in properties:
        build["misc"] = {"kernel": properties["kernel"]}
    return build


def _tests(
    cell: CellModel, night: NightModel, build: str, origin: str
) -> Iterator[tuple[str, _Object]]:
    """Name and test of every point, every loose problem, or of the cell that has none."""
    number = 0

    def test(name: str, status: str, **more: Any) -> tuple[str, _Object]:
        nonlocal number
        number += 1
        words = ["lkl", cell.host, cell.suite, cell.variant, *name.split("/")]
        return name, {
            "id": f"{origin}:{_id(night.night_id, cell.id)}/{number}",
            "origin": origin,
            "build_id": build,
            "path": ".".join(filter(None, map(_segment, words))),
            "comment": _clean(f"{cell.id}/{name}" if name else cell.id),
            "status": status,
            "environment": {"comment": _clean(f"{cell.host} on {night.machine}")},
            "misc": {"id": f"{cell.id}/{name}" if name else cell.id, "reproduce": cell.reproduce},
            **_started(cell.result.started if cell.result else night.started),
            **more,
        }

    result = cell.result
    if cell.outcome is CellOutcome.ERROR or result is None:
        yield test("", "MISS", **_excerpt(cell.error, cell.log))
    if result is not None:
        if result.skip is not None and not result.points:
            yield test("", "SKIP", **_excerpt(result.skip))
        for point in _flat(result):
            more = {} if point.seconds is None else {"duration": point.seconds}
            yield test(
                point.name, _STATUS[point.outcome], **more, **_excerpt(point.reason, point.log)
            )
        for problem in result.problems:
            if problem.point is None:
                text = _excerpt(str(problem), problem.detail)
                yield test(problem_name(problem.kind), "FAIL", **text)


def _flat(result: SuiteResult) -> Iterator[PointResult]:
    """Points with what their problems say as the end of their logs."""
    for point in result.points:
        said = [
            f"{problem}\n{problem.detail}"
            for problem in result.problems
            if problem.point == point.name
        ]
        if said:
            yield PointResult(
                point.name,
                point.outcome,
                reason=point.reason,
                log="\n".join([point.log, *said]),
                seconds=point.seconds,
            )
        else:
            yield point


def _issue(reason: str, origin: str) -> _Object:
    name = hashlib.sha256(reason.encode("utf-8", "backslashreplace")).hexdigest()[:16]
    return {
        "id": f"{origin}:{name}",
        "origin": origin,
        "version": 1,
        "comment": _clean(reason),
        "culprit": {"code": True},
    }


def _incident(issue: _Object, test: _Object, origin: str) -> _Object:
    return {
        "id": f"{issue['id']}/{test['id'].partition(':')[2]}",
        "origin": origin,
        "issue_id": issue["id"],
        "issue_version": issue["version"],
        "test_id": test["id"],
        "present": test["status"] in ("FAIL", "MISS"),
    }


def _excerpt(*texts: str) -> _Object:
    """The part of a log that is shown: its end, where a failure says why."""
    text = _clean("\n".join(text for text in texts if text), lines=True)[-_EXCERPT:]
    return {"log_excerpt": text} if text else {}


def _started(seconds: float) -> _Object:
    if not seconds:
        return {}
    return {"start_time": time.strftime("%Y-%m-%dT%H:%M:%S+00:00", time.gmtime(seconds))}


def _segment(text: str) -> str:
    """A part of a path: nothing but letters, digits, `_` and `-`."""
    return re.sub(r"[^a-zA-Z0-9_-]+", "_", text).strip("_")


def _id(*parts: str) -> str:
    return "/".join(_clean(part) for part in parts)


def _clean(text: str, *, lines: bool = False) -> str:
    """Text without NUL, which no field takes, and without what JSON readers choke on."""
    kept = printable(text).encode("utf-8", "backslashreplace").decode()
    return kept if lines else " ".join(kept.split())
