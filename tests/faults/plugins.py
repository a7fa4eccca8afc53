# SPDX-License-Identifier: GPL-2.0-only
"""Faults: a third party's host that raises, in whatever it is asked, beside one that works."""

from __future__ import annotations

import sys

from lkltest.verdict.results import Outcome
from tests.faults.arena import FAILED, PASSED, USED_WRONGLY, Arena, NotSurvived
from tests.faults.surroundings import ROOT

RAISER = """
import os

from lkltest.host.registry import register
from lkltest.hosts.native import NativeHost

WHERE = os.environ["RAISES_IN"]
ERROR = {
    "RuntimeError": RuntimeError("no\\nlicence"),
    "OSError": OSError(28, "No space left on device"),
    "KeyError": KeyError("licence"),
    "SystemExit": SystemExit(0),
    "StopIteration": StopIteration(),
    "MemoryError": MemoryError(),
}[os.environ["RAISES"]]


def fail(*_, **__):
    raise ERROR


class Process:
    def __init__(self, process):
        self._process = process

    def __getattr__(self, name):
        if WHERE == f"process.{name}":
            if callable(getattr(self._process, name)):
                return fail
            fail()
        return getattr(self._process, name)

    def chunks(self):
        for chunk in self._process.chunks():
            yield chunk
            if WHERE == "process.chunks":
                fail()


@register
class Raiser(NativeHost):
    name = "raiser"

    def launch(self, launch, scope):
        return Process(super().launch(launch, scope))


if not WHERE.startswith("process."):
    setattr(Raiser, WHERE, fail)
"""
SUITE = "def test_boot(lkl):\n    lkl.require('boot')\n    lkl.run('boot')\n"
ERRORS = ("RuntimeError", "OSError", "KeyError", "SystemExit", "StopIteration", "MemoryError")

MISSING = ("__init__", "missing")
REFUSED = ("check", "open_build")
"""Questions before any suite is run: the command line cannot be followed."""
BOUNDED = ("missing", "unsupported", "program", "session", "namespace_pid", "launch")
FATAL = (
    *BOUNDED[1:],
    *(f"process.{name}" for name in ("chunks", "close", "problems", "exit", "hang_report")),
    *("process.command", "process.stream_done"),
)
HARMLESS = ("properties", "accepts", "facts", "dry_run", "add_options", "process.kill")
PLACES = (*MISSING, *REFUSED, *FATAL, *HARMLESS)


def raising_host(arena: Arena, place: str) -> None:
    """It is blamed for what it raises, in its own suite; the other host's suite passes."""
    folder = arena.folder / "plugin"
    folder.mkdir(exist_ok=True)
    folder.joinpath("conftest.py").write_text(RAISER, encoding="utf-8")
    folder.joinpath("test_one.py").write_text(SUITE, encoding="utf-8")
    json, junit = arena.report_folders()
    command = [sys.executable, "-m", "pytest", "-v", "-p", "no:cacheprovider", "-c", "/dev/null"]
    command += [f"--rootdir={folder}", str(folder), "--lkl-host=raiser", "--lkl-host=native"]
    command += [f"--lkl-json-dir={json}", f"--lkl-junit-dir={junit}", f"--lkl-build={ROOT}/build"]
    error = arena.chance.choice(ERRORS)
    run = arena.launch(command, json, junit, {"RAISES_IN": place, "RAISES": error})
    status = run.wait()
    text = "".join(run.output)
    results = {result.host: result for result in run.results()}
    arena.nothing_lost(list(results.values()), run.shown, 0)
    if "INTERNALERROR" in text:
        raise NotSurvived(f"{error}: {text[-600:]}")
    if place in REFUSED:
        if status != USED_WRONGLY or f"host raiser: {place}: {error}" not in text:
            raise NotSurvived(f"{error}: status {status}: {text[-600:]}")
        return
    if place in BOUNDED and f"host raiser: {place}: {error}" not in text:
        raise NotSurvived(f"nobody says that the host raised {error}: {text[-600:]}")
    wanted = {Outcome.FAILED if place in FATAL else Outcome.PASSED}
    if place in MISSING:
        wanted = {Outcome.SKIPPED}
    outcomes = {host: result.outcome for host, result in results.items()}
    if outcomes.get("raiser") not in wanted or outcomes.get("native") is not Outcome.PASSED:
        raise NotSurvived(f"{error}: {outcomes}: {text[-600:]}")
    if status != (FAILED if place in FATAL else PASSED):
        raise NotSurvived(f"{error}: status {status}, {outcomes}")
    points = [point.name for point in results["native"].points]
    if points != arena.reference["boot@native"]:
        raise NotSurvived(f"the other host's suite has the points {points}")
