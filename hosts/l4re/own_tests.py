# SPDX-License-Identifier: GPL-2.0-only
"""L4Re's own tests: the `.t` files of a build tree, and what each of them boots.

A `.t` file sets variables and runs a starter, by default one that boots and judges at once. Here it
runs L4Re's `tool/bin/run_test`, which sees whether the test fits the build (status 69: it does
not), writes a module list and hands over to EXTERNAL_TEST_STARTER; ours notes what it was given.
"""

from __future__ import annotations

import os
import re
import shlex
import subprocess
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

from lkltest.errors import LaunchError, NotInstalled

from .expected_output import ExpectedOutput, read_expected

ENTRY = "maketest"
"""The entry of the module list that run_test writes."""
SUFFIX = ".t"
_FOLDER = Path("test") / "t"
_UNAVAILABLE = 69
_SECONDS = 300
_LOOKED_AT = 1 << 16
_ENVIRONMENT = "environment"
_STARTER = '#!/bin/sh\nexec "$L4DIR/tool/bin/run_test" "$@"\n'
_PLUGIN = re.compile(r"(?:^|\s)OutputMatching:(\S+)")
_OURS = {"-serial": 1, "-nographic": 0, "-display": 1, "-vnc": 1, "-monitor": 1}
"""Options of QEMU's that say where the console goes, and how many words follow each."""


@dataclass(frozen=True, slots=True)
class OwnTest:
    """The images that a test boots, and the output that it expects.

    `environment` is what the module list is read with; `silence` are the seconds without a line
    that the test is allowed; `expected` is None for one that speaks TAP.
    """

    modules_list: Path
    environment: Mapping[str, str]
    qemu_words: tuple[str, ...]
    silence: float
    expected: ExpectedOutput | None


def find_tests(build: Path) -> dict[str, Path]:
    """The tests of an L4Re build tree by name; empty for any other directory.

    A name that several folders have is told apart by its folder.
    """
    try:
        paths = sorted((build / _FOLDER).rglob(f"*{SUFFIX}"))
    except OSError:  # a name that is too long, above all: what opens the build says so
        return {}
    names = [path.name.removesuffix(SUFFIX) for path in paths]
    return {
        name if names.count(name) == 1 else f"{path.parent.name}.{name}": path
        for name, path in zip(names, paths, strict=True)
    }


def is_own_test(path: Path) -> bool:
    """Whether a file is one of L4Re's tests."""
    try:
        return path.suffix == SUFFIX and b"TEST_STARTER" in path.read_bytes()[:_LOOKED_AT]
    except OSError:
        return False


def prepare(test: Path, folder: Path, shuffle: str = "") -> OwnTest:
    """Let L4Re write what `test` boots into `folder`.

    shuffle: seed of the order in which its test points run; empty for their usual one. Raises
    NotInstalled for a test that does not fit its build, LaunchError when L4Re cannot prepare it.
    """
    starter = folder / "starter"
    starter.write_text(_STARTER)
    starter.chmod(0o755)
    noted = folder / _ENVIRONMENT
    environment = {
        **os.environ,
        "TEST_STARTER": str(starter),
        "TEST_TMPDIR": str(folder),
        "TEST_TESTFILE": str(test),
        "EXTERNAL_TEST_STARTER": f"env -0 >{shlex.quote(str(noted))}",
    }
    if shuffle:
        environment |= {"TEST_GTEST_SHUFFLE": "1", "TEST_GTEST_SHUFFLE_SEED": shuffle}
    try:
        done = subprocess.run(
            [test],
            env=environment,
            cwd=folder,
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
            errors="backslashreplace",
            timeout=_SECONDS,
            check=False,
        )
    except (OSError, subprocess.TimeoutExpired) as error:
        raise LaunchError(f"{test}: {error}") from None
    said = [line for line in (done.stdout + done.stderr).splitlines() if line.strip()]
    reason = said[-1].strip() if said else f"status {done.returncode}"
    if done.returncode == _UNAVAILABLE:
        raise NotInstalled(reason)
    if done.returncode != 0 or not noted.is_file():
        raise LaunchError(f"{test}: L4Re cannot prepare it: {reason}")
    return _noted(test, noted.read_bytes())


def _noted(test: Path, data: bytes) -> OwnTest:
    pairs = (entry.partition("=") for entry in os.fsdecode(data).split("\0") if "=" in entry)
    variables = {name: value for name, _, value in pairs}
    try:
        modules_list = Path(variables["MODULES_LIST"])
        timeout = float(variables.get("TEST_TIMEOUT") or 10)
    except (KeyError, ValueError) as error:
        raise LaunchError(f"{test}: L4Re says too little of it: {error}") from None
    return OwnTest(
        modules_list,
        variables,
        tuple(_without_console(shlex.split(variables.get("QEMU_OPTIONS", "")))),
        timeout,
        _expected(variables),
    )


def _expected(variables: Mapping[str, str]) -> ExpectedOutput | None:
    """The output that the test's plugin compares with. Raises LaunchError for a missing file."""
    plugin = _PLUGIN.search(variables.get("TEST_TAP_PLUGINS", ""))
    if plugin is None:
        return None
    options = dict(option.partition("=")[::2] for option in plugin[1].split(","))
    name = options.get("file", "")
    folders = re.split(r"[:\s]+", variables.get("SEARCHPATH", ""))
    candidates = [Path(name), *(Path(folder) / name for folder in folders if folder)]
    path = next((path for path in candidates if path.is_file()), Path(name))
    repeat = variables.get("TEST_EXPECTED_REPEAT", "")
    runs = int(repeat) if repeat.isdecimal() else 1
    if runs == 0:
        raise NotInstalled("a test without an end, which only a person can run")
    literal = options.get("literal", "0") not in ("", "0")
    return read_expected(path, literal=literal, runs=runs)


def _without_console(words: list[str]) -> list[str]:
    kept: list[str] = []
    skip = 0
    for word in words:
        if skip:
            skip -= 1
        elif word in _OURS:
            skip = _OURS[word]
        else:
            kept.append(word)
    return kept
