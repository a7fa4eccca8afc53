# SPDX-License-Identifier: GPL-2.0-only
"""`make faults`: attacks lkltest and says what it survived. LKLTEST_SEED repeats a run."""

from __future__ import annotations

import argparse
import os
import random
import sys
import time

from tests.faults import false_greens, machine, remote


def main() -> int:
    """Run the whole campaign; 1 when something was not survived."""
    parser = argparse.ArgumentParser(prog="python -m tests.faults", description=__doc__)
    parser.add_argument("parts", nargs="*", help="false-greens, machine, remote; all by default")
    parser.add_argument("--mutants", type=int, default=1200, help="of each stream")
    parser.add_argument("--times", type=int, default=2, help="each fault on each host")
    parser.add_argument("--kills", type=int, default=100, help="of runners over ssh")
    parser.add_argument("--only", default="", help="faults whose names contain this")
    parser.add_argument("--host", action="append", help="only these hosts")
    options = parser.parse_args()
    seed = os.environ.get("LKLTEST_SEED", str(random.randrange(2**32)))  # noqa: S311
    print(f"LKLTEST_SEED={seed}", flush=True)
    jobs = os.cpu_count() or 1
    parts = options.parts or ["false-greens", "machine", "remote"]
    failed = False
    if "false-greens" in parts:
        started = time.monotonic()
        tallies = false_greens.campaign(seed, options.mutants, cut=True, jobs=jobs)
        print("\n".join(false_greens.lines(tallies)))
        print(f"{time.monotonic() - started:.0f} s\n", flush=True)
        failed = any(tally.false_greens for tally in tallies.values())
    if "machine" in parts:
        failed |= not machine.campaign(seed, options.times, options.only, options.host, jobs)
    if "remote" in parts:
        failed |= not remote.campaign(seed, options.kills)
    return int(failed)


if __name__ == "__main__":
    sys.exit(main())
