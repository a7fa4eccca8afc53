# SPDX-License-Identifier: GPL-2.0-only
"""The errors of lkltest: each message is one line that says what is wrong, where, what to do."""

from __future__ import annotations

from dataclasses import dataclass


class LkltestError(Exception):
    """The base of every error that a user, a machine or a file can cause."""


class LaunchError(LkltestError):
    """A program that could not be launched."""


class ConnectionLost(LaunchError):
    """A connection to where programs run that did not come about, or that has ended too early."""


class NotInstalled(LaunchError):
    """A host's program that is not installed, which is a SKIP; the message names it."""


class BuildError(LkltestError):
    """A build directory that cannot be used."""


class ExecutableError(LkltestError):
    """A file that is no program which could be run here."""


class NoSuites(LkltestError):
    """Suites that are not there or cannot be collected."""


class SetupError(LkltestError):
    """A set-up that cannot go on."""


class Unavailable(LkltestError):
    """A need of a suite that cannot be met here: the suite is a SKIP, the message its reason."""


@dataclass(frozen=True, slots=True)
class Missing:
    """An obstacle to a host (or a tool) here, and the command that would install the remedy."""

    what: str
    install: str = ""

    def __str__(self) -> str:
        return f"{self.what}: {self.install}" if self.install else self.what
