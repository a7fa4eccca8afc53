# SPDX-License-Identifier: GPL-2.0-only
"""The place of harm: runs of real suites, and the four questions that are asked afterwards.

Was the verdict right? Is every test point in the results that was shown before? Is anything left on
the machine? Does the next run work?
"""

from __future__ import annotations

import itertools
import random
import re
import shutil
import subprocess
import sys
import threading
import time
from collections import Counter
from dataclasses import dataclass, field
from pathlib import Path
from xml.etree import ElementTree

from lkltest.report.tree import read
from lkltest.verdict.results import Outcome, SuiteResult
from tests.census import MARKER, Census, new_marker
from tests.fake_build import environment

SECONDS = 180.0
PARTS = ("set-up", "run", "reports")
POINT = re.compile(r"(?<=\s)SUB(?:PASSED|SKIPPED|FAILED|XFAILED|XFAIL|SKIP|FAIL)\[(.+?)\](?:\s|$)")
PASSED, FAILED, USED_WRONGLY, INTERRUPTED = 0, 1, 2, 130


class NotSurvived(Exception):
    """A thing that lkltest did wrong under a fault, in one line."""


class TooLate(Exception):
    """The harm could not be done: the run was over, or had not yet begun what it was meant for."""


@dataclass
class Run:
    """A run of the `lkltest` command that may be harmed."""

    process: subprocess.Popen[str]
    started: float
    json: Path
    junit: Path
    shown: list[str] = field(default_factory=list)
    """Names of the test points that the terminal has shown so far."""
    output: list[str] = field(default_factory=list)

    def __post_init__(self) -> None:
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            self.output.append(line)
            self.shown += POINT.findall(line)

    def wait(self) -> int:
        """Wait for its end; returns its status."""
        try:
            status = self.process.wait(SECONDS)
        except subprocess.TimeoutExpired:
            self.process.kill()
            self.process.wait()
            raise NotSurvived(f"it did not end within {SECONDS:g} s") from None
        self._reader.join(5)
        return status

    def results(self) -> list[SuiteResult]:
        """The trees that were written. Every report that is there must be whole."""
        try:
            for path in self.junit.glob("*.xml"):
                ElementTree.parse(path)  # our own run wrote it
            return [read(path) for path in sorted(self.json.glob("*.json"))]
        except (ElementTree.ParseError, ValueError) as error:
            raise NotSurvived(f"a report is not whole: {error}") from None


