# SPDX-License-Identifier: GPL-2.0-only
"""A target: another machine that is reached by a command, and the file that names several.

[targets.freebsd]
address = "user@freebsd"      # what ssh(1) or adb(1) takes; by default the name
folder = "/var/tmp/lkltest"   # where programs go; by default .cache/lkltest-target at home
wrapper = ["doas"]            # goes before each program
environment = { LKL_HIJACK = "1" }
"""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

from lkltest import toml_reader
from lkltest.errors import LaunchError
from lkltest.text import unknown
from lkltest.toml_reader import Section

_PLAIN = re.compile(r"/[\w./+-]+")
"""Folders go through a login shell that may be anyone's, so that they need no quotes."""


@dataclass(frozen=True, slots=True)
class Target:
    """One machine: `address` is what the transport calls it, `folder` None for the default."""

    name: str
    address: str
    folder: str | None = None
    wrapper: tuple[str, ...] = ()
    environment: Mapping[str, str] = field(default_factory=dict)


def find_target(name: str, file: Path | None) -> Target:
    """The target called `name`: of the file, or any address. Raises LaunchError."""
    if file is None:
        return Target(name, name)
    try:
        section = toml_reader.read(file)
        targets = {found: _target(found, table) for found, table in section.named_tables("targets")}
        section.finish()
    except toml_reader.ConfigError as error:
        raise LaunchError(str(error)) from None
    if name not in targets:
        raise LaunchError(f"{file}: {unknown('target', name, targets)}")
    return targets[name]


def _target(name: str, table: Section) -> Target:
    folder = table.string("folder", "")
    if folder and not _PLAIN.fullmatch(folder):
        raise table.error("folder must begin with / and be of letters, digits and ._+-", "folder")
    target = Target(
        name,
        table.string("address", name),
        folder or None,
        tuple(table.strings("wrapper")),
        table.words("environment"),
    )
    table.finish()
    return target
