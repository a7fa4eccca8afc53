# SPDX-License-Identifier: GPL-2.0-only
"""Faults: runners of suites on a target over ssh die by SIGKILL, at random moments."""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from tests.hosts.remote.sshd import ssh_config

_LEFT_SECONDS = 60.0


def campaign(seed: str, times: int) -> bool:
    """Kill so many runners; True when nothing was left there and here, each time."""
    chance = random.Random(f"{seed} remote")  # noqa: S311
    with tempfile.TemporaryDirectory(prefix="lkltest-faults-") as name:
        folder = Path(name)
        there = folder / "there"
        command = _command(folder, there)
        started = time.monotonic()
        subprocess.run(command, check=True, stdout=subprocess.DEVNULL)
        whole = time.monotonic() - started
        survived, seen, longest = 0, 0, 0.0
        for number in range(times):
            running, seconds, left = _kill_one(command, there, chance.uniform(0.1, whole), number)
            seen += running
            longest = max(longest, seconds)
            survived += not left
            if left:
                print(f"  left after kill {number}: {', '.join(left)}", flush=True)
    print(
        f"remote: runner SIGKILL: {survived} of {times} left nothing; a program was running on the"
    )
    print(f"target in {seen}; at most {longest:.1f} s until all had gone\n", flush=True)
    return survived == times


def _command(folder: Path, there: Path) -> list[str]:
    (folder / "targets.toml").write_text(
        f'[targets.near]\naddress = "box"\nfolder = "{there}"\n', encoding="utf-8"
    )
    options = [f"--lkl-ssh-config={ssh_config(folder)}", "--lkl-ssh-target=near"]
    options += [f"--lkl-ssh-targets={folder}/targets.toml"]
    suites = ["boot", "disk[ext4]", "net[pipe]", "net[tap]"]
    return [sys.executable, "-m", "lkltest", "run", *suites, "--host", "ssh", *options]


def _kill_one(
    command: list[str], there: Path, seconds: float, number: int
) -> tuple[bool, float, list[str]]:
    """Whether a program was running there, how long the rest took to go, and what did not."""
    words = [*command, "-j2"] if number % 4 == 3 else command
    runner = subprocess.Popen(words, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    time.sleep(seconds)
    running = any("/store/" in line for line in _left(there))
    runner.kill()
    runner.wait()
    started = time.monotonic()
    while (left := _left(there)) and time.monotonic() - started < _LEFT_SECONDS:
        time.sleep(0.05)
    return running, time.monotonic() - started, left


def _left(there: Path) -> list[str]:
    """Runs' folders there; processes that have to do with the target, here or there."""
    folders = [str(path) for path in (there / "runs").iterdir()] if there.exists() else []
    found = subprocess.run(
        ["pgrep", "-af", str(there.parent)], capture_output=True, text=True, check=False
    )
    return folders + found.stdout.splitlines()
