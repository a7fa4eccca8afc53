# SPDX-License-Identifier: GPL-2.0-only
"""Oracles for streams of other dialects: what must hold, though it may not be enough, to be green.

KTAP nests and L4Re's console mixes several programs. Rather than a second implementation of either,
these say what no green stream of the kind can be without. They share no code with lkltest.
"""

from __future__ import annotations

import re

from tests.faults.legal import ESCAPE, mended

_STAMP = re.compile(rb"^(?:<\d+>)?\[ *\d+\.\d+\](?:\[ *[TC]\d+\])? ?")
_TAG = re.compile(rb"^.{8}[|:] ")
_VERSION = re.compile(rb"K?TAP version \d+$")
_FAILED = re.compile(rb"not ok(?:\s|$)(?!.*#\s*(?i:skip|todo|xfail))")
_CRASHED = re.compile(rb"FATAL: Fatal signal|unhandled (?:write|read) page fault")
_PLAN = re.compile(rb"1\.\.(\d+)\s*(?:#|$)")  # `1..5 is a range` is prose


def why_not_ktap(data: bytes) -> str:
    """KTAP, KUnit and kselftest: a plan, as many results beside it, and none of them failed."""
    data = ESCAPE.sub(b"", data)
    lines = [_STAMP.sub(b"", line).rstrip() for line in data.split(b"\n")]
    if _PLAN.match(lines[-1].lstrip()):
        return "the last line is a plan without newline"
    margin = min((_indentation(line) for line in lines if _VERSION.search(line)), default=0)
    top = list(mended(line.lstrip() for line in lines if _indentation(line) <= margin))
    if any(_FAILED.match(line) for line in top):
        return "a point failed"
    plans = [int(found[1]) for line in top if (found := _PLAN.match(line))]
    if not plans:
        return "there is no plan"
    results = sum(1 for line in top if re.match(rb"(?:not )?ok(?:[\s#]|$)", line))
    return "the plan is not met" if results < plans[0] else ""


def _indentation(line: bytes) -> int:
    return len(line) - len(line.lstrip())


def why_not_l4re(data: bytes) -> str:
    """L4Re: the client that has a plan has its results, none failed, and nothing crashed."""
    clean = ESCAPE.sub(b"", data).replace(b"\r", b"")
    if _CRASHED.search(clean):
        return "it crashed"
    planned = (line for line in clean.split(b"\n") if _PLAN.match(_TAG.sub(b"", line)))
    tag = _TAG.match(next(planned, b""))
    lines = list(mended(_of(tag[0][:8] if tag else b"", clean)))
    plans = [int(found[1]) for line in lines if (found := _PLAN.match(line))]
    if not plans:
        return "there is no plan"
    if any(re.match(rb"not ok \d", line) for line in lines):
        return "a point failed"
    results = sum(1 for line in lines if re.match(rb"ok(?:[\s#]|$)", line))
    return "the plan is not met" if results < sum(plans[:1]) else ""


def _of(tag: bytes, clean: bytes) -> list[bytes]:
    """The lines of one client, without their tag."""
    lines = clean.split(b"\n")
    if not tag:
        return lines
    return [_TAG.sub(b"", line) for line in lines if line.startswith((tag + b"| ", tag + b": "))]
