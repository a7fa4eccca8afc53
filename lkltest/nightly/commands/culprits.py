# SPDX-License-Identifier: GPL-2.0-only
"""The commits that brought a night's new failures: `git bisect run` in a tree of its own.

The kernel's own tree is left as it is: the search has a work tree (git-worktree(1)), which goes
with it, and a scope, so that whatever a commit's build starts goes, too.
"""

from __future__ import annotations

import contextlib
import os
import subprocess
import sys
import tempfile
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import replace
from pathlib import Path

from lkltest.deadline import Deadline
from lkltest.nightly.compare.causes import causes
from lkltest.nightly.config.config import BuildEntry
from lkltest.nightly.model.cell import Cell
from lkltest.nightly.model.change import Change, ChangeKind
from lkltest.nightly.model.ids import parse_id, split_id
from lkltest.report.terminal import echo
from lkltest.sandbox.scope import Scope, ScopeError
from lkltest.text import duration

_CONFIDENCE = "0.99"


def with_culprits(
    changes: Sequence[Change],
    builds: Sequence[BuildEntry],
    cells: Sequence[Cell],
    history: Path,
    seconds: float,
) -> list[Change]:
    """Search for the commits of new failures, one a cause, as long as there is time.

    Args:
        builds: those that say how they are made can be searched.
        cells: those of the night, which say how they are run.
        history: the file, which tells how often points fail.
        seconds: for all searches together.

    Returns:
        The changes, those that were searched for with what was found.
    """
    deadline = Deadline(seconds)
    found: dict[str, str] = {}
    made = {build.name: build for build in builds if build.make and build.path is not None}
    for cause in causes(changes):
        change = cause.lead
        name = parse_id(split_id(change.id)[0])
        build = made.get(name.build) if name is not None else None
        if change.kind is not ChangeKind.NEW_FAILURE or build is None:
            continue
        if not (change.commit_before and change.commit_after) or not change.commits:
            continue
        echo(
            f"{change.id}: searching {change.commits}, {duration(deadline.remaining())} left",
            flush=True,
        )
        (cell,) = (one for one in cells if f"{change.id}/".startswith(f"{one.id}/"))
        found[change.id] = _search(change, build, cell, history.resolve(), deadline)
        echo(f"{change.id}: {found[change.id]}", flush=True)
    return [replace(one, culprit=found.get(one.id, one.culprit)) for one in changes]


def _search(
    change: Change, build: BuildEntry, cell: Cell, history: Path, deadline: Deadline
) -> str:
    """The answer in words: a commit, several of which none could be built, a smaller range."""
    path = (build.path or Path()).resolve()
    try:
        top = Path(_git(path if path.is_dir() else path.parent, "rev-parse", "--show-toplevel"))
        with _work_tree(top, change.commit_after) as tree:
            _git(tree, "bisect", "start", change.commit_after, change.commit_before)
            words = [change.id, "--build", str(tree / path.relative_to(top)), "--make", build.make]
            words += ["--confidence", _CONFIDENCE, "--history", str(history)]
            words += [f"--timeout={cell.timeout:g}"]
            words += [f"--option={option}" for option in cell.options]
            return _answer(tree, _run(words, cell.environment, tree, deadline))
    except subprocess.CalledProcessError as error:
        lines = (error.stderr or error.stdout or str(error)).strip().splitlines()
        return f"no search: {lines[-1] if lines else error}"
    except (OSError, ScopeError) as error:
        return f"no search: {error}"


@contextlib.contextmanager
def _work_tree(top: Path, commit: str) -> Iterator[Path]:
    with tempfile.TemporaryDirectory(prefix="lkltest-", ignore_cleanup_errors=True) as folder:
        tree = Path(folder) / "tree"
        _git(top, "worktree", "add", "--detach", str(tree), commit)
        try:
            yield tree
        finally:
            _git(top, "worktree", "remove", "--force", "--force", str(tree))


def _run(
    words: Sequence[str], environment: Mapping[str, str], tree: Path, deadline: Deadline
) -> str:
    """The output of `git bisect run lkltest bisect`, "" where the time was over before its end."""
    command = ["git", "bisect", "run", sys.executable, "-P", "-m", "lkltest", "bisect", *words]
    log = os.memfd_create("bisect", os.MFD_CLOEXEC)
    try:
        with Scope() as scope:
            child = scope.spawn(
                command, env={**_environment(), **environment}, cwd=tree, stdout=log, stderr=log
            )
            if child.wait(deadline.remaining()) is None:
                return ""
        return os.pread(log, os.fstat(log).st_size, 0).decode(errors="replace")
    finally:
        os.close(log)


def _answer(tree: Path, said: str) -> str:
    bad = _git(tree, "rev-parse", "refs/bisect/bad")
    named = _git(tree, "log", "-1", "--format=%h %s", bad)
    if f"{bad} is the first bad commit" in said:
        return f"broken by {named}"
    good = _git(tree, "for-each-ref", "--format=%(objectname)", "refs/bisect/good-*").split()
    left = _git(tree, "rev-list", "--count", bad, "--not", *good)
    if "only 'skip'ped commits left" in said:
        return f"broken by one of {left} commits up to {named}, of which others cannot be told"
    if not said:
        return f"broken by one of {left} commits up to {named}; the time was over"
    ours = [line for line in said.splitlines() if line.startswith("lkltest bisect: ")]
    return f"no search: {(ours or said.splitlines() or ['git bisect run said nothing'])[-1]}"


def _git(directory: Path, *words: str) -> str:
    command = ["git", "-C", str(directory), *words]
    done = subprocess.run(
        command,
        stdin=subprocess.DEVNULL,
        capture_output=True,
        text=True,
        errors="replace",
        check=True,
        env=_environment(),
    )
    return done.stdout.strip()


def _environment() -> dict[str, str]:
    """This process's without what would lead git to another tree, or lkltest to another build."""
    ours = {k: v for k, v in os.environ.items() if not k.startswith("GIT_DIR") and k != "LKL_BUILD"}
    return {**ours, "LC_ALL": "C", "NO_COLOR": "1"}
