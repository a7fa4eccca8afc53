# SPDX-License-Identifier: GPL-2.0-only
"""A host that runs programs in a root directory of their own: `pytest --lkl-host=chroot`."""

from __future__ import annotations

import os
import shutil
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from lkltest import (
    Build,
    Host,
    Launch,
    LaunchError,
    Missing,
    OptionGroup,
    Process,
    Scope,
    make_host,
)


class ChrootHost(Host):
    """The native host, behind chroot(8)."""

    name = "chroot"

    @classmethod
    def add_options(cls, parser: OptionGroup) -> None:
        parser.addoption("--lkl-chroot-root", metavar="DIR", help="root directory of programs")

    def __init__(self, options: Mapping[str, Any] | None = None) -> None:
        super().__init__(options)
        self._native = make_host("native", options)
        self._root = Path(self.options.get("lkl_chroot_root") or "/").resolve()

    def missing(self) -> Missing | None:
        if os.geteuid() != 0:
            return Missing("chroot(2) is for root alone", "sudo")
        if shutil.which("chroot") is None:
            return Missing("chroot is missing", "apt-get install coreutils")
        return None

    def check(self) -> None:
        if not self._root.is_dir():
            raise LaunchError(f"--lkl-chroot-root {self._root}: no such directory")

    def accepts(self, build: Build) -> bool:
        return build.directory.is_relative_to(self._root) and self._native.accepts(build)

    def unsupported(self, feature: str, build: Build) -> str | None:
        return self._native.unsupported(feature, build)

    def program(self, build: Build, name: str) -> Path:
        return self._native.program(build, name)

    def launch(self, launch: Launch, scope: Scope) -> Process:
        program = launch.program.resolve()
        self.program(Build(program.parent, "", {program.name: program}), program.name)
        if not program.is_relative_to(self._root):
            raise LaunchError(f"{launch.program}: is not below {self._root}, the root directory")
        words = (str(self._root), f"/{program.relative_to(self._root)}", *launch.arguments)
        chroot = Path(shutil.which("chroot") or "chroot")
        return self._native.launch(replace(launch, program=chroot, arguments=words), scope)

    def properties(self) -> dict[str, str]:
        return {"root directory": str(self._root)}
