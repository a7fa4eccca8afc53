# SPDX-License-Identifier: GPL-2.0-only
"""The content of a suite run's JUnit testcases; writing them is others' business. Pure.

One testcase a test point without subtests, and one for each problem that is tied to no point, so
that none can be missed. A point with subtests has one only where it says more than they do, as
every reader adds testcases up. *failure* means that a test point said `not ok`, or that the verdict
found something in what the program said; *error* that it crashed, took too long or did not say it
properly.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Sequence
from dataclasses import replace
from typing import NamedTuple

from lkltest.text import head_and_tail, printable, printable_line, shortened
from lkltest.verdict.names import Names
from lkltest.verdict.results import Outcome, PointResult, Problem, ProblemKind, SuiteResult

_FAILURES = frozenset(
    {
        ProblemKind.EXIT_STATUS,
        ProblemKind.BAIL_OUT,
        ProblemKind.SUBTEST,
        ProblemKind.OOPS,
        ProblemKind.BUG,
        ProblemKind.WARNING,
        ProblemKind.SANITIZER,
    }
)
_PASSED_LOGS = 16_000_000  # bytes of XML; from there on logs of passed points are left out
_ALL_LOGS = 26_000_000  # and from there on everybody's: GitLab reads no file above 30 MB
_CASE_COST = 200  # bytes of tags and attributes
_TEXT_LIMIT = 1_000_000  # characters of one text; of a longer one its head and tail
_SHOWN_LOG = 4_000  # characters of the log's end that are repeated in a failure
_NAME_LIMIT = 500
_MESSAGE_LIMIT = 1_000


class Case(NamedTuple):
    """One testcase; all texts are fit for XML.

    Attributes:
        name: unique within the file.
        seconds: None when unknown.
        element: `failure`, `error`, `skipped`, or empty for one that passed.
        kind: the element's type: `not ok`, `kernel panic`, ...
        message: the element's message, one line.
        content: the element's text, which is what GitLab shows.
        output: the system-out.
    """

    name: str
    seconds: float | None
    element: str = ""
    kind: str = ""
    message: str = ""
    content: str = ""
    output: str = ""


_new = tuple.__new__  # nearly all testcases are passed ones; Case() takes three times as long


class CaseMaker:
    """Makes the testcases of one file, in order: names are kept apart, texts within its limit."""

    def __init__(self) -> None:
        self._names = Names()
        self._spent = 0

    def passed(self, name: str, seconds: float | None, log: str) -> Case:
        """Make the testcase of a passed point without subtests."""
        output = self._text(log, needed=False) if log else ""
        return _new(Case, (self._name(name), seconds, "", "", "", "", output))

    def of_point(self, point: PointResult, problems: Sequence[Problem] = ()) -> list[Case]:
        """Make the testcases of a point, tied to `problems`, and of its subtests."""
        if point.children:
            return list(self._tree(point.name, point, problems))
        return [self._point(point.name, point, problems)]

    def of_rest(self, result: SuiteResult, some: bool) -> Iterator[Case]:
        """Make the testcases of all that is not a point.

        Args:
            result: the suite run; its points are not looked at.
            some: whether there are points.
        """
        for problem in result.problems:
            if problem.point is None:
                yield self._problem(problem)
        if result.skip is not None:
            reason = _message(result.skip) or "no reason given"
            yield Case(self._name(result.title), None, "skipped", "", reason)
        elif not some and not result.problems:
            reason = "the suite reported nothing"
            yield Case(self._name("[no results]"), None, "error", "no results", reason, reason)

    def other_output(self, result: SuiteResult) -> str:
        """Return what the programs printed besides test points, for the suite's system-out."""
        return self._text(result.output, needed=True)

    def _tree(self, name: str, point: PointResult, problems: Sequence[Problem]) -> Iterator[Case]:
        own, of_children = _shared_out(point, problems)
        if not point.children or _says_more(point, own):
            yield self._point(name, point, own)
        for child in point.children:
            shown = _excused(child, point) if point.outcome is Outcome.TODO else child
            yield from self._tree(f"{name}/{child.name}", shown, of_children.get(child.name, ()))

    def _point(self, name: str, point: PointResult, problems: Sequence[Problem]) -> Case:
        outcome = point.outcome
        if outcome is Outcome.PASSED:
            return self.passed(name, point.seconds, point.log)
        name = self._name(name)
        if outcome is Outcome.FAILED:
            return self._failed(name, point, problems)
        message = _message(point.reason)
        if outcome is Outcome.TODO:
            message = f"TODO: {message}" if message else "TODO: an expected failure"
        output = self._text(point.log, needed=outcome is Outcome.TODO)
        reason = message or "no reason given"
        return Case(name, point.seconds, "skipped", "", reason, output=output)

    def _failed(self, name: str, point: PointResult, problems: Sequence[Problem]) -> Case:
        broken = [problem for problem in problems if problem.kind not in _FAILURES]
        kind = str([*broken, *problems][0].kind) if problems else "not ok"
        last = point.log[-_MESSAGE_LIMIT:].strip().rpartition("\n")[2]
        message = _message(point.reason or last or "not ok")
        parts = [f"not ok {point.failure}"]
        for problem in problems:
            parts.append(f"{problem}\n{problem.detail}".rstrip())
        shown = point.log[-_SHOWN_LOG:].rstrip()
        if shown:
            heading = "log:" if len(point.log) <= _SHOWN_LOG else "the end of the log:"
            parts.append(f"{heading}\n{shown}")
        content = self._text("\n\n".join(parts), needed=True)
        output = self._text(point.log, needed=True)
        element = "error" if broken else "failure"
        return Case(name, point.seconds, element, kind, message, content, output)

    def _problem(self, problem: Problem) -> Case:
        element = "failure" if problem.kind in _FAILURES else "error"
        content = self._text(f"{problem}\n{problem.detail}".rstrip(), needed=True)
        name = self._name(f"[{problem.kind}]")
        message = _message(problem.reason)
        return Case(name, None, element, str(problem.kind), message, content)

    def _name(self, name: str) -> str:
        # What XML cannot hold is shown before names are kept apart: it must not join two again.
        name = self._names.claim(printable_line(shortened(name, _NAME_LIMIT)))
        self._spent += _CASE_COST + len(name)
        return name

    def _text(self, text: str, needed: bool) -> str:
        """Return a text as it may stand in the file: fit for XML, and within the limits."""
        if not text:
            return ""
        if self._spent > (_ALL_LOGS if needed else _PASSED_LOGS):
            return f"[{len(text)} characters are left out: this file would be too large]"
        text = printable(head_and_tail(text, _TEXT_LIMIT))
        self._spent += _cost(text)
        return text