class Arena:
    """Runs suites on one host in a private TMPDIR, each run with reports of its own."""

    def __init__(self, host: str, folder: Path, chance: random.Random) -> None:
        self.host, self.folder, self.chance = host, folder, chance
        self.temporary = folder / "tmp"
        self.temporary.mkdir(parents=True)
        self.marker = new_marker()
        # The native host is so quick that one suite is over before anything can happen to it.
        self.suites = ["boot", "disk[ext4]"] if host == "native" else ["boot"]
        self.census = Census.take(self.marker, self.temporary)
        self._runs = 0
        self.reference: dict[str, list[str]] = {}
        """Points of each suite in a run without harm."""
        self.parts = itertools.cycle(PARTS)
        """The part of its next run in which harm is done, if the fault is one of moments."""
        self._seconds: dict[tuple[str, ...], float] = {}

    def settle(self) -> None:
        """Run without harm: what is right, and what first runs leave."""
        self.finish(self.start(*self.suites, "net[loopback]"), {PASSED})
        self.census = Census.take(self.marker, self.temporary)

    def seconds(self, *words: str) -> float:
        """The time of a run of these words without harm; measured once."""
        words = words or tuple(self.suites)
        if words not in self._seconds:
            started = time.monotonic()
            self.finish(self.start(*words), {PASSED})
            self._seconds[words] = time.monotonic() - started
        return self._seconds[words]

    def start(
        self,
        *words: str,
        prefix: tuple[str, ...] = (),
        settings: dict[str, str] | None = None,
        verbose: bool = True,
    ) -> Run:
        """Start `lkltest run words` on the host, after the words of `prefix`."""
        json, junit = self.report_folders()
        command = [sys.executable, "-m", "lkltest", "run", "--host", self.host]
        command += [f"--json-dir={json}", f"--junit-dir={junit}", *(["-v"] if verbose else [])]
        command += words  # the last word counts
        return self.launch([*prefix, *command], json, junit, settings)

    def report_folders(self) -> tuple[Path, Path]:
        """The folders of the next run's trees and JUnit files; not made yet."""
        self._runs += 1
        return self.folder / f"json{self._runs}", self.folder / f"junit{self._runs}"

    def launch(
        self, command: list[str], json: Path, junit: Path, settings: dict[str, str] | None = None
    ) -> Run:
        """Start a command whose reports go into these folders."""
        env = environment(TMPDIR=str(self.temporary), PYTHONUNBUFFERED="1")
        env |= {MARKER: self.marker, **(settings or {})}
        process = subprocess.Popen(
            command,
            env=env,
            cwd=self.folder,
            stdin=subprocess.DEVNULL,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
            encoding="utf-8",
            errors="backslashreplace",
        )
        return Run(process, time.monotonic(), json, junit)

    def finish(
        self,
        run: Run,
        statuses: set[int],
        shown: list[str] | None = None,
        *,
        jobs: int = 1,
        reference: dict[str, list[str]] | None = None,
    ) -> int:
        """Wait for the end and judge it: status, verdict, points, no traceback.

        shown: the points that have to be in the results; default: all that were shown. jobs: how
        many suites ran at once, which a runner that is killed may lose. reference: points of
        suites that are not of the usual build.
        """
        status = run.wait()
        text = "".join(run.output)
        starting = text.rstrip().endswith("KeyboardInterrupt") and not run.shown
        for trace in ("Traceback (most recent", "INTERNALERROR"):
            # What interrupts Python before it has come to our first line is Python's to tell.
            if trace in text and not (starting and "lkltest/cli/main.py" not in text):
                raise NotSurvived(f"{trace}: {text[text.index(trace) :][-600:]}")
        if status not in statuses:
            raise NotSurvived(f"status {status}, not one of {sorted(statuses)}: {text[-600:]}")
        known = self.reference if reference is None else reference
        results, names = run.results(), run.shown if shown is None else shown
        self.nothing_lost(results, names, jobs if status < 0 else 0)
        check_verdict(status, results, known)
        self._forget(run)
        return status

    def nothing_lost(self, results: list[SuiteResult], shown: list[str], in_flight: int) -> None:
        """Only a runner that was killed loses points, those of the suites that it was running."""
        known = Counter(point.name for result in results for point in result.points)
        lost = Counter(shown) - known
        for suites in itertools.combinations(self.reference.values(), in_flight):
            if set(lost) <= {name for suite in suites for name in suite}:
                return
        if lost:
            raise NotSurvived(f"points were shown and are in no result: {sorted(lost)}")

    def aftermath(self) -> None:
        """Is anything left, and does the next run work?"""
        left = self.census.left(3.0)
        if left:
            self.census = Census.take(self.marker, self.temporary)  # to blame one fault for it
            raise NotSurvived(f"left: {'; '.join(left)}"[:600])
        self.finish(self.start(*self.suites, verbose=False), {PASSED})

    def find(self, *words: str) -> list[int]:
        """Processes of this arena whose command line holds one of `words`."""
        wanted = f"{MARKER}={self.marker}".encode()
        found = []
        for folder in Path("/proc").iterdir():
            if not folder.name.isdigit():
                continue
            try:
                line = (
                    (folder / "cmdline").read_bytes().replace(b"\0", b" ").decode(errors="replace")
                )
                marked = wanted in (folder / "environ").read_bytes().split(b"\0")
            except OSError:
                continue
            if marked and any(word in line for word in words):
                found.append(int(folder.name))
        return found

    @staticmethod
    def _forget(run: Run) -> None:
        for folder in (run.json, run.junit):
            shutil.rmtree(folder, ignore_errors=True)


def check_verdict(status: int, results: list[SuiteResult], reference: dict[str, list[str]]) -> None:
    """Status and trees agree, and what passed has every point that a run without harm has."""
    bad = [r.id for r in results if r.outcome is Outcome.FAILED]
    if (status == PASSED) != (not bad) and status in (PASSED, FAILED):
        raise NotSurvived(f"status {status}, but failed are {bad or 'none'}")
    if status == PASSED and not results:
        raise NotSurvived("green without a result")
    for result in results:
        names = [point.name for point in result.points]
        expected = reference.setdefault(result.id, names)
        if result.outcome is Outcome.PASSED and names != expected:
            raise NotSurvived(f"{result.id} passed with {len(names)} of {len(expected)} points")


def wait_for(condition, seconds: float = 60.0, *, every: float = 0.005):  # type: ignore[no-untyped-def]
    """Wait until `condition()` is true; returns it, or what it was at the end."""
    deadline = time.monotonic() + seconds
    while not (found := condition()) and time.monotonic() < deadline:
        time.sleep(every)
    return found
