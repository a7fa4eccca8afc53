# SPDX-License-Identifier: GPL-2.0-only
"""The diagnosis of a failed step: one sentence instead of pages of output (pure)."""

from __future__ import annotations

import re
from dataclasses import dataclass

from lkltest.text import shortened

LOCKED = re.compile(
    r"(?:Could not get lock|Unable to acquire the dpkg frontend lock|Unable to lock directory)"
    r"(?:.*held by process (?P<holder>\d+ \([^)]*\)))?"
)
"""The words of apt when another one is at work."""

BROKEN_OFF = re.compile(r"dpkg was interrupted|--fix-broken install|dpkg --configure -a")
"""The words of apt after one that was killed."""

_LINE_LIMIT = 200

FULL_DISK = "No space left on device"
"""The words of programs for a full disk."""


@dataclass(frozen=True, slots=True)
class _Cause:
    """A kind of failure: what programs print then, what it is, what to do."""

    pattern: re.Pattern[str]
    cause: str
    remedy: str


def _any(*alternatives: str) -> re.Pattern[str]:
    return re.compile("|".join(alternatives))


_CAUSES = (
    _Cause(
        _any(FULL_DISK, r"ENOSPC", r"don't have enough free space",
             r"not enough free space"),
        "the disk is full",
        "free some of it and try again",
    ),
    _Cause(
        _any(r"Temporary failure resolving", r"Temporary failure in name resolution",
             r"Could not resolve", r"Could not connect", r"Network is unreachable",
             r"No route to host", r"Connection timed out", r"Unable to connect to",
             r"\bENOTFOUND\b", r"\bEAI_AGAIN\b", r"\bECONNREFUSED\b", r"\bENETUNREACH\b",
             r"\bETIMEDOUT\b", r"\bEHOSTUNREACH\b", r"Name or service not known",
             r"NewConnectionError", r"Connection refused"),
        "no network",
        "connect this machine, or set its proxy, and try again",
    ),
    _Cause(
        _any(r"certificate verif", r"CERTIFICATE_VERIFY_FAILED", r"SELF_SIGNED_CERT",
             r"UNABLE_TO_GET_ISSUER_CERT", r"UNABLE_TO_VERIFY_LEAF"),
        "a server's certificate is not trusted here",
        "install the one that your network uses (ca-certificates) and try again",
    ),
    _Cause(
        _any(r"Could not get lock", r"Unable to acquire the dpkg frontend lock"),
        "another apt is still at work",
        "wait for its end and try again",
    ),
    _Cause(
        _any(r"Unable to locate package \S+", r"Package '?\S+'? has no installation candidate"),
        "apt does not know a package of that name",
        "Debian 12 or newer has them all; look at /etc/apt/sources.list",
    ),
    _Cause(
        _any(r"a password is required", r"is not in the sudoers file", r"not allowed to execute"),
        "sudo refuses",
        "run it as root",
    ),
    _Cause(
        _any(r"integrity is sha512-"),
        "the archive is not the one that is wanted",
        "remove it and try again",
    ),
    _Cause(
        _any(r"Killed signal terminated", r"Cannot allocate memory", r"virtual memory exhausted"),
        "there is not enough memory",
        "free some and try again",
    ),
)  # fmt: skip

_TELLING = re.compile(r"^E: |\berror\b|\bERR!|\bfatal\b|not found|No such file|cannot ", re.I)


def diagnose(text: str) -> str:
    """Say in one sentence why a step failed that printed `text`, and what to do where known."""
    for cause in _CAUSES:
        if match := cause.pattern.search(text):
            line = _line_at(text, match.start())
            known = cause.cause
            if "package" in known:
                return f"{known} ({line}): {cause.remedy}"
            return f"{known}: {cause.remedy}"
    lines = [line.strip() for line in text.splitlines() if line.strip()]
    telling = [line for line in lines if _TELLING.search(line) and not _is_makes_own(line)]
    return shortened((telling or lines or ["it said nothing"])[0 if telling else -1], _LINE_LIMIT)


def _is_makes_own(line: str) -> bool:
    """Whether a line only repeats that something failed."""
    return bool(re.match(r"make(\[\d+\])?: \*\*\*", line))


def _line_at(text: str, position: int) -> str:
    start = text.rfind("\n", 0, position) + 1
    end = text.find("\n", position)
    return shortened(text[start : end if end >= 0 else len(text)].strip(), _LINE_LIMIT)
