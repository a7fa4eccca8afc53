# SPDX-License-Identifier: GPL-2.0-only
"""`make fresh`: what the README promises, tried in a fresh Debian as a new user would.

Makes a root with debootstrap, clones the last commit of this checkout into it and runs
`make run-tests` there (with --check also `make check`) with nothing of the outside in the
environment. What the run wrote into junit/ is copied to the checkout.
"""

from __future__ import annotations

import argparse
import os
import shutil
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from lkltest.signals import handle_termination_signals

from .chamber import Chamber
from .configuration import configuration
from .root import USER, FreshError, make_root

ROOT = Path(__file__).resolve().parents[2]


def main(words: list[str]) -> int:
    """Returns 0 when all that was tried works in a fresh Debian."""
    parser = argparse.ArgumentParser(prog="make fresh", description=__doc__)
    parser.add_argument("--suite", default="bookworm", help="a release of Debian (bookworm)")
    parser.add_argument("--check", action="store_true", help="run `make check`, too")
    parser.add_argument("--user", action="store_true", help="as a user with sudo, not as root")
    parser.add_argument("--keep", action="store_true", help="leave the root there, and say where")
    parser.add_argument("targets", nargs="*", help="what to make (run-tests)")
    options = parser.parse_args(words)
    handle_termination_signals()  # the root is removed then, too
    try:
        return _try(options)
    except KeyboardInterrupt:
        return 130
    except FreshError as error:
        print(f"make fresh: {error}", file=sys.stderr)
        return 1


def _try(options: argparse.Namespace) -> int:
    if os.geteuid() != 0:
        raise FreshError("a root for a fresh Debian can only root make: sudo make fresh")
    # Beside the checkout's build: /tmp is often in memory, or mounted without devices.
    place = ROOT / "build" / "fresh"
    place.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f"{options.suite}-", dir=place))
    try:
        return _in_root(folder / "root", options)
    finally:
        if options.keep:
            print(f"kept: {folder}")
        else:
            # Its mounts were the chamber's alone; what is left is files.
            subprocess.run(["rm", "-rf", "--one-file-system", "--", str(folder)], check=False)


def _in_root(root: Path, options: argparse.Namespace) -> int:
    user = USER if options.user else "root"
    found = configuration()
    start = time.monotonic()
    make_root(root, options.suite, found, user=options.user)
    chamber = Chamber(root, found.folders, found.environment, user)
    checkout = f"{chamber.home}/lkltest"
    _clone(root / checkout.lstrip("/"))
    if options.user:
        chown = ["chown", "-R", f"{USER}:{USER}", checkout]
        subprocess.run(["chroot", str(root), *chown], check=True)
    _say(f"a fresh Debian {options.suite} for {user} with lkltest {_commit()}", start)
    targets = options.targets or ["run-tests", *(["check"] if options.check else [])]
    status = 0
    for target in targets:
        start = time.monotonic()
        result = chamber.run(checkout, ["make", target])
        _say(f"make {target}: {'done' if result == 0 else f'FAILED, status {result}'}", start)
        status = status or result
    _copy_junit(root / checkout.lstrip("/") / "junit")
    return status


def _clone(target: Path) -> None:
    """Clone the last commit, as a user would get it."""
    git = ["git", "-c", "safe.directory=*", "clone", "--quiet", "--no-hardlinks", "--no-local"]
    done = subprocess.run([*git, str(ROOT), str(target)], check=False)
    if done.returncode != 0:
        raise FreshError(f"{ROOT} cannot be cloned: make fresh wants a git checkout")
    changed = _git("status", "--porcelain", "--untracked-files=no")
    if changed:
        print(f"  {len(changed.splitlines())} changed files are not committed, and not in it")


def _commit() -> str:
    return _git("describe", "--always", "--dirty")


def _git(*words: str) -> str:
    done = subprocess.run(
        ["git", "-C", str(ROOT), *words], capture_output=True, text=True, check=False
    )
    return done.stdout.strip()


def _copy_junit(source: Path) -> None:
    target = ROOT / "junit"
    if source.is_dir():
        shutil.rmtree(target, ignore_errors=True)
        shutil.copytree(source, target)


def _say(what: str, start: float) -> None:
    seconds = time.monotonic() - start
    print(f"fresh: {what} ({int(seconds) // 60} min {int(seconds) % 60} s)", flush=True)


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