def _shared_out(
    point: PointResult, problems: Sequence[Problem]
) -> tuple[list[Problem], dict[str, list[Problem]]]:
    """Return a point's own problems, and those that were carried up to it from its subtests."""
    own: list[Problem] = []
    carried: dict[str, list[Problem]] = {}
    failed = [child.name for child in point.children if child.outcome is Outcome.FAILED]
    for problem in problems:
        name = next((name for name in failed if problem.reason.startswith(f"{name}: ")), None)
        if name is None:
            own.append(problem)
        else:
            said = replace(problem, reason=problem.reason[len(name) + 2 :])
            carried.setdefault(name, []).append(said)
    return own, carried


def _says_more(point: PointResult, problems: Sequence[Problem]) -> bool:
    """Return whether a point with subtests came to something that none of them came to."""
    if point.outcome is Outcome.PASSED:
        return False
    if any(problem.kind is not ProblemKind.SUBTEST for problem in problems):
        return True
    if point.outcome is Outcome.FAILED and point.reason.startswith(ProblemKind.NEVER_REPORTED):
        return True
    same = {point.outcome}
    if point.outcome is Outcome.TODO:  # it excuses them
        same.add(Outcome.FAILED)
    return not same & _outcomes(point.children)


def _excused(child: PointResult, point: PointResult) -> PointResult:
    """Return a subtest of a TODO point: its failure fails nothing."""
    if child.outcome is not Outcome.FAILED:
        return child
    return replace(child, outcome=Outcome.TODO, reason=child.reason or point.reason)


def _outcomes(points: Iterable[PointResult]) -> set[Outcome]:
    """Return what all came to that have no subtests."""
    found: set[Outcome] = set()
    for point in points:
        found |= _outcomes(point.children) if point.children else {point.outcome}
    return found


def suite_name(result: SuiteResult) -> str:
    """Return the testsuite's name: `disk[ext4]@native`."""
    return printable_line(result.id if result.host else result.title)


def class_name(result: SuiteResult) -> str:
    """Return the classname of all its testcases: `lkltest.native.disk[ext4]`.

    Jenkins makes packages of what stands before dots, so the parts hold none themselves.
    """
    parts = (part.replace(".", "_") for part in (result.host, result.title) if part)
    return printable_line(".".join(("lkltest", *parts)))


def suite_properties(result: SuiteResult) -> dict[str, str]:
    """Return the properties of the testsuite, fit for XML."""
    properties = {"host": result.host} if result.host else {}
    properties.update(result.properties)
    return {printable_line(name): _message(value) for name, value in properties.items()}


def _cost(text: str) -> int:
    """Return how many bytes of XML a text becomes."""
    size = len(text) if text.isascii() else len(text.encode())
    return size + 4 * text.count("&") + 3 * (text.count("<") + text.count(">"))


def _message(text: str) -> str:
    return shortened(printable_line(text.strip()), _MESSAGE_LIMIT)
