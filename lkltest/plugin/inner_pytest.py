# SPDX-License-Identifier: GPL-2.0-only
"""A pytest inside a command: whatever is installed, set or configured around it."""

from __future__ import annotations

import os
from collections.abc import Iterable, Sequence
from pathlib import Path

from lkltest.errors import NoSuites
from lkltest.host.registry import entry_points
from lkltest.text import unknown

SUITES = "lkltest.suites"
"""The package of lkltest's own suites."""
ENTRY_POINT_GROUP = "lkltest.suites"
"""The entry point group of other packages' suites: `hello = "my_package.test_hello"`."""


def installed() -> list[str]:
    """The modules and packages of all suites that are installed."""
    others = (entry.value.partition(":")[0] for entry in entry_points(ENTRY_POINT_GROUP))
    return [SUITES, *dict.fromkeys(others)]


def is_ours(file: Path) -> bool:
    """Whether a suite's file is one of lkltest's own: its programs come from the build alone."""
    return file.resolve().is_relative_to((Path(__file__).parents[1] / "suites").resolve())


def split(words: Sequence[str]) -> tuple[list[str], list[str]]:
    """Words for suites as paths, absolute, and as names: `my/test_hello.py`, `my/`, `.`; `boot`."""
    paths = [word for word in words if is_path(word)]
    return [str(Path(word).absolute()) for word in paths], [w for w in words if w not in paths]


def check_paths(paths: Iterable[str]) -> None:
    """Raise NoSuites for one that is not there."""
    for path in paths:
        if not os.path.exists(path):  # noqa: PTH110 - may be too long a name
            raise NoSuites(f"suites {path}: no such file or directory")


def is_path(word: str) -> bool:
    """Whether a word for suites is a file's or folder's, and no suite's name."""
    name = word.partition("[")[0]
    return "/" in name or name.endswith(".py") or name == "."


def unknown_suite(name: str, known: Iterable[str]) -> str:
    """The line for a name that chooses no suite, but perhaps a folder or a file that was meant."""
    path = next((path for path in (f"{name}/", f"{name}.py") if Path(path).exists()), "")
    hint = f"{path} is a path to suites; " if path else ""
    return hint + unknown("suite or variant", name, known)


def arguments(
    packages: Sequence[str] | None = None,
    *,
    plugin: str = "lkltest.plugin.hooks",
    cache: Path | None = None,
) -> list[str]:
    """The first arguments of pytest, to collect `packages` with one plugin.

    `cache` is where it remembers what failed; None: nowhere.
    Takes out of the environment what somebody has set for other runs of pytest.
    """
    for name in ("PYTEST_ADDOPTS", "PYTEST_PLUGINS"):
        os.environ.pop(name, None)
    return [
        # No ini file of whatever directory it is started in, no plugins that happen to be there.
        *("--pyargs", *(packages or installed()), "-c", os.devnull, "--rootdir", "."),
        *("--disable-plugin-autoload", "-p", plugin),
        # They look for lost exceptions by five collections of all garbage, a tenth of a short run.
        *("-p", "no:unraisableexception", "-p", "no:threadexception"),
        *("-p", "no:doctest", "-p", "no:pastebin", "-p", "no:legacypath"),
        # Its directories would outlive a run that is killed; suites have a scope's folder.
        *("-p", "no:tmpdir"),
        *(("-o", f"cache_dir={cache}") if cache else ("-p", "no:cacheprovider")),
        # pytest rewrites what it imports, and warns of what it no longer can: its very caller.
        *("-W", "ignore::pytest.PytestAssertRewriteWarning"),
    ]
