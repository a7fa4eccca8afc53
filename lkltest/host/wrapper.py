# SPDX-License-Identifier: GPL-2.0-only
"""A command in front of a program: `--wrapper 'strace -o trace'`, memcheck (`--valgrind`)."""

from __future__ import annotations

import contextlib
import shlex
import shutil
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from lkltest.errors import LaunchError
from lkltest.verdict.names import Names
from lkltest.verdict.results import Outcome, PointResult

if TYPE_CHECKING:
    from xml.etree.ElementTree import Element

    from lkltest.host.build import Build
    from lkltest.sandbox.scope import Scope

_MEMCHECK = (
    *("valgrind", "--leak-check=full", "--show-leak-kinds=definite"),
    *("--errors-for-leak-kinds=definite", "--xml=yes"),
)
SUPPRESSIONS = "valgrind.supp"
"""The file in tests/ of a build of LKL that says what its kernel does on purpose."""


@dataclass(frozen=True, slots=True)
class Wrapper:
    """The words in front of a program; memcheck writes a file a process into `reports`."""

    words: tuple[str, ...] = ()
    reports: Path | None = None

    @classmethod
    def of(cls, options: Mapping[str, Any], build: Build | None, scope: Scope) -> Wrapper:
        """The wrapper that the command line asks for. Raises LaunchError when it is not there."""
        try:
            words = shlex.split(options.get("lkl_wrapper") or "")
        except ValueError as error:
            raise LaunchError(f"--wrapper {options['lkl_wrapper']!r}: {error}") from None
        reports = None
        if options.get("lkl_valgrind"):
            reports = scope.folder
            words += [*_MEMCHECK, f"--xml-file={reports}/memcheck-%p.xml"]
            known = build.find(SUPPRESSIONS) if build else None
            words += [f"--suppressions={known}"] if known else []
        missing = next((word for word in words[:1] if shutil.which(word) is None), None)
        if missing:
            raise LaunchError(f"{missing} is missing: apt-get install {missing}")
        return cls(tuple(words), reports)

    def points(self) -> list[PointResult]:
        """Memcheck's errors as failed test points; one that passed where there are none."""
        if self.reports is None:
            return []
        names = Names()
        found = [
            _point(error, names)
            for file in sorted(self.reports.glob("memcheck-*.xml"))
            for error in _errors(file)
        ]
        return found or [PointResult("memcheck", Outcome.PASSED)]


def wanted(options: Mapping[str, Any]) -> str:
    """The option that only hosts whose programs run here can have, if one was given; else ""."""
    names = {"lkl_wrapper": "--wrapper", "lkl_valgrind": "--valgrind"}
    return next((word for name, word in names.items() if options.get(name)), "")


def _errors(file: Path) -> list[Element]:
    """The errors of a report, as far as it goes: a killed program leaves it open."""
    from xml.etree import ElementTree  # costs 3 ms, and few ask for memcheck

    errors: list[Element] = []
    with contextlib.suppress(ElementTree.ParseError):
        for _, element in ElementTree.iterparse(file):  # noqa: S314 - valgrind's own
            if element.tag == "error":
                errors.append(element)
    return errors


def _point(error: Element, names: Names) -> PointResult:
    kind = error.findtext("kind") or "error"
    stacks = [[_frame(one) for one in stack.findall("frame")] for stack in error.findall("stack")]
    frames = stacks[0] if stacks else []
    inner = [name for name, place in frames if place] or [name for name, _ in frames] or ["?"]
    reason = error.findtext("what") or error.findtext("xwhat/text") or kind
    name = names.claim(f"memcheck: {kind} in {inner[0]}")
    return PointResult(name, Outcome.FAILED, reason=reason, log="\n".join(_lines(error)))


def _frame(frame: Element) -> tuple[str, str]:
    """A function and its place, `file:line`; "" where that is not known."""
    file = frame.findtext("file")
    return frame.findtext("fn") or "?", f"{file}:{frame.findtext('line')}" if file else ""


def _lines(error: Element) -> Iterator[str]:
    """The stack, and what is known of the memory: who allocated it, who freed it."""
    for part in error:
        if part.tag == "auxwhat" and part.text:
            yield f"{part.text}:"
        for name, place in map(_frame, part.findall("frame") if part.tag == "stack" else ()):
            yield f"at {name} ({place})" if place else f"at {name}"
