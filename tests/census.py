# SPDX-License-Identifier: GPL-2.0-only
"""A census of the machine: what a test, or the death of a runner, has left behind.

Processes are found by a marker in their environment, so that others at work on the machine do not
count. A process in the middle of exec(2) shows an empty environment and the kernel takes network
namespaces apart in the background: `left` therefore looks until nothing is left or time is up.
Mounts and devices bear no marker: those of others come and go meanwhile, and what counts is what
was there all the time.
"""

import contextlib
import os
import secrets
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path

MARKER = "LKLTEST_CENSUS"
OURS = ("process", "file")


def new_marker() -> str:
    """A value for the environment variable MARKER of what is to be counted."""
    return secrets.token_hex(8)


@dataclass(frozen=True, slots=True)
class Census:
    """The things that were there at one moment, as names that a person can read."""

    marker: str
    folders: tuple[Path, ...]
    things: frozenset[str] = field(default=frozenset())

    @classmethod
    def take(cls, marker: str, *folders: Path) -> "Census":
        """Count processes with `marker` (Wine's services bear it too), mounts, network devices and
        named namespaces, /dev/tap*, our own pseudo-terminals, loop devices, System V semaphores,
        shared memory and queues, what is in `folders` (a private TMPDIR), in the cache directory,
        and in /dev/shm, where POSIX semaphores are.
        """
        things = {
            *_processes(marker),
            *(f"mount {line}" for line in _mounts()),
            *(f"network device {name}" for name in _names(Path("/sys/class/net"))),
            *(f"device node /dev/{name}" for name in _names(Path("/dev")) if _is_our_tap(name)),
            *(f"network namespace {name}" for name in _names(Path("/run/netns"))),
            *_terminals(),
            *_loop_devices(),
            *_system_v(),
            # What runs remember of a directory and a build is to be left behind.
            *(f"cache {path}" for path in _names(_cache()) if path != "runs"),
        }
        for folder in folders:
            things |= {f"file {path}" for path in _below(folder)}
        things |= {f"shared memory {path}" for path in _below(Path("/dev/shm"))}
        return cls(marker, folders, frozenset(things))

    def new(self) -> list[str]:
        """The things that are there now and were not then."""
        return sorted(Census.take(self.marker, *self.folders).things - self.things)

    def left(self, seconds: float = 1.0) -> list[str]:
        """The things still new after `seconds`; returns early when two looks in a row find none.

        On a machine that has more to do than it has processors, that is as many times longer, up
        to ten seconds: what was killed has to be given one before it can go.
        """
        busy = os.getloadavg()[0] / (os.cpu_count() or 1)
        deadline = time.monotonic() + max(seconds, min(seconds * busy, 10.0))
        clean, lasting = 0, set(self.new())
        while True:
            new = set(self.new())
            lasting &= new
            found = {name for name in new if name in lasting or name.startswith(OURS)}
            clean = 0 if found else clean + 1
            if clean == 2 or time.monotonic() > deadline:
                return sorted(found)
            time.sleep(0.005)


def _processes(marker: str) -> Iterator[str]:
    wanted = f"{MARKER}={marker}".encode()
    for name in filter(str.isdigit, _names(Path("/proc"))):
        if int(name) == os.getpid():
            continue
        try:
            if wanted not in Path(f"/proc/{name}/environ").read_bytes().split(b"\0"):
                continue
            words = Path(f"/proc/{name}/cmdline").read_bytes().split(b"\0")
        except OSError:
            continue  # gone, or somebody else's
        yield f"process {name}: {b' '.join(words).decode(errors='backslashreplace')[:200]}"


def _mounts() -> list[str]:
    lines = Path("/proc/self/mountinfo").read_text(encoding="utf-8").splitlines()
    return [line.partition(" - ")[0].split()[4] for line in lines]


def _terminals() -> Iterator[str]:
    """Those that this process holds; nobody's cease to exist, and other processes are counted."""
    for path in Path("/proc/self/fd").iterdir():
        with contextlib.suppress(OSError):
            target = os.readlink(path)  # noqa: PTH115
            if target.startswith(("/dev/pts/", "/dev/ptmx")):
                yield f"pseudo-terminal {target}, descriptor {path.name}"


def _loop_devices() -> Iterator[str]:
    for file in Path("/sys/block").glob("loop*/loop/backing_file"):
        with contextlib.suppress(OSError):
            yield f"loop device {file.parts[3]}: {file.read_text(encoding='utf-8').strip()}"


def _system_v() -> Iterator[str]:
    """Keys and identifiers from proc(5)'s sysvipc."""
    for kind in ("sem", "shm", "msg"):
        with contextlib.suppress(OSError):
            for line in Path(f"/proc/sysvipc/{kind}").read_text("ascii").splitlines()[1:]:
                yield f"System V {kind} {' '.join(line.split()[:2])}"


def _cache() -> Path:
    cache = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    return Path(cache) / "lkltest"


def _is_our_tap(name: str) -> bool:
    """/dev/tapINDEX: lkltest draws large indexes at random, those of others are small."""
    return name.startswith("tap") and name[3:].isdigit() and int(name[3:]) >= 2**16


def _below(folder: Path) -> Iterator[str]:
    for parent, folders, files in os.walk(folder):  # what vanishes meanwhile is no error
        yield from (f"{parent}/{name}" for name in (*folders, *files))


def _names(folder: Path) -> list[str]:
    try:
        return [path.name for path in folder.iterdir()]
    except (FileNotFoundError, NotADirectoryError):
        return []
