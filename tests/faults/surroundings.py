# SPDX-License-Identifier: GPL-2.0-only
"""Faults: what a run needs is missing, full, read-only or jumps about."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from lkltest.verdict.results import Outcome
from tests.faults.arena import FAILED, PASSED, SECONDS, USED_WRONGLY, Arena, NotSurvived, TooLate

MOUNTS = ("unshare", "--mount", "--propagation", "private", "--")
USER = ("unshare", "--user", "--map-root-user", "--")
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
ROOT = str(Path(__file__).parents[2])


def broken(*fault: str, unshare: tuple[str, ...] = MOUNTS) -> tuple[str, ...]:
    """The words that go before a command to run it in a broken world."""
    return (*unshare, sys.executable, "-m", "tests.faults.world", *fault, "--")


def _run(arena: Arena, prefix: tuple[str, ...], allowed: set[int], *words: str, **env: str) -> int:
    settings = {"PYTHONPATH": ROOT, **env}
    run = arena.start(*(words or arena.suites), prefix=prefix, settings=settings)
    return arena.finish(run, allowed)


def full_tmpdir(arena: Arena) -> None:
    """TMPDIR has no room: what needs some fails with a line, and nothing is green by it."""
    room = str(arena.chance.choice([0, 1, 20]))
    _run(arena, broken("tiny", str(arena.temporary), room), {PASSED, FAILED, USED_WRONGLY})


def full_junit(arena: Arena) -> None:
    """The JUnit folder has no room: the run says so and is not green."""
    folder = arena.folder / "full"
    folder.mkdir(exist_ok=True)
    words = (*arena.suites, f"--junit-dir={folder}")
    run = arena.start(*words, prefix=broken("tiny", str(folder)), settings={"PYTHONPATH": ROOT})
    status = run.wait()
    text = "".join(run.output)
    if status != FAILED or "No space left" not in text or "Traceback" in text:
        raise NotSurvived(f"status {status}: {text[-500:]}")
    arena.nothing_lost(run.results(), run.shown, 0)


def few_descriptors(arena: Arena) -> None:
    """Descriptors run out, sooner or later."""
    number = str(arena.chance.randrange(10, 40))
    _limited(arena, ("limit", "NOFILE", number))


def little_memory(arena: Arena) -> None:
    """Memory runs out, sooner or later."""
    _limited(arena, ("limit", "AS", str(arena.chance.randrange(60, 400) << 20)))


def _limited(arena: Arena, fault: tuple[str, ...]) -> None:
    """Python itself may not even start: then anything but green will do, and no hang."""
    words = (*arena.suites, "--timeout=30")  # a kernel may hang when it gets no memory
    run = arena.start(*words, prefix=broken(*fault), settings={"PYTHONPATH": ROOT}, verbose=False)
    status = run.wait()
    results = run.results()
    if status == PASSED:
        arena.finish(run, {PASSED})
    elif len(results) == len(arena.suites) and all(r.outcome is Outcome.PASSED for r in results):
        raise NotSurvived(f"status {status}, but all suites passed")


def no_tun(arena: Arena) -> None:
    """No /dev/net/tun: the suite that needs it is skipped, with the reason."""
    run = arena.start(
        "net[tap]",
        prefix=broken("hidden", "/dev/net"),
        settings={"PYTHONPATH": ROOT},
        verbose=False,
    )
    if run.wait() != PASSED or "tun" not in "".join(run.output):
        raise NotSurvived("".join(run.output)[-500:])


def no_namespaces(arena: Arena) -> None:
    """No PID namespaces: a subreaper holds the run together."""
    _run(arena, broken("sysctl", "user/max_pid_namespaces", "0", unshare=USER), {PASSED})


def no_user_namespaces(arena: Arena) -> None:
    """No user namespaces, and no rights to do without: neither PID nor network namespaces."""
    _run(arena, broken("unprivileged", unshare=USER), {PASSED})


def no_kvm(arena: Arena) -> None:
    """No /dev/kvm: QEMU emulates."""
    _run(arena, broken("without-kvm"), {PASSED})


def empty_read_only_home(arena: Arena) -> None:
    """HOME cannot be written, and there is no cache in it."""
    home = arena.folder / "home"
    home.mkdir(exist_ok=True)
    _read_only_home(arena, home, {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")})


def read_only_home(arena: Arena) -> None:
    """HOME and the cache that earlier runs have made in it can only be read."""
    _read_only_home(arena, Path.home(), {})


def _read_only_home(arena: Arena, home: Path, settings: dict[str, str]) -> None:
    """A cache can be done without; Wine's prefix cannot, which a line has to say."""
    needed = arena.host == "wine"
    settings |= {"PYTHONPATH": ROOT}
    run = arena.start(*arena.suites, prefix=broken("read-only", str(home)), settings=settings)
    status = run.wait()
    text = "".join(run.output)
    if needed and (status != USED_WRONGLY or "--lkl-wine-prefix" not in text):
        raise NotSurvived(f"status {status}: {text[-500:]}")
    if not needed:
        arena.finish(run, {PASSED})


def clock_jumps(arena: Arena) -> None:
    """The wall clock jumps to and fro, as when a person sets it; the steady one does not."""
    if not FAKETIME.exists():
        raise FileNotFoundError("apt-get install libfaketime")
    stamp = arena.folder / "faketime"
    stamp.write_text("+0", encoding="ascii")
    settings = {
        "FAKETIME_TIMESTAMP_FILE": str(stamp),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    # libfaketime's own shared memory is none of this machine's, nor of the next census.
    prefix = (*broken("hidden", "/dev/shm"), "env", f"LD_PRELOAD={FAKETIME}")
    run = arena.start(*arena.suites, prefix=prefix, settings={"PYTHONPATH": ROOT, **settings})
    while run.process.poll() is None:
        jump = arena.chance.choice(["+3650d", "-3650d", "+1h", "-1h", "+0"])
        part = stamp.with_suffix(".part")
        part.write_text(jump, encoding="ascii")
        os.replace(part, stamp)  # noqa: PTH105
        time.sleep(0.1)
    run.wait()
    if "Invalid argument" in "".join(run.output):
        raise TooLate  # libfaketime's own: a jump in the midst of clock_nanosleep(2) is EINVAL
    if any(not 0 <= result.seconds < SECONDS for result in run.results()):
        raise NotSurvived("a suite took less than no time, or years")
    arena.finish(run, {PASSED})


def inside_namespaces(arena: Arena) -> None:
    """The run is in namespaces of somebody's already, where there are devices of our names."""
    flags = ("--pid", "--fork", "--kill-child", "--net", "--mount-proc", "--")
    words = (*arena.suites, "net[tap]", "net[loopback]")
    _run(arena, broken("occupied", unshare=("unshare", *flags)), {PASSED}, *words)


def two_at_once(arena: Arena) -> None:
    """Two runs from one checkout."""
    runs = [arena.start(*arena.suites, "net[loopback]") for _ in range(2)]
    for run in runs:
        arena.finish(run, {PASSED})
