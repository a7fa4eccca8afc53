# SPDX-License-Identifier: GPL-2.0-only
"""kill -9 of the runner at any moment leaves nothing after a second.

At least 50 kills, LKLTEST_KILLS=250 for more; LKLTEST_SEED repeats a run's moments.
"""

import os
import random
import signal
import subprocess
import sys
from collections.abc import Iterator
from contextlib import ExitStack
from pathlib import Path

import pytest

from lkltest.sandbox.scope import NAMESPACE, Scope, probe
from tests import other_user
from tests.census import MARKER, Census, new_marker
from tests.other_user import other_users_folder

VICTIM = Path(__file__).with_name("victim.py")
KILLS = int(os.environ.get("LKLTEST_KILLS", "50"))
# kind: for how many seconds after its start a victim is killed, about half of them while it starts
KINDS = {"plain": 0.04, "nohup": 0.04, "subreaper": 0.04, "devices": 0.08}
needs_namespaces = pytest.mark.skipif(probe().kind != NAMESPACE, reason=probe().reason)


class Victims:
    """Starts runners and kills them; all carry one marker, and one TMPDIR is theirs."""

    def __init__(self, folder: Path, prefix: list[str]) -> None:
        self.folder, self.prefix = folder, prefix
        self.marker = new_marker()
        self.census = Census.take(self.marker, folder)

    def kill(self, kind: str, seconds: float, *arguments: str) -> None:
        """Start one, kill it `seconds` after it said that it begins, see that nothing is left."""
        command = [*self.prefix, sys.executable, os.fspath(VICTIM), kind, *arguments]
        environment = {**os.environ, MARKER: self.marker, "TMPDIR": os.fspath(self.folder)}
        with subprocess.Popen(command, env=environment, stdout=subprocess.PIPE) as victim:
            assert victim.stdout is not None
            assert victim.stdout.readline() == b"start\n"
            try:
                victim.wait(seconds)
            except subprocess.TimeoutExpired:
                victim.send_signal(signal.SIGKILL)
        assert victim.returncode == -signal.SIGKILL, "it ended before it was killed"
        assert self.census.left() == [], f"killed after {seconds:.4f} s"


@pytest.fixture
def victims(request: pytest.FixtureRequest, tmp_path: Path) -> Iterator[Victims]:
    """Runners of this user, or of another one when a test is parametrized with "other user"."""
    with ExitStack() as stack:
        if getattr(request, "param", "") == "other user":
            folder = stack.enter_context(other_users_folder(reads=VICTIM))
            found = Victims(folder, other_user.COMMAND)
        else:
            found = Victims(tmp_path, [])
        yield found
        # Once more at the end: no single look can have missed something that lasted.
        assert found.census.left() == []


USERS = ["this user", "other user"] if os.geteuid() == 0 else ["this user"]


@pytest.mark.parametrize("victims", USERS, indirect=True)
@pytest.mark.parametrize("kind", KINDS)
def test_kill_at_a_random_moment(kind: str, victims: Victims) -> None:
    if kind == "devices" and probe().kind != NAMESPACE:
        pytest.skip(probe().reason)
    span = KINDS[kind] * (4 if kind == "devices" and victims.prefix else 1)
    seed = int(os.environ.get("LKLTEST_SEED", random.randrange(2**32)))  # noqa: S311
    print(f"LKLTEST_SEED={seed}")
    moments = random.Random(seed)  # noqa: S311
    for _ in range(-(-KILLS // (2 * len(KINDS)))):
        victims.kill(kind, moments.uniform(0, span))


@needs_namespaces
def test_kill_of_one_who_joined(victims: Victims) -> None:
    """A worker's programs end with it, the session goes on."""
    with Scope(daemons=True) as session:
        program = session.spawn(["sleep", "1000"])
        for milliseconds in range(0, 60, 15):
            victims.kill("joined", milliseconds / 1000, str(session.pid))
        assert program.poll() is None
