# SPDX-License-Identifier: GPL-2.0-only
"""Faults: what a run needs is missing, full, read-only or jumps about."""

from __future__ import annotations

import os
import sys
import time
from pathlib import Path

from tests.faults.arena import FAILED, PASSED, SECONDS, USED_WRONGLY, Arena, NotSurvived, TooLate

MOUNTS = ("unshare", "--mount", "--propagation", "private", "--")
FAKETIME = Path("/usr/lib/x86_64-linux-gnu/faketime/libfaketimeMT.so.1")
ROOT = str(Path(__file__).parents[2])


def broken(*fault: str, unshare: tuple[str, ...] = MOUNTS) -> tuple[str, ...]:
    """What to put before a command to run it in a broken world."""
    return (*unshare, sys.executable, "-m", "tests.faults.world", *fault, "--")


def _run(arena: Arena, prefix: tuple[str, ...], allowed: set[int], *words: str, **env: str) -> int:
    settings = {"PYTHONPATH": ROOT, **env}
    run = arena.start(*(words or arena.suites), prefix=prefix, settings=settings)
    return arena.finish(run, allowed)


def full_tmpdir(arena: Arena) -> None:
    """TMPDIR has no room: what needs some fails with a line, and nothing is green by it."""
    size = arena.chance.choice(["64k", "256k"])
    _run(arena, broken("tiny", str(arena.temporary), size), {PASSED, FAILED, USED_WRONGLY})


def full_junit(arena: Arena) -> None:
    """The JUnit folder has no room: the run says so and is not green."""
    folder = arena.folder / f"junit{arena._runs + 1}"
    folder.mkdir()
    run = arena.start(
        *arena.suites,
        prefix=broken("tiny", str(folder), "4k"),
        settings={"PYTHONPATH": ROOT},
    )
    status = run.wait()
    text = "".join(run.output)
    if status != FAILED or "No space left" not in text or "Traceback" in text:
        raise NotSurvived(f"status {status}: {text[-500:]}")


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
    if status == PASSED:
        arena.finish(run, {PASSED})
    elif any(result.problems == () for result in run.results()):
        raise NotSurvived("a failed run wrote a result without a problem")


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
    unshare = ("unshare", "--user", "--map-root-user", "--")
    _run(arena, broken("sysctl", "user/max_pid_namespaces", "0", unshare=unshare), {PASSED, FAILED})


def no_kvm(arena: Arena) -> None:
    """No /dev/kvm: QEMU emulates."""
    _run(arena, broken("without-kvm"), {PASSED})


def read_only_home(arena: Arena) -> None:
    """HOME and the cache in it cannot be written."""
    home = arena.folder / "home"
    home.mkdir(exist_ok=True)
    settings = {"HOME": str(home), "XDG_CACHE_HOME": str(home / ".cache")}
    prefix = broken("read-only", str(home))
    _run(arena, prefix, {PASSED, FAILED, USED_WRONGLY}, **settings)


def clock_jumps(arena: Arena) -> None:
    """The wall clock jumps to and fro, as when a person sets it; the steady one does not."""
    if not FAKETIME.exists():
        raise FileNotFoundError("apt-get install libfaketime")
    stamp = arena.folder / "faketime"
    stamp.write_text("+0", encoding="ascii")
    settings = {
        "LD_PRELOAD": str(FAKETIME),
        "FAKETIME_TIMESTAMP_FILE": str(stamp),
        "FAKETIME_NO_CACHE": "1",
        "FAKETIME_DONT_FAKE_MONOTONIC": "1",
    }
    run = arena.start(*arena.suites, settings=settings)
    while run.process.poll() is None:
        jump = arena.chance.choice(["+3650d", "-3650d", "+1h", "-1h", "+0"])
        part = stamp.with_suffix(".part")
        part.write_text(jump, encoding="ascii")
        os.replace(part, stamp)  # noqa: PTH105
        time.sleep(0.1)
    run.wait()
    if "time.sleep(" in "".join(run.output) and "[Errno 22]" in "".join(run.output):
        raise TooLate  # libfaketime's own: a jump in the midst of clock_nanosleep(2) is EINVAL
    if any(not 0 <= result.seconds < SECONDS for result in run.results()):
        raise NotSurvived("a suite took less than no time, or years")
    arena.finish(run, {PASSED})


def inside_namespaces(arena: Arena) -> None:
    """The run is in a PID, a network and a mount namespace of somebody's already."""
    flags = ("--pid", "--fork", "--kill-child", "--net", "--mount-proc", "--")
    _run(arena, ("unshare", *flags), {PASSED})


def two_at_once(arena: Arena) -> None:
    """Two runs from one checkout."""
    runs = [arena.start(*arena.suites, "net[loopback]") for _ in range(2)]
    for run in runs:
        arena.finish(run, {PASSED})
